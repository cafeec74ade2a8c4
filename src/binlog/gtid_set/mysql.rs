//! MySQL: intervals of numbers per server uuid and tag.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use wal::Gtid;

use super::BadGtidSet;
use crate::binlog::Error;
use crate::binlog::gtid_event::decode_tag;
use crate::binlog::reader::{Reader, write_varlen};

/// Numbers `start` up to, but not including, `end`. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// First number, from 1.
    pub start: u64,
    /// The number after the last.
    pub end: u64,
}

/// The servers' numbers have 63 bits.
const NUMBER_MAX: u64 = i64::MAX as u64;

type Source = ([u8; 16], String);

/// `uuid:1-5:7:tag:1-3,…`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MysqlGtidSet {
    /// Ascending, with a gap between neighbours; no source without intervals.
    sources: BTreeMap<Source, Vec<Interval>>,
}

impl MysqlGtidSet {
    /// The empty set.
    pub fn new() -> MysqlGtidSet {
        MysqlGtidSet::default()
    }

    /// `true` for the empty set.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Number of GTIDs; saturates.
    pub fn count(&self) -> u64 {
        let lens = self.sources.values().flatten().map(|part| part.end - part.start);
        lens.fold(0, u64::saturating_add)
    }

    /// `true` if `gtid` is in the set.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        let Gtid::Mysql { uuid, tag, number } = gtid else {
            return false;
        };
        let Some(intervals) = self.sources.get(&(*uuid, tag.clone())) else {
            return false;
        };
        let after = intervals.partition_point(|part| part.end <= *number);
        intervals.get(after).is_some_and(|part| part.start <= *number)
    }

    /// Adds one GTID; `false` for a MariaDB one, and for a number that no server gives.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        let Gtid::Mysql { uuid, tag, number } = gtid else {
            return false;
        };
        let Some(end) = number.checked_add(1) else {
            return false;
        };
        let part = Interval { start: *number, end };
        self.add_interval((*uuid, tag.clone()), part);
        true
    }

    fn add_interval(&mut self, source: Source, part: Interval) {
        if part.start >= part.end {
            return;
        }
        let intervals = self.sources.entry(source).or_default();
        let first = intervals.partition_point(|old| old.end < part.start);
        let last = intervals.partition_point(|old| old.start <= part.end);
        let mut merged = part;
        for old in &intervals[first..last] {
            merged.start = merged.start.min(old.start);
            merged.end = merged.end.max(old.end);
        }
        intervals.splice(first..last, [merged]);
    }

    /// All of both.
    #[must_use]
    pub fn union(&self, other: &MysqlGtidSet) -> MysqlGtidSet {
        let mut union = self.clone();
        for (source, intervals) in &other.sources {
            intervals.iter().for_each(|&part| union.add_interval(source.clone(), part));
        }
        union
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &MysqlGtidSet) -> MysqlGtidSet {
        let mut difference = MysqlGtidSet::new();
        for (source, intervals) in &self.sources {
            let holes = other.sources.get(source).map_or(&[][..], Vec::as_slice);
            let left = subtract(intervals, holes);
            if !left.is_empty() {
                difference.sources.insert(source.clone(), left);
            }
        }
        difference
    }

    /// What is in both.
    #[must_use]
    pub fn intersect(&self, other: &MysqlGtidSet) -> MysqlGtidSet {
        self.subtract(&self.subtract(other))
    }

    /// Everything in `self` is in `other`.
    pub fn is_subset(&self, other: &MysqlGtidSet) -> bool {
        self.subtract(other).is_empty()
    }

    /// By uuid and tag.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; 16], &str, &[Interval])> {
        self.sources.iter().map(|((uuid, tag), parts)| (uuid, tag.as_str(), parts.as_slice()))
    }

    /// The form of PREVIOUS_GTIDS and COM_BINLOG_DUMP_GTID; with tags only if there are any.
    pub fn encode(&self) -> Vec<u8> {
        let tagged = self.sources.keys().any(|(_, tag)| !tag.is_empty());
        let count = self.sources.len() as u64;
        let head = if tagged { 1 << 56 | count << 8 | 1 } else { count };
        let mut bytes = head.to_le_bytes().to_vec();
        for ((uuid, tag), intervals) in &self.sources {
            bytes.extend_from_slice(uuid);
            if tagged {
                write_varlen(&mut bytes, tag.len() as u64);
                bytes.extend_from_slice(tag.as_bytes());
            }
            bytes.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
            for part in intervals {
                bytes.extend_from_slice(&part.start.to_le_bytes());
                bytes.extend_from_slice(&part.end.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads what [`MysqlGtidSet::encode`] and the servers write; also the body of PREVIOUS_GTIDS.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Malformed`] for an unknown format or an empty interval.
    pub fn decode(bytes: &[u8]) -> Result<MysqlGtidSet, Error> {
        let mut reader = Reader::new(bytes, "GTID set");
        let head = reader.u64()?;
        let (tagged, count) = match head >> 56 {
            0 => (false, head),
            1 => (true, head >> 8 & 0xffff_ffff_ffff),
            _ => return Err(reader.malformed()),
        };
        let mut set = MysqlGtidSet::new();
        for _ in 0..count {
            let uuid = reader.array()?;
            let tag = if tagged { decode_tag(&mut reader)? } else { String::new() };
            for _ in 0..reader.u64()? {
                let part = Interval { start: reader.u64()?, end: reader.u64()? };
                if part.start == 0 || part.start >= part.end || part.end > NUMBER_MAX + 1 {
                    return Err(reader.malformed());
                }
                set.add_interval((uuid, tag.clone()), part);
            }
        }
        Ok(set)
    }
}

/// `from` without `holes`; both ascending.
fn subtract(from: &[Interval], holes: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::with_capacity(from.len());
    for part in from {
        let mut start = part.start;
        let first = holes.partition_point(|hole| hole.end <= part.start);
        for hole in holes[first..].iter().take_while(|hole| hole.start < part.end) {
            if start < hole.start {
                left.push(Interval { start, end: hole.start });
            }
            start = hole.end;
        }
        if start < part.end {
            left.push(Interval { start, end: part.end });
        }
    }
    left
}

impl fmt::Display for MysqlGtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<&[u8; 16]> = None;
        for ((uuid, tag), intervals) in &self.sources {
            if before != Some(uuid) {
                if before.is_some() {
                    f.write_str(",")?;
                }
                write_uuid(f, uuid)?;
                before = Some(uuid);
            }
            if !tag.is_empty() {
                write!(f, ":{tag}")?;
            }
            for part in intervals {
                write!(f, ":{}", part.start)?;
                if part.end - part.start > 1 {
                    write!(f, "-{}", part.end - 1)?;
                }
            }
        }
        Ok(())
    }
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &[u8; 16]) -> fmt::Result {
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl FromStr for MysqlGtidSet {
    type Err = BadGtidSet;

    fn from_str(text: &str) -> Result<MysqlGtidSet, BadGtidSet> {
        let mut set = MysqlGtidSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            parse_source(&mut set, part).ok_or_else(|| BadGtidSet(text.to_owned()))?;
        }
        Ok(set)
    }
}

/// `uuid:1-5:7:tag:1-3`: a tag holds for the intervals behind it.
fn parse_source(set: &mut MysqlGtidSet, text: &str) -> Option<()> {
    let mut words = text.split(':').map(str::trim);
    let uuid = words.next()?;
    let mut source: Option<Source> = None;
    let mut any = false;
    for word in words {
        if !word.starts_with(|first: char| first.is_ascii_digit()) {
            // `Gtid` knows how a uuid and a tag look.
            let probe: Gtid = format!("{uuid}:{}:1", word.to_ascii_lowercase()).parse().ok()?;
            let Gtid::Mysql { uuid, tag, .. } = probe else {
                return None;
            };
            if tag.is_empty() {
                return None;
            }
            source = Some((uuid, tag));
            any = false;
            continue;
        }
        if source.is_none() {
            let probe: Gtid = format!("{uuid}:1").parse().ok()?;
            let Gtid::Mysql { uuid, .. } = probe else {
                return None;
            };
            source = Some((uuid, String::new()));
        }
        let (start, last) = word.split_once('-').unwrap_or((word, word));
        let (start, last): (u64, u64) = (start.trim().parse().ok()?, last.trim().parse().ok()?);
        if start == 0 || last < start || last > NUMBER_MAX {
            return None;
        }
        set.add_interval(source.clone()?, Interval { start, end: last + 1 });
        any = true;
    }
    any.then_some(())
}
