//! What the writer lets readers see: which segments there are, how far they are written, and what
//! an adoption cut off.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::beginning::Beginning;
use crate::disk::Disk;
use crate::folder::Identity;
use crate::index::Indexes;
use crate::segment::SegmentHeader;
use crate::{Epoch, LogPoint, Lsn};

/// One segment of the view.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub header: SegmentHeader,
    pub path: PathBuf,
    /// Its bytes that readers may read: all of a sealed one.
    pub end: u64,
    /// Never written again.
    pub sealed: bool,
}

impl Segment {
    /// Its length as it was sealed, which the header behind it names.
    pub fn sealed_bytes(&self) -> u64 {
        self.header.rewritten.map_or(self.end, |rewritten| rewritten.sealed)
    }
}

/// The log as of now.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Oldest first.
    pub segments: Vec<Segment>,
    /// The last record that is written.
    pub written: Option<LogPoint>,
    /// Grows with every cut, and with every file that was replaced.
    pub generation: u64,
    /// What cuts kept: (generation after the cut, last record kept). Ascending in both: of a later
    /// cut that kept less, the earlier ones say nothing more.
    cuts: Vec<(u64, Option<Lsn>)>,
    /// What is in front of the segments, where that is not record 1.
    pub beginning: Option<Arc<Beginning>>,
    /// Some frame starts of the newest segment, one every [`INDEX_BYTES`].
    pub index: Vec<(Lsn, u64)>,
}

/// How far apart entries of the index are: one entry stands for a millisecond of reading at most.
const INDEX_BYTES: u64 = 64 << 10;

/// The view, shared.
#[derive(Debug)]
pub(crate) struct Shared {
    pub disk: Disk,
    pub dir: PathBuf,
    pub identity: Identity,
    view: RwLock<View>,
    format: Mutex<Option<FormatKnown>>,
    /// Made when something is sought; no part of what the writer does.
    pub indexes: Indexes,
    /// Held by whoever replaces or removes files of segments that are there, from looking at the view
    /// to changing it.
    files: Mutex<()>,
}

/// The format description in force from the segment `base` on up to the record `through`, and the
/// record that carries it.
#[derive(Debug, Clone)]
pub(crate) struct FormatKnown {
    pub generation: u64,
    pub base: Lsn,
    pub through: Lsn,
    pub found: Option<(Lsn, Bytes)>,
}

impl Shared {
    pub fn new(disk: Disk, dir: PathBuf, identity: Identity, view: View) -> Arc<Shared> {
        let (indexes, files, format) = (Indexes::default(), Mutex::new(()), Mutex::new(None));
        let view = RwLock::new(view);
        Arc::new(Shared { disk, dir, identity, view, format, indexes, files })
    }

    /// Held for a few comparisons or a push, never across I/O.
    pub fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the last search for a format description found.
    pub fn known_format(&self) -> MutexGuard<'_, Option<FormatKnown>> {
        self.format.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Shared::files`]. It guards no data: a panic elsewhere leaves nothing half changed in it.
    pub fn lock_files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    pub fn first_lsn(&self) -> Option<Lsn> {
        let first = self.segments.first()?.header.base;
        self.written.filter(|written| written.lsn >= first).map(|_| first)
    }

    /// Index of the segment that holds `lsn`, or would.
    pub fn segment_of(&self, lsn: Lsn) -> Option<usize> {
        self.segments.partition_point(|segment| segment.header.base <= lsn).checked_sub(1)
    }

    /// Epoch of a record that is there.
    pub fn epoch_at(&self, lsn: Lsn) -> Option<Epoch> {
        self.written.filter(|written| lsn <= written.lsn)?;
        self.segments.get(self.segment_of(lsn)?).map(|segment| segment.header.epoch)
    }

    /// The last record of each epoch, ascending; also of those whose records were removed.
    pub fn epochs(&self) -> Vec<LogPoint> {
        let first = self.segments.first().map(|segment| segment.header.base);
        let before = |point: &&LogPoint| first.is_none_or(|first| point.lsn < first);
        let gone = self.beginning.iter().flat_map(|beginning| beginning.epochs());
        let mut points: Vec<LogPoint> = gone.filter(before).copied().collect();
        let Some(written) = self.written else {
            return points;
        };
        for (index, segment) in self.segments.iter().enumerate() {
            let last = match self.segments.get(index + 1) {
                Some(next) => next.header.base.previous(),
                None => Some(written.lsn),
            };
            let Some(lsn) = last.filter(|&last| last >= segment.header.base) else {
                continue;
            };
            match points.last_mut() {
                Some(point) if point.epoch == segment.header.epoch => point.lsn = lsn,
                _ => points.push(LogPoint { epoch: segment.header.epoch, lsn }),
            }
        }
        points
    }

    /// A frame from `offset` on was written to the newest segment, which now ends at `end`.
    pub fn grew(&mut self, first: Lsn, offset: u64, end: u64, written: LogPoint) {
        let due = self.index.last().is_none_or(|&(_, last)| offset - last >= INDEX_BYTES);
        if due {
            self.index.push((first, offset));
        }
        if let Some(newest) = self.segments.last_mut() {
            newest.end = end;
        }
        self.written = Some(written);
    }

    /// Everything behind `keep` is gone.
    pub fn cut(&mut self, keep: Option<LogPoint>) {
        let kept = keep.map(|point| point.lsn);
        self.generation += 1;
        self.cuts.retain(|&(_, before)| before < kept);
        self.cuts.push((self.generation, kept));
        self.written = keep;
        self.index.retain(|&(first, _)| Some(first) <= kept);
    }

    /// Was the record before `next` cut off since `generation`?
    pub fn was_cut(&self, generation: u64, next: Lsn) -> bool {
        let since = self.cuts.partition_point(|&(cut, _)| cut <= generation);
        // Ascending: the first one since then kept the least.
        self.cuts.get(since).is_some_and(|&(_, kept)| next.previous() > kept)
    }

    /// Where to start looking for `lsn` in the newest segment.
    pub fn hint(&self, lsn: Lsn) -> Option<(u64, Lsn)> {
        let behind = self.index.partition_point(|&(first, _)| first <= lsn);
        self.index.get(behind.checked_sub(1)?).map(|&(first, offset)| (offset, first))
    }
}
