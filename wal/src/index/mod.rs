//! Where in a segment to look: its frames in runs, and for each run what it may hold.
//!
//! In: the frames of one segment, in order. Out: for anything that can be sought, the runs that may
//! hold it. A run is so many frames as make [`RUN_BYTES`], at least one; so an index is small beside
//! its segment also where every commit is a frame of its own.
//!
//! Holds: an index never hides a record of its segment (what it cannot keep in bounds it calls
//! "any"), and nobody takes its word for one: frames are read and checked before anything is said.
//! The index of a sealed segment lies beside it (`bytes.rs`, `FORMAT.md`); one that is missing,
//! damaged, or another segment's is made anew from that segment. The newest one's grows in memory
//! when somebody looks (`store.rs`): writing a log costs nothing for it.

mod bytes;
mod collect;
mod store;
mod summary;

pub(crate) use store::{Indexes, forget, run_of};
pub(crate) use summary::Summary;

use crate::{BinlogPosition, Epoch, Gtid, Lsn, Timestamp};

/// How many bytes of frames make a run: a walk over so many bytes of headers takes microseconds.
const RUN_BYTES: u64 = 32 << 10;

/// Names of binlog files kept; a run with others may hold any position.
const MAX_FILES: usize = 1024;

/// Kinds of GTID kept; a run with others may hold any GTID.
const MAX_SOURCES: usize = 1024;

/// Kinds of GTID kept for one run.
const MAX_RUN_SOURCES: usize = 8;

/// What GTIDs have in common that differ in their number only.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GtidSource {
    Mysql { uuid: [u8; 16], tag: String },
    Mariadb { domain: u32, server: u32 },
}

impl GtidSource {
    fn is_of(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (GtidSource::Mysql { uuid, tag }, Gtid::Mysql { uuid: other, tag: its, .. }) => {
                uuid == other && tag == its
            }
            (
                GtidSource::Mariadb { domain, server },
                Gtid::Mariadb { domain: other, server: its, .. },
            ) => domain == other && server == its,
            _ => false,
        }
    }

    fn of(gtid: &Gtid) -> GtidSource {
        match gtid {
            Gtid::Mysql { uuid, tag, .. } => GtidSource::Mysql { uuid: *uuid, tag: tag.clone() },
            Gtid::Mariadb { domain, server, .. } => {
                GtidSource::Mariadb { domain: *domain, server: *server }
            }
        }
    }
}

fn number(gtid: &Gtid) -> u64 {
    match gtid {
        Gtid::Mysql { number, .. } => *number,
        Gtid::Mariadb { sequence, .. } => *sequence,
    }
}

/// A place of a run's positions: a file of the index's table, and an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    file: u16,
    offset: u64,
}

/// Which positions a run may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    None,
    Any,
    /// Both ends included.
    Between(Spot, Spot),
}

/// The GTIDs of one source in a run, from the least number to the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval {
    /// In the index's table.
    source: u16,
    low: u64,
    high: u64,
}

/// Some frames in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// Where its first frame starts in the segment.
    offset: u64,
    first: Lsn,
    timestamp: Timestamp,
    /// The latest commit time in it.
    latest: Option<i64>,
    span: Span,
    /// `None`: any GTID.
    gtids: Option<Vec<Interval>>,
}

/// An index of one segment: as far as its frames were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    epoch: Epoch,
    base: Lsn,
    files: Vec<String>,
    sources: Vec<GtidSource>,
    runs: Vec<Run>,
    /// The last record seen; in front of the first, the one before `base`.
    last: Option<Lsn>,
    /// Where the frames seen end.
    end: u64,
    /// Of the frames in front of the segment, and of those up to `end`.
    chains: (u32, u32),
}

/// Records to look through: first and last.
pub(crate) type Stretch = (Lsn, Lsn);

impl SegmentIndex {
    /// The stretch of run `index`.
    fn stretch(&self, index: usize) -> Option<Stretch> {
        let run = self.runs.get(index)?;
        let next = self.runs.get(index + 1).map(|next| next.first.previous());
        Some((run.first, next.unwrap_or(self.last)?))
    }

    fn may<'a>(
        &'a self,
        holds: impl Fn(&Run) -> bool + 'a,
    ) -> impl DoubleEndedIterator<Item = Stretch> + 'a {
        let indexes = (0..self.runs.len()).filter(move |&index| holds(&self.runs[index]));
        indexes.filter_map(|index| self.stretch(index))
    }

    /// Start and first record of the run that `lsn` is in.
    pub fn run_of(&self, lsn: Lsn) -> Option<(u64, Lsn)> {
        let behind = self.runs.partition_point(|run| run.first <= lsn);
        self.runs.get(behind.checked_sub(1)?).map(|run| (run.offset, run.first))
    }

    /// From where to look for the first record at or after `wanted`.
    pub fn at_timestamp(&self, wanted: Timestamp) -> Option<Lsn> {
        let behind = self.runs.partition_point(|run| run.timestamp <= wanted);
        self.runs.get(behind.saturating_sub(1)).map(|run| run.first)
    }

    /// Stretches with a transaction committed at or after `wanted`, oldest first.
    pub fn committed_from(&self, wanted: i64) -> impl Iterator<Item = Stretch> {
        self.may(move |run| run.latest >= Some(wanted))
    }

    /// Stretches that may hold this transaction, newest first.
    pub fn with_gtid(&self, wanted: &Gtid) -> Vec<Stretch> {
        let source = self.sources.iter().position(|source| source.is_of(wanted));
        let number = number(wanted);
        let holds = |run: &Run| {
            let Some(intervals) = &run.gtids else { return true };
            intervals.iter().any(|one| {
                Some(usize::from(one.source)) == source && (one.low..=one.high).contains(&number)
            })
        };
        self.may(holds).rev().collect()
    }

    /// Stretches that may hold a record that covers this position, newest first.
    pub fn with_position(&self, wanted: &BinlogPosition) -> Vec<Stretch> {
        let origin = |file: &String| BinlogPosition::new(file.as_str(), 0);
        // How each file stands to the wanted one; a name is compared once, not once a run.
        let place = BinlogPosition::new(wanted.file.as_str(), 0);
        let orders: Vec<_> = self.files.iter().map(|file| origin(file).cmp(&place)).collect();
        let order = |spot: &Spot| {
            let file = orders.get(usize::from(spot.file)).copied();
            file.map(|file| file.then(spot.offset.cmp(&wanted.offset)))
        };
        let holds = |run: &Run| match &run.span {
            Span::None => false,
            Span::Any => true,
            Span::Between(low, high) => {
                order(low).is_none_or(|low| low.is_le())
                    && order(high).is_none_or(|high| high.is_ge())
            }
        };
        self.may(holds).rev().collect()
    }

    /// Bytes of memory, about.
    fn weight(&self) -> usize {
        let of_run = |run: &Run| {
            let intervals = run.gtids.as_ref().map_or(0, Vec::len);
            size_of::<Run>() + intervals * size_of::<Interval>()
        };
        self.runs.iter().map(of_run).sum::<usize>() + 64 * (self.files.len() + self.sources.len())
    }
}
