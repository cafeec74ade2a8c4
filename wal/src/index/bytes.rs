//! An index as a file. `FORMAT.md`, "Index".

use super::{GtidSource, Interval, MAX_FILES, MAX_RUN_SOURCES, MAX_SOURCES, Run, SegmentIndex};
use super::{Span, Spot};
use crate::codec::{Bad, Input, Sink};
use crate::{ClusterId, Epoch, Lsn, Timestamp};

const MAGIC: &[u8; 8] = b"PLIMIDX\n";
const VERSION: u16 = 1;

/// File numbers that are none.
const NO_POSITION: u16 = 0xfffe;
const ANY_POSITION: u16 = 0xffff;

/// Count of intervals that is none.
const ANY_GTID: u8 = 0xff;

/// The least bytes a run takes: what bounds their count before any allocation.
const MIN_RUN: u64 = 32;

/// No index file is longer; an index that would be is not written.
pub(super) const MAX_BYTES: u64 = 16 << 20;

impl SegmentIndex {
    pub(super) fn encode(&self, cluster: ClusterId) -> Vec<u8> {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(128 + 72 * self.runs.len());
        out.put(MAGIC);
        out.put(&VERSION.to_le_bytes());
        out.put(&[0, 0]);
        out.put(cluster.bytes());
        out.u32(self.epoch.get());
        out.u32(self.chains.0);
        out.u32(self.chains.1);
        out.u64(self.base.get());
        out.u64(self.last.map_or(0, Lsn::get));
        out.u64(self.end);
        out.u32(count(self.files.len()));
        out.u32(count(self.sources.len()));
        out.u32(count(self.runs.len()));
        for file in &self.files {
            out.block(file.as_bytes());
        }
        for source in &self.sources {
            put_source(&mut out, source);
        }
        for run in &self.runs {
            put_run(&mut out, run);
        }
        let crc = crc32fast::hash(&out);
        out.u32(crc);
        out
    }

    /// What `bytes` say; the name of what is wrong with them.
    pub(super) fn decode(bytes: &[u8], cluster: ClusterId) -> Result<SegmentIndex, Bad> {
        let (checked, crc) = bytes.split_last_chunk::<4>().ok_or("checksum")?;
        if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
            return Err("checksum");
        }
        let mut input = Input::new(checked);
        if input.take(8, "magic")? != MAGIC || input.u16("version")? != VERSION {
            return Err("version");
        }
        if input.u16("reserved bytes")? != 0 || input.id("cluster")? != *cluster.bytes() {
            return Err("cluster");
        }
        let epoch = Epoch::new(input.u32("epoch")?).ok_or("epoch")?;
        let chains = (input.u32("chain")?, input.u32("chain")?);
        let base = Lsn::new(input.u64("base LSN")?).ok_or("base LSN")?;
        let last = Lsn::new(input.u64("last LSN")?);
        let end = input.u64("length")?;
        let files = bounded(input.u32("files")?, MAX_FILES, "files")?;
        let sources = bounded(input.u32("sources")?, MAX_SOURCES, "sources")?;
        let runs = u64::from(input.u32("runs")?);
        if runs > input.rest().len() as u64 / MIN_RUN {
            return Err("runs");
        }
        let text = |input: &mut Input<'_>| Ok::<_, Bad>(input.text("file")?.to_owned());
        let files = (0..files).map(|_| text(&mut input)).collect::<Result<Vec<_>, _>>()?;
        let sources =
            (0..sources).map(|_| take_source(&mut input)).collect::<Result<Vec<_>, _>>()?;
        let runs = (0..runs).map(|_| take_run(&mut input)).collect::<Result<Vec<_>, _>>()?;
        input.end("index")?;
        let index = SegmentIndex { epoch, base, files, sources, runs, last, end, chains };
        index.agrees().then_some(index).ok_or("order")
    }

    /// Do its runs follow one another, and name what there is?
    fn agrees(&self) -> bool {
        let file = |spot: &Spot| usize::from(spot.file) < self.files.len();
        let inside = self.runs.iter().all(|run| {
            let span = match &run.span {
                Span::Between(low, high) => file(low) && file(high),
                Span::None | Span::Any => true,
            };
            let known = |one: &Interval| usize::from(one.source) < self.sources.len();
            span && run.offset < self.end
                && Some(run.first) <= self.last
                && run.gtids.as_ref().is_none_or(|intervals| intervals.iter().all(known))
        });
        let ascends = |pair: &[Run]| match pair {
            [one, next] => {
                one.offset < next.offset && one.first < next.first && one.timestamp < next.timestamp
            }
            _ => true,
        };
        let begins = self.runs.first().is_none_or(|run| run.first == self.base);
        inside && begins && self.runs.windows(2).all(ascends)
    }
}

fn bounded(count: u32, most: usize, what: Bad) -> Result<usize, Bad> {
    usize::try_from(count).ok().filter(|&count| count <= most).ok_or(what)
}

fn put_source(out: &mut Vec<u8>, source: &GtidSource) {
    match source {
        GtidSource::Mysql { uuid, tag } => {
            out.u8(1);
            out.put(uuid);
            out.block(tag.as_bytes());
        }
        GtidSource::Mariadb { domain, server } => {
            out.u8(2);
            out.u32(*domain);
            out.u32(*server);
        }
    }
}

fn take_source(input: &mut Input<'_>) -> Result<GtidSource, Bad> {
    const WHAT: Bad = "source";
    match input.u8(WHAT)? {
        1 => Ok(GtidSource::Mysql { uuid: input.id(WHAT)?, tag: input.text(WHAT)?.to_owned() }),
        2 => Ok(GtidSource::Mariadb { domain: input.u32(WHAT)?, server: input.u32(WHAT)? }),
        _ => Err(WHAT),
    }
}

fn put_run(out: &mut Vec<u8>, run: &Run) {
    out.u64(run.offset);
    out.u64(run.first.get());
    out.u64(run.timestamp.bits());
    out.u8(u8::from(run.latest.is_some()));
    if let Some(latest) = run.latest {
        out.u64(latest.cast_unsigned());
    }
    let none = |file| Spot { file, offset: 0 };
    let (low, high) = match run.span {
        Span::None => (none(NO_POSITION), none(NO_POSITION)),
        Span::Any => (none(ANY_POSITION), none(ANY_POSITION)),
        Span::Between(low, high) => (low, high),
    };
    for spot in [low, high] {
        out.put(&spot.file.to_le_bytes());
        out.varint(spot.offset);
    }
    let Some(intervals) = &run.gtids else {
        return out.u8(ANY_GTID);
    };
    out.u8(u8::try_from(intervals.len()).unwrap_or(ANY_GTID));
    for one in intervals {
        out.put(&one.source.to_le_bytes());
        out.varint(one.low);
        out.varint(one.high);
    }
}

fn take_run(input: &mut Input<'_>) -> Result<Run, Bad> {
    const WHAT: Bad = "run";
    let offset = input.u64(WHAT)?;
    let first = Lsn::new(input.u64(WHAT)?).ok_or(WHAT)?;
    let timestamp = Timestamp::from_bits(input.u64(WHAT)?).ok_or(WHAT)?;
    let latest = match input.u8(WHAT)? {
        0 => None,
        1 => Some(input.u64(WHAT)?.cast_signed()),
        _ => return Err(WHAT),
    };
    let low = Spot { file: input.u16(WHAT)?, offset: input.varint(WHAT)? };
    let high = Spot { file: input.u16(WHAT)?, offset: input.varint(WHAT)? };
    let span = match (low.file, high.file) {
        (NO_POSITION, NO_POSITION) => Span::None,
        (ANY_POSITION, ANY_POSITION) => Span::Any,
        _ => Span::Between(low, high),
    };
    let gtids = match input.u8(WHAT)? {
        ANY_GTID => None,
        count if usize::from(count) <= MAX_RUN_SOURCES => {
            Some((0..count).map(|_| take_interval(input)).collect::<Result<_, _>>()?)
        }
        _ => return Err(WHAT),
    };
    Ok(Run { offset, first, timestamp, latest, span, gtids })
}

fn take_interval(input: &mut Input<'_>) -> Result<Interval, Bad> {
    const WHAT: Bad = "interval";
    Ok(Interval { source: input.u16(WHAT)?, low: input.varint(WHAT)?, high: input.varint(WHAT)? })
}
