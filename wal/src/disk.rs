//! The door to the file system: whole reads and writes at an offset, fsync, and files that appear
//! only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// Ending of a file that is being made; one that is left over means nothing.
pub(crate) const TEMPORARY: &str = "tmp";

pub(crate) fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::io("open", path, source))
}

pub(crate) fn open_writable(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|source| Error::io("open", path, source))
}

pub(crate) fn length(file: &File, path: &Path) -> Result<u64, Error> {
    Ok(file.metadata().map_err(|source| Error::io("read", path, source))?.len())
}

pub(crate) fn set_length(file: &File, path: &Path, bytes: u64) -> Result<(), Error> {
    file.set_len(bytes).map_err(|source| Error::io("resize", path, source))
}

pub(crate) fn read_at(file: &File, path: &Path, into: &mut [u8], offset: u64) -> Result<(), Error> {
    file.read_exact_at(into, offset).map_err(|source| Error::io("read", path, source))
}

pub(crate) fn write_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> Result<(), Error> {
    #[cfg(test)]
    let bytes = match faults::write(bytes.len()) {
        None => bytes,
        Some((written, error)) => {
            file.write_all_at(&bytes[..written], offset).unwrap();
            return Err(Error::io("write", path, error));
        }
    };
    file.write_all_at(bytes, offset).map_err(|source| Error::io("write", path, source))
}

/// Data, and what is needed to read it back; not the times of the file.
pub(crate) fn sync_data(file: &File, path: &Path) -> Result<(), Error> {
    #[cfg(test)]
    faults::sync().map_err(|source| Error::sync(path, source))?;
    file.sync_data().map_err(|source| Error::sync(path, source))
}

/// Data and length.
pub(crate) fn sync_all(file: &File, path: &Path) -> Result<(), Error> {
    #[cfg(test)]
    faults::sync().map_err(|source| Error::sync(path, source))?;
    file.sync_all().map_err(|source| Error::sync(path, source))
}

/// Makes names that appeared in, or went from, `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let opened = File::open(folder);
    let synced = opened.and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::sync(folder, source))
}

/// Makes a file beside its later `path`, without its name yet: `fill`ed and fsynced.
///
/// # Errors
/// Those of `fill` and of the system; nothing is left behind then.
pub(crate) fn prepare(
    path: &Path,
    fill: impl FnOnce(&File, &Path) -> Result<(), Error>,
) -> Result<(File, PathBuf), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".");
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let made =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary);
    let file = made.map_err(|source| Error::io("create", &temporary, source))?;
    let filled = fill(&file, &temporary).and_then(|()| sync_all(&file, &temporary));
    match filled {
        Ok(()) => Ok((file, temporary)),
        Err(error) => {
            // Best effort: a left-over is removed at the next opening.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// Gives a prepared file its name, durably. Replaces what bore it.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(temporary, path).map_err(|source| Error::io("rename", temporary, source))?;
    sync_folder(parent(path))
}

/// The folder of a path, which may be a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| Error::io("remove", path, source))
}

/// What a test lets the disk do wrong next, in its own thread.
#[cfg(test)]
pub(crate) mod faults {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static SPACE: Cell<Option<usize>> = const { Cell::new(None) };
        static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
    }

    /// After so many more bytes the disk is full.
    pub fn set_space(bytes: Option<usize>) {
        SPACE.set(bytes);
    }

    pub fn set_sync_fails(fails: bool) {
        SYNC_FAILS.set(fails);
    }

    pub fn write(bytes: usize) -> Option<(usize, io::Error)> {
        let space = SPACE.get()?;
        SPACE.set(Some(space.saturating_sub(bytes)));
        (bytes > space).then(|| (space, io::ErrorKind::StorageFull.into()))
    }

    pub fn sync() -> io::Result<()> {
        if SYNC_FAILS.get() { Err(io::Error::other("planted")) } else { Ok(()) }
    }
}
