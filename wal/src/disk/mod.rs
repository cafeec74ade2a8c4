//! The door to the file system: whole reads and writes at an offset, fsync, and files that appear
//! only when they are whole.
//!
//! In: paths and bytes. Out: bytes, or an [`Error`] that names the file. Everything a log reads or
//! writes goes through a [`Disk`]: the system's, or in tests one in memory that forgets what was
//! not fsynced (`sim.rs`). Outside tests there is one kind only, and so nothing to choose between.
//! Knows nothing of segments.

mod allocate;
mod map;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod system;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{Error, Fault};
pub use allocate::free_bytes;
use system::{Content, FileLock, Names, Open, System};

/// Ending of a file that is being made; one that is left over means nothing.
pub(crate) const TEMPORARY: &str = "tmp";

/// Where a log lies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Disk(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System(System),
    #[cfg(any(test, feature = "sim"))]
    Sim(sim::SimDisk),
}

/// An open file, and the name by which errors call it.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    content: Opened,
}

#[derive(Debug)]
enum Opened {
    System(std::fs::File),
    #[cfg(any(test, feature = "sim"))]
    Sim(sim::SimFile),
}

/// Keeps every other writer out for as long as it lives.
pub(crate) struct Lock {
    /// Held, never read. `None` on a simulated disk, which has one writer.
    _file: Option<FileLock>,
}

/// The same call on whichever kind it is.
macro_rules! on {
    ($of:expr, $kind:ident, $one:ident => $call:expr) => {
        match $of {
            $kind::System($one) => $call,
            #[cfg(any(test, feature = "sim"))]
            $kind::Sim($one) => $call,
        }
    };
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::system()
    }
}

impl Disk {
    /// The operating system's.
    pub const fn system() -> Disk {
        Disk(Kind::System(System))
    }

    /// One in memory.
    #[cfg(any(test, feature = "sim"))]
    pub fn simulated(disk: &sim::SimDisk) -> Disk {
        Disk(Kind::Sim(disk.clone()))
    }

    fn open_as(&self, path: &Path, how: Open, what: &'static str) -> Result<File, Error> {
        let content = match &self.0 {
            Kind::System(names) => names.open(path, how).map(Opened::System),
            #[cfg(any(test, feature = "sim"))]
            Kind::Sim(names) => names.open(path, how).map(Opened::Sim),
        };
        let content = content.map_err(|source| Error::io(what, path, source))?;
        Ok(File { path: path.to_owned(), content })
    }

    /// To read.
    pub(crate) fn open(&self, path: &Path) -> Result<File, Error> {
        self.open_as(path, Open::Read, "open")
    }

    /// To read and write what is there.
    pub(crate) fn open_writable(&self, path: &Path) -> Result<File, Error> {
        self.open_as(path, Open::Write, "open")
    }

    /// To read and write; made where it is not there.
    pub(crate) fn open_or_create(&self, path: &Path) -> Result<File, Error> {
        self.open_as(path, Open::OrCreate, "open")
    }

    /// To read and write, empty.
    pub(crate) fn create(&self, path: &Path) -> Result<File, Error> {
        self.open_as(path, Open::Anew, "create")
    }

    /// All of a file; `None` where there is none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        match on!(&self.0, Kind, names => names.read(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// Replaces a small file, or makes it: afterwards, and after a crash at any instant, it holds
    /// all of `bytes` or what it held before. Durable on return.
    ///
    /// # Errors
    /// [`Error::Full`]: it holds what it held before. [`Error::Sync`]: which of the two is not
    /// known. Others of the system.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let file = self.prepare(path, |file| file.write_at(bytes, 0))?;
        self.publish(file, path).map(drop)
    }

    /// What is in a folder, in any order.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let listed = on!(&self.0, Kind, names => names.list(folder));
        listed.map_err(|source| Error::io("list", folder, source))
    }

    /// What tells a replaced or sealed file from the one before: which file it is, and its length.
    /// `None` where there is none.
    pub(crate) fn look(&self, path: &Path) -> Result<Option<(u64, u64)>, Error> {
        match on!(&self.0, Kind, names => names.look(path)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        let removed = on!(&self.0, Kind, names => names.remove(path));
        removed.map_err(|source| Error::io("remove", path, source))
    }

    pub(crate) fn create_folder(&self, path: &Path) -> Result<(), Error> {
        let created = on!(&self.0, Kind, names => names.create_folder(path));
        created.map_err(|source| Error::io("create", path, source))
    }

    /// With those above it that are missing, each durably.
    pub(crate) fn create_folders(&self, path: &Path) -> Result<(), Error> {
        let mut missing: Vec<&Path> = Vec::new();
        for folder in path.ancestors().filter(|folder| folder.file_name().is_some()) {
            if self.look(folder)?.is_some() {
                // A process that was killed right here may have made it.
                self.sync_name(folder)?;
                break;
            }
            missing.push(folder);
        }
        for folder in missing.into_iter().rev() {
            self.create_folder(folder)?;
            self.sync_folder(parent(folder))?;
        }
        Ok(())
    }

    /// With all that is in it.
    pub(crate) fn remove_folder(&self, path: &Path) -> Result<(), Error> {
        let removed = on!(&self.0, Kind, names => names.remove_folder(path));
        removed.map_err(|source| Error::io("remove", path, source))
    }

    /// Renames, durably. Replaces what bore the name.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let renamed = on!(&self.0, Kind, names => names.rename(from, to));
        renamed.map_err(|source| Error::io("rename", from, source))?;
        self.sync_folder(parent(to))
    }

    /// Makes names that appeared in, or went from, `folder` durable.
    pub(crate) fn sync_folder(&self, folder: &Path) -> Result<(), Error> {
        let synced = on!(&self.0, Kind, names => names.sync_folder(folder));
        synced.map_err(|source| Error::sync(folder, source))
    }

    /// Makes the name of a file or folder durable that an earlier process may have made. Where the
    /// folder above is not ours to read, it was not.
    pub(crate) fn sync_name(&self, path: &Path) -> Result<(), Error> {
        match self.sync_folder(parent(path)) {
            Err(Error::Sync { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                Ok(())
            }
            synced => synced,
        }
    }

    /// Takes the lock that is the file `path`; `None` where another process has it.
    pub(crate) fn lock(&self, path: &Path) -> Result<Option<Lock>, Error> {
        let locked = match &self.0 {
            Kind::System(names) => names.lock(path).map(|lock| lock.map(Some)),
            #[cfg(any(test, feature = "sim"))]
            Kind::Sim(names) => names.lock(path).map(|lock| lock.map(|()| None)),
        };
        let locked = locked.map_err(|source| Error::io("lock", path, source))?;
        Ok(locked.map(|file| Lock { _file: file }))
    }

    /// Makes a file beside its later `path`, without its name yet: `fill`ed and fsynced.
    ///
    /// # Errors
    /// Those of `fill` and of the system; nothing is left behind then.
    pub(crate) fn prepare(
        &self,
        path: &Path,
        fill: impl FnOnce(&File) -> Result<(), Error>,
    ) -> Result<File, Error> {
        let temporary = temporary(path);
        let file = self.create(&temporary)?;
        match fill(&file).and_then(|()| file.sync_all()) {
            Ok(()) => Ok(file),
            Err(error) => {
                // Best effort: a left-over is removed at the next opening.
                let _ = self.remove(&temporary);
                Err(error)
            }
        }
    }

    /// Gives a prepared file its name, durably. Replaces what bore it.
    pub(crate) fn publish(&self, file: File, path: &Path) -> Result<File, Error> {
        self.rename(&file.path, path)?;
        Ok(File { path: path.to_owned(), ..file })
    }
}

impl File {
    /// As it was opened, or published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn length(&self) -> Result<u64, Error> {
        let length = on!(&self.content, Opened, file => Content::length(file));
        length.map_err(|source| Error::io("read", &self.path, source))
    }

    pub fn set_length(&self, bytes: u64) -> Result<(), Error> {
        let set = on!(&self.content, Opened, file => Content::set_length(file, bytes));
        set.map_err(|source| Error::io("resize", &self.path, source))
    }

    /// All of `into`.
    pub fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), Error> {
        let read = on!(&self.content, Opened, file => Content::read_at(file, into, offset));
        read.map_err(|source| Error::io("read", &self.path, source))
    }

    /// All of `bytes`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let written = on!(&self.content, Opened, file => Content::write_at(file, bytes, offset));
        written.map_err(|source| Error::io("write", &self.path, source))
    }

    /// Grows the file to at least `bytes` of zeros that are really there, so that a later write
    /// neither changes its length nor runs out of space.
    pub fn allocate(&self, bytes: u64) -> Result<(), Error> {
        let grown = on!(&self.content, Opened, file => Content::allocate(file, bytes));
        grown.map_err(|source| Error::io("allocate", &self.path, source))
    }

    /// Data, and what is needed to read it back; not the times of the file.
    pub fn sync_data(&self) -> Result<(), Error> {
        let synced = on!(&self.content, Opened, file => Content::sync_data(file));
        synced.map_err(|source| Error::sync(&self.path, source))
    }

    /// Data and length.
    pub fn sync_all(&self) -> Result<(), Error> {
        let synced = on!(&self.content, Opened, file => Content::sync_all(file));
        synced.map_err(|source| Error::sync(&self.path, source))
    }

    /// The first `bytes` of a file that is never written again, as memory.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the file is shorter; those of the system.
    pub fn map(&self, bytes: u64) -> Result<Bytes, Error> {
        let found = self.length()?;
        let length = usize::try_from(bytes).ok().filter(|_| found >= bytes);
        let Some(length) = length else {
            let short = Fault::Short { expected: bytes, found };
            return Err(Error::damaged(&self.path, found, short));
        };
        let mapped = on!(&self.content, Opened, file => Content::map(file, length));
        mapped.map_err(|source| Error::io("map", &self.path, source))
    }
}

/// The name under which `path` is being made.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".");
    temporary.push(TEMPORARY);
    PathBuf::from(temporary)
}

/// The folder of a path, which may be a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
