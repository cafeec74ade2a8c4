//! The single writer of a log folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::beginning::Beginning;
use crate::disk::{Disk, File, Lock};
use crate::folder::{self, Flushed, FlushedFile, Identity};
use crate::frame::first_chain;
use crate::link::{Link, Takes};
use crate::recover::{self, Checker, Scan};
use crate::segment::{Before, FIRST_VERSION, SegmentHeader};
use crate::view::{Segment, Shared, View};
use crate::{
    ClusterId, Epoch, Error, Frame, FrameHeader, Incarnation, LogPoint, LogReader, Lsn,
    SourceContext, Timestamp,
};

/// How a log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Size at which a segment is sealed and the next begun, and what is preallocated for one. A
    /// frame that is larger gets a segment of its own size. Default: 64 MiB.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { segment_bytes: 64 << 20 }
    }
}

/// The single writer of a log folder: holds its lock.
///
/// What `append` has written is seen by readers at once and survives the end of the process; only
/// `sync` makes it survive the machine's.
pub struct Log {
    pub(crate) dir: PathBuf,
    pub(crate) options: LogOptions,
    pub(crate) shared: Arc<Shared>,
    pub(crate) flushed_file: FlushedFile,
    pub(crate) live: Option<Live>,
    pub(crate) link: Link,
    pub(crate) context: Option<SourceContext>,
    pub(crate) flushed: Option<LogPoint>,
    pub(crate) poisoned: bool,
    checker: Checker,
    /// Held, never read.
    _lock: Lock,
}

/// The segment being written: always the view's newest.
pub(crate) struct Live {
    pub file: File,
    pub base: Lsn,
    pub takes: Takes,
    /// Where the next frame goes.
    pub end: u64,
    /// Bytes that are allocated.
    pub capacity: u64,
    /// Holds no frame yet?
    pub empty: bool,
}

impl Log {
    /// Makes a log folder and opens it. The folder appears whole, or not at all; an empty one that
    /// is there is taken.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Full`]; others of the system.
    pub fn create(
        dir: &Path,
        cluster: ClusterId,
        incarnation: Incarnation,
        options: LogOptions,
    ) -> Result<Log, Error> {
        Log::create_on(&Disk::system(), dir, cluster, incarnation, options)
    }

    /// As [`Log::create`], on another disk than the system's.
    ///
    /// # Errors
    /// Those of [`Log::create`].
    pub fn create_on(
        disk: &Disk,
        dir: &Path,
        cluster: ClusterId,
        incarnation: Incarnation,
        options: LogOptions,
    ) -> Result<Log, Error> {
        folder::create(disk, dir, Identity { cluster, incarnation })?;
        Log::open_on(disk, dir, options)
    }

    /// Opens a log folder and recovers: removes half-made files, reads every segment's header, scans
    /// the newest segment, cuts a torn tail that no fsync ever reached, and flushes the rest, so
    /// that `flushed() == tail()`.
    ///
    /// # Errors
    /// [`Error::NotALog`], [`Error::Locked`]; [`Error::Damaged`] names segment and offset.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Log, Error> {
        Log::open_on(&Disk::system(), dir, options)
    }

    /// As [`Log::open`], on another disk than the system's.
    ///
    /// # Errors
    /// Those of [`Log::open`].
    pub fn open_on(disk: &Disk, dir: &Path, options: LogOptions) -> Result<Log, Error> {
        let identity = folder::identity(disk, dir)?;
        let lock = folder::lock(disk, dir)?;
        folder::remove_temporaries(disk, dir)?;
        // A process that was killed between a rename and its fsync left names that are not durable;
        // what is flushed from here on rests on them.
        disk.sync_name(dir)?;
        disk.sync_folder(dir)?;
        let flushed = folder::flushed(disk, dir)?;
        let segments = recover::segments(disk, folder::segments(disk, dir)?, identity.cluster)?;
        recover::not_empty(dir, &segments, flushed)?;
        let beginning = Beginning::load(disk, dir, identity.cluster)?;
        Beginning::check(beginning.as_ref(), dir, segments.first())?;
        let scanned = match segments.last() {
            Some(newest) => Some(recover_newest(disk, newest, flushed)?),
            None => None,
        };
        let (scan, live) = scanned.map_or((None, None), |(scan, live)| (Some(scan), live));
        let begins = || origin(identity.cluster, beginning.as_ref());
        let (link, context) = match &scan {
            Some(scan) => (scan.link, scan.context.clone()),
            None => begins(),
        };
        let mut view = recover::view(segments, scan.as_ref());
        view.beginning = beginning.map(Arc::new);
        let mut log = Log {
            dir: dir.to_owned(),
            options,
            shared: Shared::new(disk.clone(), dir.to_owned(), identity, view),
            flushed_file: FlushedFile::open(disk, dir)?,
            live,
            link,
            context,
            flushed: None,
            poisoned: false,
            checker: Checker::default(),
            _lock: lock,
        };
        log.sync()?;
        if flushed.is_none() {
            log.know_flushed()?;
        }
        Ok(log)
    }

    /// A folder that says nothing of fsyncs, as a copy or an older program leaves it, does from now
    /// on: else a crash that kept a later frame without an earlier one would look like damage.
    fn know_flushed(&mut self) -> Result<(), Error> {
        let last = self.link.last.map(|point| point.lsn);
        let live = self.live.as_ref().filter(|_| last.is_some());
        let flushed = live.map_or(Flushed::NOTHING, |live| Flushed {
            base: live.base,
            offset: live.end,
            last,
        });
        match self.flushed_file.set(&self.shared.disk, flushed) {
            Err(Error::Full { .. }) => Ok(()),
            set => set,
        }
    }

    /// The cluster that this log belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.shared.identity.cluster
    }

    /// The life of this folder (I16).
    pub fn incarnation(&self) -> Incarnation {
        self.shared.identity.incarnation
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a frame behind the last one; not durable until [`Log::sync`]. One `write`, except at
    /// the start of a segment. A frame of a higher epoch begins a segment.
    ///
    /// # Errors
    /// [`Error::Refused`]: whole, but not the next frame of this log (number, chain, epoch, time).
    /// [`Error::BadFrame`]: it contradicts itself. [`Error::Full`]: no space; the log is as before,
    /// and the same call may succeed later. Others leave the log [`Error::Poisoned`].
    pub fn append(&mut self, frame: &Frame) -> Result<(), Error> {
        self.usable()?;
        self.link.check(frame.header()).map_err(Error::Refused)?;
        let trace = self.checker.trace(frame).map_err(Error::BadFrame)?;
        let header = frame.header();
        let end = |live: &Live| live.end + header.frame_len();
        let fits = |live: &Live| live.takes.frame(header) && end(live) <= live.capacity;
        if !self.live.as_ref().is_some_and(fits) {
            self.begin_segment(header)?;
        }
        self.write(frame)?;
        trace.apply(frame.header().first_lsn, &mut self.context);
        Ok(())
    }

    fn write(&mut self, frame: &Frame) -> Result<(), Error> {
        let live = self.live.as_mut().expect("`append` has made sure of a segment");
        if let Err(error) = live.file.write_at(frame.bytes(), live.end) {
            return Err(self.undo_write(error));
        }
        let offset = live.end;
        live.end += frame.header().frame_len();
        live.empty = false;
        self.link.pass(frame.header());
        self.shared.write().grew(frame.header().first_lsn, offset, live.end, frame.last());
        Ok(())
    }

    /// A frame was written in part: cuts it off, so that nothing stands behind the last whole one.
    fn undo_write(&mut self, error: Error) -> Error {
        let Some(live) = self.live.as_mut() else {
            return error;
        };
        match live.file.set_length(live.end) {
            Ok(()) if matches!(error, Error::Full { .. }) => {
                // What was allocated went too: the next frame asks for space anew.
                live.capacity = live.end;
            }
            _ => self.poisoned = true,
        }
        error
    }

    /// Seals the segment being written and begins one that takes `frame`. Its version is the lowest
    /// that does, and never falls: a segment does not end with each change of codec.
    fn begin_segment(&mut self, frame: &FrameHeader) -> Result<(), Error> {
        let (before_base, before_bytes) = self.seal()?;
        let newest = self.shared.read().segments.last().map(|newest| newest.header.version);
        let version = newest.unwrap_or(FIRST_VERSION).max(frame.codec.version());
        let last = self.link.last;
        let mut header = SegmentHeader {
            version,
            cluster: self.cluster(),
            epoch: frame.epoch,
            base: self.link.next(),
            before: Before {
                chain: self.link.chain,
                epoch: last.map(|point| point.epoch),
                timestamp: self.link.timestamp,
                base: before_base,
                bytes: before_bytes,
            },
            context: self.context.clone(),
            rewritten: None,
            len: 0,
        };
        let bytes = header.encode();
        let path = self.dir.join(SegmentHeader::file_name(header.base));
        let capacity = self.options.segment_bytes.max(header.len + frame.frame_len());
        let disk = &self.shared.disk;
        let made = disk.prepare(&path, |file| {
            file.allocate(capacity)?;
            file.write_at(&bytes, 0)
        });
        let published = made.and_then(|file| disk.publish(file, &path));
        let file = published.map_err(|error| self.poison_unless_full(error))?;
        let (base, takes, end) = (header.base, header.takes(), header.len);
        let mut view = self.shared.write();
        // An empty segment has just been replaced by rename.
        view.segments.retain(|segment| segment.header.base != base);
        view.segments.push(Segment { header, path, end, sealed: false });
        view.index.clear();
        drop(view);
        self.live = Some(Live { file, base, takes, end, capacity, empty: true });
        Ok(())
    }

    /// Gives the segment being written its final length, durably. Returns base and length of the
    /// segment in front of the one to come.
    pub(crate) fn seal(&mut self) -> Result<(Option<Lsn>, u64), Error> {
        let Some(live) = self.live.as_mut() else {
            let view = self.shared.read();
            let newest = view.segments.last();
            return Ok((
                newest.map(|one| one.header.base),
                newest.map_or(0, Segment::sealed_bytes),
            ));
        };
        if live.empty {
            // It will be replaced; what counts is the one before it.
            let view = self.shared.read();
            let before = view.segments.last().map(|newest| newest.header.before);
            return Ok((before.and_then(|one| one.base), before.map_or(0, |one| one.bytes)));
        }
        live.capacity = live.end;
        let sealed = live.file.set_length(live.end).and_then(|()| live.file.sync_all());
        let (end, base) = (live.end, live.base);
        sealed.map_err(|error| self.poison(error))?;
        self.note_flushed(base, end);
        if let Some(newest) = self.shared.write().segments.last_mut() {
            newest.sealed = true;
        }
        Ok((Some(base), end))
    }

    /// Makes all that was appended durable.
    ///
    /// # Errors
    /// [`Error::Sync`]: some of it may be lost for good although it reads back; the log is
    /// [`Error::Poisoned`] from then on. Never retried.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.usable()?;
        if self.flushed == self.link.last {
            return Ok(());
        }
        let Some(live) = &self.live else {
            self.flushed = self.link.last;
            return Ok(());
        };
        let (base, end) = (live.base, live.end);
        let synced = live.file.sync_data();
        synced.map_err(|error| self.poison(error))?;
        self.note_flushed(base, end);
        Ok(())
    }

    /// The log is flushed to its tail, which is at `offset` of segment `base`.
    pub(crate) fn note_flushed(&mut self, base: Lsn, offset: u64) {
        self.flushed = self.link.last;
        let last = self.link.last.map(|point| point.lsn);
        // A lower bound: where it cannot be raised, recovery only has less to go by.
        let _ = self.flushed_file.note(Flushed { base, offset, last });
    }

    pub(crate) fn usable(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned(self.dir.clone())) } else { Ok(()) }
    }

    pub(crate) fn poison(&mut self, error: Error) -> Error {
        self.poisoned = true;
        error
    }

    /// A failed fsync ends the log wherever it was.
    pub(crate) fn poison_if_sync(&mut self, error: Error) -> Error {
        if matches!(error, Error::Sync { .. }) { self.poison(error) } else { error }
    }

    pub(crate) fn poison_unless_full(&mut self, error: Error) -> Error {
        if matches!(error, Error::Full { .. }) { error } else { self.poison(error) }
    }

    /// The last record written; `None` in an empty log.
    pub fn tail(&self) -> Option<LogPoint> {
        self.link.last
    }

    /// The running checksum that the next frame must carry as `prev_chain`.
    pub fn chain(&self) -> u32 {
        self.link.chain
    }

    /// Timestamp of the last record written.
    pub fn last_timestamp(&self) -> Option<Timestamp> {
        self.link.timestamp
    }

    /// The last record that survives a crash of the machine.
    pub fn flushed(&self) -> Option<LogPoint> {
        self.flushed
    }

    /// Of each epoch in the log its last record, ascending.
    pub fn epochs(&self) -> Vec<LogPoint> {
        self.shared.read().epochs()
    }

    /// Epoch of the record `lsn`; `None` where it is not in the log.
    ///
    /// # Errors
    /// None today; reading may become necessary.
    pub fn epoch_at(&self, lsn: Lsn) -> Result<Option<Epoch>, Error> {
        Ok(self.shared.read().epoch_at(lsn))
    }

    /// Is `lsn` the last record of a frame in the log?
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the system.
    pub fn boundary(&self, lsn: Lsn) -> Result<bool, Error> {
        self.reader().boundary(lsn)
    }

    /// The source's state at the tail; `None` while no EpochStart is in the log.
    pub fn context(&self) -> Option<SourceContext> {
        self.context.clone()
    }

    /// For any number of threads beside the writer.
    pub fn reader(&self) -> LogReader {
        LogReader::of(Arc::clone(&self.shared))
    }
}

/// In front of the first frame that this log has, and the source's state there.
pub(crate) fn origin(
    cluster: ClusterId,
    beginning: Option<&Beginning>,
) -> (Link, Option<SourceContext>) {
    match beginning {
        Some(beginning) => (beginning.link(), Some(beginning.context().clone())),
        None => (empty_link(cluster), None),
    }
}

/// In front of the first frame.
pub(crate) fn empty_link(cluster: ClusterId) -> Link {
    Link { last: None, chain: first_chain(cluster), timestamp: None }
}

/// Scans the newest segment, cuts a torn tail, and opens it for writing. One that was written anew
/// stays sealed: an adoption has removed what was behind it.
fn recover_newest(
    disk: &Disk,
    newest: &Segment,
    flushed: Option<Flushed>,
) -> Result<(Scan, Option<Live>), Error> {
    let scan = recover::scan(disk, newest, None)?;
    let torn = recover::judge(disk, newest, &scan, flushed)?;
    if newest.sealed {
        recover::read_to_end(newest, &scan)?;
        return Ok((scan, None));
    }
    let file = disk.open_writable(&newest.path)?;
    let mut capacity = newest.end;
    if torn {
        file.set_length(scan.end)?;
        // Zeros again where the torn bytes were; without space the next frame begins a segment.
        capacity = match file.allocate(newest.end) {
            Ok(()) => newest.end,
            Err(Error::Full { .. }) => scan.end,
            Err(error) => return Err(error),
        };
        file.sync_all()?;
    }
    let live = Live {
        file,
        base: newest.header.base,
        takes: newest.header.takes(),
        end: scan.end,
        capacity,
        empty: scan.frames.is_empty(),
    };
    Ok((scan, Some(live)))
}

/// A view without segments, for a log that is cut down to nothing.
pub(crate) fn drop_segments(view: &mut View, from: usize) {
    view.segments.truncate(from);
    view.index.clear();
}
