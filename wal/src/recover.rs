//! Opening a folder: what is there, checked as far as opening needs (I13).
//!
//! All headers are read and must follow from one another; only the newest segment is scanned. A
//! torn tail is told from damage by `folder::Flushed`: an fsync never reached the one.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::beginning::Beginning;
use crate::compression::{Codec, shrink};
use crate::context::Trace;
use crate::disk::Disk;
use crate::folder::{self, Flushed};
use crate::frame::visit;
use crate::link::Link;
use crate::segment::{Rewritten, SegmentHeader, Source};
use crate::view::{Segment, View};
use crate::{ClusterId, Error, Fault, Frame, FrameHeader, Lsn, SourceContext};

/// The segments of a folder, checked against one another. The newest one's `end` is its file's.
pub(crate) fn segments(
    disk: &Disk,
    paths: Vec<PathBuf>,
    cluster: ClusterId,
) -> Result<Vec<Segment>, Error> {
    let count = paths.len();
    let mut segments: Vec<Segment> = Vec::with_capacity(count);
    for (index, path) in paths.into_iter().enumerate() {
        let file = disk.open(&path)?;
        let header = SegmentHeader::read(&file)?;
        let damaged = |fault| Error::damaged(&path, 0, fault);
        if header.cluster != cluster {
            let found = header.cluster;
            return Err(damaged(Fault::Cluster { expected: cluster, found }));
        }
        if let Some(before) = segments.last() {
            follows(before, &header).map_err(damaged)?;
            has_length(before, before.sealed_bytes(), header.before.bytes)?;
        }
        let end = file.length()?;
        let rewritten = header.rewritten;
        let segment =
            Segment { header, path, end, sealed: index + 1 < count || rewritten.is_some() };
        if let Some(rewritten) = rewritten {
            has_length(&segment, end, rewritten.bytes)?;
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn follows(before: &Segment, header: &SegmentHeader) -> Result<(), Fault> {
    if header.before.epoch != Some(before.header.epoch) || header.epoch < before.header.epoch {
        return Err(Fault::Epoch { expected: before.header.epoch, found: header.epoch });
    }
    if header.base <= before.header.base {
        return Err(Fault::Lsn { expected: before.header.base.next(), found: header.base });
    }
    if header.before.base != Some(before.header.base) {
        return Err(Fault::Field("base LSN of the segment before: one is missing"));
    }
    match before.header.rewritten {
        Some(Rewritten { chain, .. }) if chain != header.before.chain => {
            Err(Fault::Chain { expected: chain, found: header.before.chain })
        }
        _ => Ok(()),
    }
}

fn has_length(segment: &Segment, found: u64, expected: u64) -> Result<(), Error> {
    let fault = match found {
        found if found < expected => Fault::Short { expected, found },
        found if found > expected => Fault::Trailing(found - expected),
        _ => return Ok(()),
    };
    Err(Error::damaged(&segment.path, expected.min(found), fault))
}

/// What a scan of one segment found.
pub(crate) struct Scan {
    /// Where the last whole frame ends.
    pub end: u64,
    pub link: Link,
    pub context: Option<SourceContext>,
    /// (first record, offset) of every frame.
    pub frames: Vec<(Lsn, u64)>,
    /// Why it went no further.
    pub stop: Stop,
}

/// Why a scan ended.
pub(crate) enum Stop {
    /// Asked to.
    Reached,
    /// No whole frame there: the end of what was written, a torn tail, or damage.
    NoFrame(Fault),
    /// A whole frame, but not the next one; or one that contradicts itself; or a header that no frame
    /// has. Always damage.
    WrongFrame(Fault),
}

impl Stop {
    /// A header whose own checksum is right was written whole, and means what it says: if that is
    /// nothing that this build knows, it is no torn tail to be cut.
    fn at(fault: Fault) -> Stop {
        match fault {
            Fault::Short { .. } | Fault::Magic(_) | Fault::Checksum { .. } => Stop::NoFrame(fault),
            _ => Stop::WrongFrame(fault),
        }
    }
}

/// Reads a segment's frames from its start, decompressing and checking each, up to and including
/// record `up_to`, or as far as there are any.
pub(crate) fn scan(disk: &Disk, segment: &Segment, up_to: Option<Lsn>) -> Result<Scan, Error> {
    let (segment, mut source) = Source::open(disk, segment.clone())?;
    let header = &segment.header;
    let mut scan = Scan {
        end: header.len,
        link: Link::before(header),
        context: header.context.clone(),
        frames: Vec::new(),
        stop: Stop::Reached,
    };
    let mut content = Checker::default();
    let reached = |link: &Link| up_to.is_some_and(|up_to| link.next() > up_to);
    while !reached(&scan.link) {
        let frame = match source.frame(scan.end, segment.end)? {
            Ok(frame) => frame,
            Err(fault) => {
                scan.stop = Stop::at(fault);
                break;
            }
        };
        let linked = scan.link.check_in(header.takes(), frame.header());
        match linked.and_then(|()| content.trace(&frame)) {
            Ok(trace) => trace.apply(frame.header().first_lsn, &mut scan.context),
            Err(fault) => {
                scan.stop = Stop::WrongFrame(fault);
                break;
            }
        }
        scan.frames.push((frame.header().first_lsn, scan.end));
        scan.link.pass(frame.header());
        scan.end += frame.header().frame_len();
    }
    Ok(scan)
}

/// Checks frames' contents and follows the source context through them, with kept buffers.
#[derive(Default)]
pub(crate) struct Checker {
    raw: Vec<u8>,
}

impl Checker {
    /// Decompresses `frame`, checks it (chain, records), and says what it does to the context. A
    /// frame that was built in this process is known to be good.
    pub fn trace<'a>(&mut self, frame: &'a Frame) -> Result<Cow<'a, Trace>, Fault> {
        if let Some(trace) = frame.trace() {
            return Ok(Cow::Borrowed(trace));
        }
        let header = frame.header();
        let mut trace = Trace::default();
        let stored = frame.stored_body();
        let raw = match header.codec {
            Codec::Stored => &stored[..],
            codec @ (Codec::Lz4 | Codec::Zstd) => {
                codec.expand_into(&stored, header.raw_len, &mut self.raw)?;
                &self.raw
            }
        };
        let mut index = 0;
        visit(header, raw, |_, _, content| {
            trace.see(index, &content);
            index += 1;
        })?;
        shrink(&mut self.raw);
        Ok(Cow::Owned(trace))
    }
}

/// Decides what the place behind a scan of the newest segment is: `Ok(true)` a torn tail, `Ok(false)`
/// a clean end.
///
/// # Errors
/// [`Error::Damaged`]: something that was flushed is not there, or cannot be told from it.
pub(crate) fn judge(
    disk: &Disk,
    segment: &Segment,
    scan: &Scan,
    flushed: Option<Flushed>,
) -> Result<bool, Error> {
    let damaged = |fault| Err(Error::damaged(&segment.path, scan.end, fault));
    let fault = match &scan.stop {
        Stop::Reached => return Ok(false),
        Stop::WrongFrame(fault) => return damaged(fault.clone()),
        Stop::NoFrame(fault) => fault.clone(),
    };
    if let Some(flushed) = flushed {
        let missing = flushed.last.filter(|_| flushed.base > segment.header.base);
        if let Some(last) = missing {
            return damaged(Fault::Missing(last));
        }
        if flushed.base == segment.header.base && flushed.offset > scan.end {
            return damaged(fault);
        }
    }
    let file = disk.open(&segment.path)?;
    let rest = segment.end.saturating_sub(scan.end);
    let mut bytes = vec![0; usize::try_from(rest).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, scan.end)?;
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(false);
    }
    match whole_frame_in(&bytes).filter(|_| flushed.is_none()) {
        Some(offset) => damaged(Fault::Hole { fault: Box::new(fault), follows: scan.end + offset }),
        None => Ok(true),
    }
}

/// Offset of the first whole frame in `bytes`, if there is one.
fn whole_frame_in(bytes: &[u8]) -> Option<u64> {
    (1..bytes.len())
        .find(|&start| {
            let rest = &bytes[start..];
            let Ok(header) = FrameHeader::decode(rest) else {
                return false;
            };
            let length = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
            rest.get(FrameHeader::LEN..length)
                .is_some_and(|body| crc32fast::hash(body) == header.body_crc)
        })
        .map(|start| start as u64)
}

/// The view that a scan of the newest segment gives.
pub(crate) fn view(mut segments: Vec<Segment>, scan: Option<&Scan>) -> View {
    let mut view = View::default();
    if let (Some(newest), Some(scan)) = (segments.last_mut(), scan) {
        newest.end = scan.end;
    }
    view.segments = segments;
    let Some(scan) = scan else { return view };
    view.written = scan.link.last;
    let ends = scan.frames.iter().skip(1).map(|&(_, offset)| offset).chain([scan.end]);
    for (&(first, offset), end) in scan.frames.iter().zip(ends) {
        if let Some(written) = scan.link.last {
            view.grew(first, offset, end, written);
        }
    }
    view
}

/// Looks at a folder beside its writer: what was listed may be sealed (and so shortened), replaced
/// or cut off before it is read. Where files came or went meanwhile, a failure says nothing, and the
/// folder is looked at again.
pub(crate) fn beside_writer<T>(
    disk: &Disk,
    dir: &Path,
    mut look: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    const TRIES: u32 = 5;
    for _ in 1..TRIES {
        let before = files(disk, dir)?;
        let looked = look();
        if looked.is_ok() || files(disk, dir)? == before {
            return looked;
        }
    }
    look()
}

/// The segments that are there, each with what tells a replaced or sealed file from the one before.
fn files(disk: &Disk, dir: &Path) -> Result<Vec<(PathBuf, u64, u64)>, Error> {
    let mut files = Vec::new();
    for path in folder::segments(disk, dir)? {
        if let Some((file, length)) = disk.look(&path)? {
            files.push((path, file, length));
        }
    }
    Ok(files)
}

/// Opens a folder without its lock, as it is now.
pub(crate) fn read_only(disk: &Disk, dir: &Path) -> Result<(folder::Identity, View), Error> {
    let identity = folder::identity(disk, dir)?;
    let flushed = folder::flushed(disk, dir)?;
    let segments = segments(disk, folder::segments(disk, dir)?, identity.cluster)?;
    let beginning = Beginning::load(disk, dir, identity.cluster)?.map(Arc::new);
    Beginning::check(beginning.as_deref(), dir, segments.first())?;
    let Some(newest) = segments.last() else {
        let mut view = View::default();
        view.beginning = beginning;
        return Ok((identity, view));
    };
    let scanned = scan(disk, newest, None)?;
    let judged = judge(disk, newest, &scanned, flushed);
    let file_end = newest.end;
    let mut view = view(segments, Some(&scanned));
    view.beginning = beginning;
    if let (Err(_), Some(newest)) = (judged, view.segments.last_mut()) {
        // Let readers run into the damage and name it.
        newest.end = file_end;
        let epoch = newest.header.epoch;
        view.written = Some(crate::LogPoint { epoch, lsn: scanned.link.next() });
    }
    Ok((identity, view))
}

/// A scan that should have come further names what stopped it.
pub(crate) fn whole(segment: &Segment, scan: &Scan) -> Result<(), Error> {
    match &scan.stop {
        Stop::Reached => Ok(()),
        Stop::NoFrame(fault) | Stop::WrongFrame(fault) => {
            Err(Error::damaged(&segment.path, scan.end, fault.clone()))
        }
    }
}

/// A sealed segment is read to its last byte, or damaged.
pub(crate) fn read_to_end(segment: &Segment, scan: &Scan) -> Result<(), Error> {
    match &scan.stop {
        Stop::NoFrame(_) if scan.end == segment.end => Ok(()),
        _ => whole(segment, scan),
    }
}

/// Reads a segment of the view from the disk, header and all.
pub(crate) fn check(disk: &Disk, segment: &Segment, next: Option<&Segment>) -> Result<(), Error> {
    let file = disk.open(&segment.path)?;
    let bytes = file.length()?;
    if segment.sealed && bytes > segment.end {
        return Err(Error::damaged(
            &segment.path,
            segment.end,
            Fault::Trailing(bytes - segment.end),
        ));
    }
    if SegmentHeader::read(&file)? != segment.header {
        let other = Fault::Field("segment header: it is another one than at the opening");
        return Err(Error::damaged(&segment.path, 0, other));
    }
    let scan = scan(disk, segment, None)?;
    read_to_end(segment, &scan)?;
    next.map_or(Ok(()), |next| joins(&scan.link, next))
}

/// Is `segment` the continuation of what ends `behind`?
pub(crate) fn joins(behind: &Link, segment: &Segment) -> Result<(), Error> {
    let before = Link::before(&segment.header);
    let fault = if before.next() != behind.next() {
        Fault::Lsn { expected: behind.next(), found: before.next() }
    } else if before.chain != behind.chain {
        Fault::Chain { expected: behind.chain, found: before.chain }
    } else if before != *behind {
        Fault::Field("end of the log before")
    } else {
        return Ok(());
    };
    Err(Error::damaged(&segment.path, 0, fault))
}

/// A folder without segments in which something was flushed once has lost it.
pub(crate) fn not_empty(
    dir: &Path,
    segments: &[Segment],
    flushed: Option<Flushed>,
) -> Result<(), Error> {
    match flushed.and_then(|flushed| flushed.last).filter(|_| segments.is_empty()) {
        Some(last) => Err(Error::damaged(dir, 0, Fault::Missing(last))),
        None => Ok(()),
    }
}
