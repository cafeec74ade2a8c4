//! The log's oldest segments go (retention), or were never here (a member that begins later).
//!
//! What the rest stands on is written first; then the segments leave the view, so that no reader
//! begins there any more; then the files go, oldest first. Whatever breaks off: what is left is dense.

use std::path::PathBuf;
use std::sync::Arc;

use crate::beginning::Beginning;
use crate::{Disk, Error, Fault, Log, Lsn, index};

/// Segments that are out of the log, their files still there.
#[derive(Debug)]
#[must_use = "the files come back at the next opening unless they are removed"]
pub struct Removal {
    disk: Disk,
    dir: PathBuf,
    paths: Vec<PathBuf>,
    bytes: u64,
}

impl Removal {
    /// How many segments.
    pub fn segments(&self) -> usize {
        self.paths.len()
    }

    /// Bytes of them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Removes the files, durably. May run beside the log's writer, on any thread.
    ///
    /// # Errors
    /// Those of the system: what is left is gone from the log, and comes back at its next opening.
    pub fn finish(self) -> Result<(), Error> {
        for path in &self.paths {
            index::forget(&self.disk, path);
            self.disk.remove(path)?;
            self.disk.sync_folder(&self.dir)?;
        }
        Ok(())
    }
}

impl Log {
    /// Takes the oldest segments out of the log, as far as all their records lie before `keep`; never
    /// the newest one. Readers that stand there get [`Error::Gone`]. What may go is the caller's to
    /// know: nothing that is not visible yet, and nothing that somebody needs.
    ///
    /// # Errors
    /// The log is as before: [`Error::Damaged`], [`Error::Full`], others of the system.
    pub fn remove_before(&mut self, keep: Lsn) -> Result<Removal, Error> {
        self.usable()?;
        // Nobody puts a file back under a name that is about to go.
        let shared = Arc::clone(&self.shared);
        let _files = shared.lock_files();
        let view = self.shared.read();
        let nexts = view.segments.iter().skip(1);
        let count = nexts.take_while(|next| next.header.base <= keep).count();
        let first = view.segments.get(count).cloned();
        let gone = view.segments.iter().take(count);
        let paths = gone.clone().map(|segment| segment.path.clone()).collect();
        let bytes = gone.map(|segment| segment.end).sum();
        drop(view);
        let removal =
            Removal { disk: self.shared.disk.clone(), dir: self.dir.clone(), paths, bytes };
        if let Some(first) = first.filter(|_| count > 0) {
            let beginning = Beginning::before(&self.reader(), &first)?;
            beginning.store(&self.shared.disk, &self.dir)?;
            let mut view = self.shared.write();
            view.segments.drain(..count);
            view.beginning = Some(Arc::new(beginning));
        }
        Ok(removal)
    }

    /// Lets an empty log begin later than with record 1: where another member's does. Durable on
    /// return.
    ///
    /// # Errors
    /// [`Error::Refused`]: this log is not empty, or begins elsewhere already. Others as
    /// [`Log::append`].
    pub fn begin(&mut self, beginning: Beginning) -> Result<(), Error> {
        self.usable()?;
        if let Some(last) = self.link.last {
            let (expected, found) = (last.lsn.next(), beginning.last().lsn.next());
            return Err(Error::Refused(Fault::Lsn { expected, found }));
        }
        beginning.fits(self.cluster()).map_err(Error::Refused)?;
        // A segment that no frame followed yet claims that the log begins with record 1.
        let disk = self.shared.disk.clone();
        let empty = self.live.take().map(|live| live.file.path().to_owned());
        let removed = empty
            .map_or(Ok(()), |path| disk.remove(&path).and_then(|()| disk.sync_folder(&self.dir)));
        removed.map_err(|error| self.poison(error))?;
        self.shared.write().segments.clear();
        beginning.store(&self.shared.disk, &self.dir)?;
        self.link = beginning.link();
        self.context = Some(beginning.context().clone());
        self.flushed = self.link.last;
        self.shared.write().beginning = Some(Arc::new(beginning));
        Ok(())
    }
}
