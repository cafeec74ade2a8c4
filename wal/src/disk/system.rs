//! What a log asks of a file system, and the system's own answer.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{allocate, map};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    Read,
    /// To read and write what is there.
    Write,
    /// As `Write`; made where it is not there.
    OrCreate,
    /// As `Write`, empty.
    Anew,
}

/// Names: files and folders. Paths are whole paths.
pub(crate) trait Names {
    type File: Content;
    /// Held until it is dropped.
    type Lock;

    fn open(&self, path: &Path, how: Open) -> io::Result<Self::File>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What is in a folder, in any order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Which file bears a name now, and how long it is.
    fn look(&self, path: &Path) -> io::Result<(u64, u64)>;
    /// Replaces what bears the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// With all that is in it.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes names that appeared in, or went from, a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// `None` where another holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
}

/// One open file.
pub(crate) trait Content {
    fn length(&self) -> io::Result<u64>;
    fn set_length(&self, bytes: u64) -> io::Result<()>;
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// At least so many bytes, zeros where new, that are really there.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Data, and what is needed to read it back; not the times of the file.
    fn sync_data(&self) -> io::Result<()>;
    /// Data and length.
    fn sync_all(&self) -> io::Result<()>;
    /// The first bytes, of which there are as many, as memory.
    fn map(&self, length: usize) -> io::Result<Bytes>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct System;

/// Keeps every other writer out; the system lets go when a process dies.
#[derive(Debug)]
pub(crate) struct FileLock(fs::File);

impl Drop for FileLock {
    fn drop(&mut self) {
        // Not left to closing the file: a process that is just being started by another thread has
        // a copy of the descriptor until it runs its program. A failure here is a lock kept longer.
        let _ = self.0.unlock();
    }
}

impl Names for System {
    type File = fs::File;
    type Lock = FileLock;

    fn open(&self, path: &Path, how: Open) -> io::Result<fs::File> {
        OpenOptions::new()
            .read(true)
            .write(how != Open::Read)
            .create(matches!(how, Open::OrCreate | Open::Anew))
            .truncate(how == Open::Anew)
            .open(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn look(&self, path: &Path) -> io::Result<(u64, u64)> {
        let file = fs::metadata(path)?;
        Ok((file.ino(), file.len()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<FileLock>> {
        let file = self.open(path, Open::OrCreate)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FileLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source),
        }
    }
}

impl Content for fs::File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        allocate::allocate(self, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        fs::File::sync_all(self)
    }

    fn map(&self, length: usize) -> io::Result<Bytes> {
        map::map(self, length)
    }
}
