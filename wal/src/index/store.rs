//! Where indexes come from: memory, the file beside the segment, or the segment itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{SegmentIndex, Summary, bytes};
use crate::segment::{Before, SegmentHeader};
use crate::view::Shared;
use crate::{ClusterId, Disk, Error, LogReader, Lsn, disk};

const EXTENSION: &str = "idx";

/// Indexes kept in memory, in bytes; those of about 20 GiB of log in usual frames.
const CACHE_BYTES: usize = 32 << 20;

/// What finders share.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    known: Mutex<Known>,
    /// Of the newest segment. Held while what was written since is read: finders wait for one another.
    growing: Mutex<Option<Growing>>,
}

#[derive(Debug)]
struct Growing {
    generation: u64,
    index: Arc<SegmentIndex>,
}

#[derive(Debug, Default)]
struct Known {
    /// Of the view that all of it was true in: a cut empties it.
    generation: u64,
    /// Of every sealed segment looked at.
    summaries: BTreeMap<Lsn, Arc<Summary>>,
    /// Newest last.
    kept: VecDeque<(Lsn, Arc<SegmentIndex>)>,
    weight: usize,
    /// Those whose file is as it should be.
    written: BTreeSet<Lsn>,
}

/// A sealed segment, with what its successor says about it.
struct Sealed {
    generation: u64,
    header: SegmentHeader,
    path: PathBuf,
    end: u64,
    next: Lsn,
    after: Before,
}

/// Takes the index of the segment at `path` away; it describes what is about to go.
pub(crate) fn forget(disk: &Disk, path: &Path) {
    // An index that stays is not believed: it is tied to its segment.
    let _ = disk.remove(&path.with_extension(EXTENSION));
}

/// Offset and first record of the run with `lsn` in the sealed segment `base`, where that takes no
/// reading of the segment.
pub(crate) fn run_of(shared: &Arc<Shared>, base: Lsn, lsn: Lsn) -> Option<(u64, Lsn)> {
    let sealed = sealed(shared, base)?;
    let known = shared.indexes.known(sealed.generation).index(base);
    let index = known.or_else(|| shared.indexes.load(shared.identity.cluster, &sealed))?;
    index.run_of(lsn)
}

fn sealed(shared: &Shared, base: Lsn) -> Option<Sealed> {
    let view = shared.read();
    let place = view.segment_of(base)?;
    let next = view.segments.get(place + 1)?;
    let segment = view.segments.get(place).filter(|segment| segment.header.base == base)?;
    Some(Sealed {
        generation: view.generation,
        header: segment.header.clone(),
        path: segment.path.clone(),
        end: segment.end,
        next: next.header.base,
        after: next.header.before,
    })
}

impl Sealed {
    /// Is this the index of this segment?
    fn is_of(&self, index: &SegmentIndex) -> bool {
        let SegmentIndex { epoch, base, last, end, chains, .. } = index;
        (*base, *epoch, *end) == (self.header.base, self.header.epoch, self.end)
            && *last == self.next.previous()
            && *chains == (self.header.before.chain, self.after.chain)
            && self.header.rewritten.map_or(self.end, |anew| anew.sealed) == self.after.bytes
    }
}

impl Indexes {
    fn known(&self, generation: u64) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.generation != generation {
            *known = Known { generation, ..Known::default() };
        }
        known
    }

    /// From its file, if that is one and this segment's.
    fn load(&self, cluster: ClusterId, sealed: &Sealed) -> Option<Arc<SegmentIndex>> {
        let path = sealed.path.with_extension(EXTENSION);
        let length = fs::metadata(&path).ok()?.len();
        if length > bytes::MAX_BYTES {
            return None;
        }
        let index = SegmentIndex::decode(&fs::read(&path).ok()?, cluster).ok()?;
        let index = Arc::new(index);
        sealed.is_of(&index).then(|| {
            let mut known = self.known(sealed.generation);
            known.keep(&index);
            known.written.insert(index.base);
            drop(known);
            index
        })
    }
}

impl Known {
    fn index(&self, base: Lsn) -> Option<Arc<SegmentIndex>> {
        self.kept.iter().find(|(kept, _)| *kept == base).map(|(_, index)| Arc::clone(index))
    }

    fn keep(&mut self, index: &Arc<SegmentIndex>) {
        let base = index.base;
        self.summaries.entry(base).or_insert_with(|| Arc::new(Summary::of(index)));
        if self.index(base).is_some() {
            return;
        }
        self.kept.push_back((base, Arc::clone(index)));
        self.weight += index.weight();
        while self.weight > CACHE_BYTES && self.kept.len() > 1 {
            let Some((_, gone)) = self.kept.pop_front() else { break };
            self.weight = self.weight.saturating_sub(gone.weight());
        }
    }

    /// Forgets what the log begins behind.
    fn forget_before(&mut self, first: Lsn) {
        self.summaries.retain(|base, _| *base >= first);
        self.written.retain(|base| *base >= first);
        let gone = |(base, _): &(Lsn, Arc<SegmentIndex>)| *base < first;
        self.weight -=
            self.kept.iter().filter(|one| gone(one)).map(|one| one.1.weight()).sum::<usize>();
        self.kept.retain(|one| !gone(one));
    }
}

impl LogReader {
    /// The index of segment `base`; `None` where it went meanwhile.
    pub(crate) fn index_of(&self, base: Lsn) -> Result<Option<Arc<SegmentIndex>>, Error> {
        let shared = self.shared();
        let Some(sealed) = sealed(shared, base) else {
            return self.growing(base);
        };
        if let Some(index) = shared.indexes.known(sealed.generation).index(base) {
            return Ok(Some(index));
        }
        match shared.indexes.load(shared.identity.cluster, &sealed) {
            Some(index) => Ok(Some(index)),
            None => self.read_through(&sealed),
        }
    }

    /// What segment `base` may hold; `None` where it went meanwhile.
    pub(crate) fn summary_of(&self, base: Lsn) -> Result<Option<Arc<Summary>>, Error> {
        let generation = self.view(|view| view.generation);
        if let Some(known) = self.shared().indexes.known(generation).summaries.get(&base) {
            return Ok(Some(Arc::clone(known)));
        }
        Ok(self.index_of(base)?.map(|index| Arc::new(Summary::of(&index))))
    }

    /// Makes the index of a sealed segment from its frames.
    fn read_through(&self, sealed: &Sealed) -> Result<Option<Arc<SegmentIndex>>, Error> {
        let mut index = match self.grown(sealed) {
            Some(index) => index,
            None => Arc::new(SegmentIndex::begin(&sealed.header)),
        };
        if !self.catch_up(&mut index, sealed.next.previous())? || !sealed.is_of(&index) {
            return Ok(None);
        }
        self.shared().indexes.known(sealed.generation).keep(&index);
        Ok(Some(index))
    }

    /// What was seen of a segment while it was the newest.
    fn grown(&self, sealed: &Sealed) -> Option<Arc<SegmentIndex>> {
        let growing = &self.shared().indexes.growing;
        let growing = growing.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &&Growing| {
            one.generation == sealed.generation && one.index.base == sealed.header.base
        };
        growing.as_ref().filter(same).map(|one| Arc::clone(&one.index))
    }

    /// The newest segment's, as far as it is written now.
    fn growing(&self, base: Lsn) -> Result<Option<Arc<SegmentIndex>>, Error> {
        let mut growing =
            self.shared().indexes.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.view(|view| {
            let newest = view.segments.last().filter(|newest| newest.header.base == base)?;
            Some((view.generation, view.written?, newest.header.clone()))
        });
        let Some((generation, written, header)) = now else { return Ok(None) };
        let kept =
            growing.take().filter(|one| one.generation == generation && one.index.base == base);
        let mut index = match kept {
            Some(kept) => kept.index,
            None => Arc::new(SegmentIndex::begin(&header)),
        };
        if !self.catch_up(&mut index, Some(written.lsn))? {
            return Ok(None);
        }
        *growing = Some(Growing { generation, index: Arc::clone(&index) });
        Ok(Some(index))
    }

    /// Reads on up to record `last`; `false` where the segment was cut or removed meanwhile.
    fn catch_up(&self, index: &mut Arc<SegmentIndex>, last: Option<Lsn>) -> Result<bool, Error> {
        let (Some(last), next) = (last, Lsn::after(index.last)) else { return Ok(true) };
        let mut cursor = match self.cursor(next) {
            Ok(cursor) => cursor,
            Err(error) => return went(error),
        };
        while index.last < Some(last) {
            let frame = match cursor.next_frame(last) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(false),
                Err(error) => return went(error),
            };
            let at = cursor.place().map(|(path, _)| path.to_owned()).unwrap_or_default();
            let growing = Arc::make_mut(index);
            let offset = growing.end;
            growing.add(&frame).map_err(|error| match error {
                Error::BadFrame(fault) => Error::damaged(&at, offset, fault),
                other => other,
            })?;
        }
        Ok(true)
    }

    /// Writes the indexes of sealed segments that have none, or none that is right, but no more than
    /// `most`; returns how many it wrote. For the process that writes the log, away from the thread
    /// that does: an index is not fsynced, and its loss costs a reading of its segment.
    ///
    /// # Errors
    /// Those of [`crate::Cursor::next_frame`]; [`Error::Full`]; others of the system.
    pub fn index_sealed(&self, most: usize) -> Result<usize, Error> {
        let (generation, bases) = self.bases();
        let indexes = &self.shared().indexes;
        let mut made = 0;
        if let Some(first) = bases.first() {
            indexes.known(generation).forget_before(*first);
        }
        for base in bases {
            let Some(sealed) = sealed(self.shared(), base) else { break };
            let known = |base| indexes.known(sealed.generation).written.contains(base);
            if known(&base) || indexes.load(self.cluster(), &sealed).is_some() {
                continue;
            }
            if made == most {
                break;
            }
            if let Some(index) = self.index_of(base)? {
                save(&sealed.path.with_extension(EXTENSION), &index.encode(self.cluster()))?;
                indexes.known(sealed.generation).written.insert(base);
                made += 1;
            }
        }
        Ok(made)
    }

    /// Has the sealed segment `base` an index file that is whole and its own? Read once.
    pub(crate) fn is_indexed(&self, base: Lsn) -> bool {
        let Shared { indexes, identity, .. } = &**self.shared();
        sealed(self.shared(), base).is_some_and(|sealed| {
            let known = indexes.known(sealed.generation).written.contains(&base);
            known || indexes.load(identity.cluster, &sealed).is_some()
        })
    }

    /// First records of the segments, oldest first.
    pub(crate) fn bases(&self) -> (u64, Vec<Lsn>) {
        self.view(|view| {
            let bases = view.segments.iter().map(|segment| segment.header.base).collect();
            (view.generation, bases)
        })
    }
}

/// What was being read went away: no damage.
fn went(error: Error) -> Result<bool, Error> {
    match error {
        Error::Cut(_) | Error::Gone { .. } => Ok(false),
        error => Err(error),
    }
}

fn save(path: &Path, index: &[u8]) -> Result<(), Error> {
    if index.len() as u64 > bytes::MAX_BYTES {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".");
    temporary.push(disk::TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let written = fs::write(&temporary, index).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source: io::Error| {
        // Best effort: a left-over is removed at the next opening.
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, source)
    })
}
