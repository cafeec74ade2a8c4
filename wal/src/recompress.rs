//! Sealed segments, smaller: written anew with Zstandard, beside the writer and the readers.
//!
//! Frame by frame: numbers, chain and records stay, only how a body is stored changes. The new file
//! is made beside the old one, fsynced, read back from end to end, and renamed over it. A crash
//! leaves the one or the other. Readers that have the old one go on with it, and the segment behind
//! need not know: the new header says what length it may name (`FORMAT.md`, "Written anew").

use std::path::PathBuf;
use std::sync::Arc;

use crate::compression::{Compressor, shrink};
use crate::disk::{Disk, File};
use crate::link::Link;
use crate::recover::{self, Checker};
use crate::segment::{REWRITTEN_VERSION, Rewritten, SegmentHeader, Source};
use crate::view::{Segment, Shared};
use crate::{Codec, Error, Fault, Frame, FrameHeader, Log, Lsn, index};

/// What is fsynced at once: no fsync of the writer waits behind more.
const SYNC_BYTES: u64 = 4 << 20;

/// Makes sealed segments smaller. Any thread, one at a time.
///
/// Only a [`Log`] gives one: its lock keeps other processes out. Where it outlives its log, it must
/// not be used any more.
#[derive(Debug, Clone)]
pub struct Recompressor {
    shared: Arc<Shared>,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recompressed {
    /// It was written anew, durably.
    Done {
        /// Bytes of its file before.
        before: u64,
        /// Bytes of the file that took its place.
        after: u64,
    },
    /// It is not there any more, is being written, or was written anew already.
    NotOne,
    /// The caller wanted no more of it. Nothing has changed.
    Stopped,
}

/// A file that may take a segment's place.
struct Made {
    file: File,
    header: SegmentHeader,
    end: u64,
}

impl Log {
    /// What makes its sealed segments smaller.
    pub fn recompressor(&self) -> Recompressor {
        Recompressor { shared: Arc::clone(&self.shared) }
    }
}

impl Recompressor {
    /// Files and first records of the sealed segments that were never written anew, oldest first.
    pub fn candidates(&self) -> Vec<(PathBuf, Lsn)> {
        let view = self.shared.read();
        let old = view.segments.split_last().map_or(&[][..], |(_, old)| old);
        let old = old.iter().filter(|segment| is_candidate(segment));
        old.map(|segment| (segment.path.clone(), segment.header.base)).collect()
    }

    /// Writes the segment that begins with `base` anew, its bodies compressed at `level` of
    /// Zstandard (1 to 19) where that makes them smaller. Durable when it returns. `go_on` is asked
    /// behind every frame, with the bytes that it had uncompressed; it may wait as long as it likes.
    ///
    /// Every member of the cluster must read version 2 of the format.
    ///
    /// # Errors
    /// [`Error::Damaged`] in the segment, which stays as it is; [`Error::Full`]; others of the system.
    pub fn recompress(
        &self,
        base: Lsn,
        level: i32,
        mut go_on: impl FnMut(u64) -> bool,
    ) -> Result<Recompressed, Error> {
        let Some(segment) = self.candidate(base) else { return Ok(Recompressed::NotOne) };
        let made = match make(&self.shared.disk, &segment, level, &mut go_on) {
            Ok(Some(made)) => made,
            Ok(None) => return Ok(Recompressed::Stopped),
            // The segment was cut or removed meanwhile.
            Err(_) if self.candidate(base).is_none() => return Ok(Recompressed::NotOne),
            Err(error) => return Err(error),
        };
        let temporary = made.file.path().to_owned();
        let placed = self.place(&segment, made);
        if !matches!(placed, Ok(Recompressed::Done { .. })) {
            // Best effort: a left-over is removed at the next opening.
            let _ = self.shared.disk.remove(&temporary);
        }
        placed
    }

    /// The segment of that base, if it is sealed, not the newest, and not written anew yet.
    fn candidate(&self, base: Lsn) -> Option<Segment> {
        let view = self.shared.read();
        let (_, old) = view.segments.split_last()?;
        let index = old.binary_search_by_key(&base, |segment| segment.header.base).ok()?;
        old.get(index).filter(|segment| is_candidate(segment)).cloned()
    }

    /// Renames the file over the segment's, unless that one was cut or removed meanwhile.
    fn place(&self, segment: &Segment, made: Made) -> Result<Recompressed, Error> {
        let _files = self.shared.lock_files();
        let unchanged = |now: &Segment| now.header == segment.header && now.end == segment.end;
        if !self.candidate(segment.header.base).as_ref().is_some_and(unchanged) {
            return Ok(Recompressed::NotOne);
        }
        index::forget(&self.shared.disk, &segment.path);
        let published = self.shared.disk.publish(made.file, &segment.path);
        // Also where only the folder's fsync failed: the view has what bears the name now.
        let (now, _) = Source::open(&self.shared.disk, segment.clone())?;
        let mut view = self.shared.write();
        let place = view.segments.iter_mut().find(|old| old.header.base == now.header.base);
        if let Some(place) = place {
            *place = now;
            view.generation += 1;
        }
        published.map(|_| Recompressed::Done { before: segment.end, after: made.end })
    }
}

fn is_candidate(segment: &Segment) -> bool {
    segment.sealed && segment.header.rewritten.is_none()
}

/// The file that will take the place of `segment`: whole, fsynced and read back. `None` where `go_on`
/// said no.
fn make(
    disk: &Disk,
    segment: &Segment,
    level: i32,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Made>, Error> {
    let mut header = segment.header.clone();
    header.version = header.version.max(REWRITTEN_VERSION);
    header.rewritten = Some(Rewritten { sealed: segment.end, bytes: 0, chain: 0 });
    // Its length does not depend on the numbers in it, which come last.
    let mut writing = Writing { end: header.encode().len() as u64, synced: 0, behind: None };
    // A name of its own: the writer may be cutting this very segment.
    let beside = segment.path.with_extension("smaller");
    let file = disk.prepare(&beside, |file| {
        writing.frames((disk, segment), level, file, go_on)?;
        let Some(link) = writing.behind else { return Ok(()) };
        let (bytes, chain) = (writing.end, link.chain);
        header.rewritten = Some(Rewritten { sealed: segment.end, bytes, chain });
        file.write_at(&header.encode(), 0)
    })?;
    let made = Made { file, header, end: writing.end };
    let checked = match writing.behind {
        Some(link) => read_back(disk, &made, &link).map(|()| true),
        None => Ok(false),
    };
    if !matches!(checked, Ok(true)) {
        // Best effort, as above.
        let _ = disk.remove(made.file.path());
    }
    Ok(checked?.then_some(made))
}

/// The file that is being filled.
struct Writing {
    /// Where the next frame goes.
    end: u64,
    /// Fsynced up to here.
    synced: u64,
    /// Behind the last frame, once all are written.
    behind: Option<Link>,
}

impl Writing {
    fn frames(
        &mut self,
        (disk, segment): (&Disk, &Segment),
        level: i32,
        file: &File,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), Error> {
        let damaged = |offset, fault| Error::damaged(&segment.path, offset, fault);
        let (segment, mut source) = Source::open(disk, segment.clone())?;
        let (mut offset, mut link) = (segment.header.len, Link::before(&segment.header));
        let (mut checker, mut smaller) = (Checker::default(), Smaller::new(level));
        while offset < segment.end {
            let frame = source.frame(offset, segment.end)?;
            let frame = frame.map_err(|fault| damaged(offset, fault))?;
            let linked = link.check_in(segment.header.takes(), frame.header());
            let sound = linked.and_then(|()| checker.trace(&frame).map(drop));
            sound.map_err(|fault| damaged(offset, fault))?;
            let bytes = smaller.frame(&frame).map_err(|fault| damaged(offset, fault))?;
            file.write_at(bytes, self.end)?;
            self.end += bytes.len() as u64;
            link.pass(frame.header());
            offset += frame.header().frame_len();
            if self.end - self.synced >= SYNC_BYTES {
                file.sync_data()?;
                self.synced = self.end;
            }
            if !go_on(u64::from(frame.header().raw_len)) {
                return Ok(());
            }
        }
        self.behind = Some(link);
        Ok(())
    }
}

/// Makes frames smaller, with kept buffers.
struct Smaller {
    compressor: Compressor,
    raw: Vec<u8>,
    out: Vec<u8>,
}

impl Smaller {
    fn new(level: i32) -> Smaller {
        Smaller { compressor: Compressor::with_level(level), raw: Vec::new(), out: Vec::new() }
    }

    /// The bytes to store for `frame`: as they are where they would not become fewer.
    fn frame(&mut self, frame: &Frame) -> Result<&[u8], Fault> {
        let header = frame.header();
        header.codec.expand_into(&frame.stored_body(), header.raw_len, &mut self.raw)?;
        let (codec, body) = self.compressor.compress(&self.raw, Codec::Zstd);
        self.out.clear();
        match u32::try_from(body.len()) {
            Ok(body_len) if body_len < header.body_len => {
                let body_crc = crc32fast::hash(body);
                let header = FrameHeader { codec, body_len, body_crc, ..header.clone() };
                self.out.extend_from_slice(&header.encode());
                self.out.extend_from_slice(body);
            }
            _ => self.out.extend_from_slice(frame.bytes()),
        }
        shrink(&mut self.raw);
        self.compressor.shrink();
        Ok(&self.out)
    }
}

/// Reads the file from end to end: it must lead to where the segment led.
fn read_back(disk: &Disk, made: &Made, expected: &Link) -> Result<(), Error> {
    let header = SegmentHeader::read_unnamed(&made.file)?;
    let (path, end) = (made.file.path().to_owned(), made.file.length()?);
    let written = Segment { header, path, end, sealed: false };
    let scan = recover::scan(disk, &written, None)?;
    recover::read_to_end(&written, &scan)?;
    if scan.link == *expected && written.header == made.header && end == made.end {
        return Ok(());
    }
    let (expected, found) = (expected.chain, scan.link.chain);
    Err(Error::damaged(&written.path, end, Fault::Chain { expected, found }))
}
