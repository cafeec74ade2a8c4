//! What lies in a log folder beside the segments: whose log it is, the lock of its writer, and how
//! far it is known to be flushed. `FORMAT.md`, "Folder".

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::codec::{Input, Sink};
use crate::{ClusterId, Error, Fault, Incarnation, Lsn, disk};

const IDENTITY: &str = "identity";
const LOCK: &str = "lock";
pub(crate) const FLUSHED: &str = "flushed";
const SEGMENT: &str = "seg";

const IDENTITY_MAGIC: &[u8; 8] = b"PLIMLOG\n";
pub(crate) const FLUSHED_MAGIC: &[u8; 8] = b"PLIMFLU\n";

/// Whose log a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub cluster: ClusterId,
    pub incarnation: Incarnation,
}

/// Makes `dir` with its identity, whole or not at all.
pub(crate) fn create(dir: &Path, identity: Identity) -> Result<(), Error> {
    let occupied = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => dir.exists(),
    };
    if occupied {
        return Err(Error::Exists(dir.to_owned()));
    }
    let parent = disk::parent(dir);
    fs::create_dir_all(parent).map_err(|source| Error::io("create", parent, source))?;
    let mut temporary = dir.as_os_str().to_owned();
    temporary.push(".");
    temporary.push(disk::TEMPORARY);
    let temporary = PathBuf::from(temporary);
    if temporary.exists() {
        let removed = fs::remove_dir_all(&temporary);
        removed.map_err(|source| Error::io("remove", &temporary, source))?;
    }
    fs::create_dir(&temporary).map_err(|source| Error::io("create", &temporary, source))?;
    let made = fill(&temporary, identity).and_then(|()| disk::publish(&temporary, dir));
    if made.is_err() {
        // Best effort: the next `create` removes it too.
        let _ = fs::remove_dir_all(&temporary);
    }
    made
}

fn fill(folder: &Path, identity: Identity) -> Result<(), Error> {
    let mut bytes = Vec::new();
    bytes.put(IDENTITY_MAGIC);
    bytes.put(&1u16.to_le_bytes());
    bytes.put(identity.cluster.bytes());
    bytes.put(identity.incarnation.bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.u32(crc);
    let path = folder.join(IDENTITY);
    let (_, temporary) = disk::prepare(&path, |file, path| disk::write_at(file, path, &bytes, 0))?;
    disk::publish(&temporary, &path)
}

/// Reads whose log `dir` holds.
pub(crate) fn identity(dir: &Path) -> Result<Identity, Error> {
    let path = dir.join(IDENTITY);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound) => {
            return Err(Error::NotALog(dir.to_owned()));
        }
        Err(error) => return Err(Error::io("read", &path, error)),
    };
    parse_identity(&bytes).map_err(|fault| Error::damaged(&path, 0, fault))
}

fn parse_identity(bytes: &[u8]) -> Result<Identity, Fault> {
    let mut input = Input::new(checked(bytes, "identity")?);
    if input.take(8, "magic").map_err(Fault::Field)? != IDENTITY_MAGIC {
        return Err(Fault::Magic("log identity"));
    }
    match input.u16("version").map_err(Fault::Field)? {
        1 => {}
        version => return Err(Fault::Version(version)),
    }
    let cluster = ClusterId::from_bytes(input.id("cluster").map_err(Fault::Field)?);
    let incarnation = Incarnation::from_bytes(input.id("incarnation").map_err(Fault::Field)?);
    input.end("identity").map_err(Fault::Field)?;
    Ok(Identity { cluster, incarnation })
}

/// `bytes` without the CRC32 that ends them.
fn checked<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a [u8], Fault> {
    let found = bytes.len() as u64;
    let (checked, crc) =
        bytes.split_last_chunk::<4>().ok_or(Fault::Short { expected: 4, found })?;
    let (expected, found) = (crc32fast::hash(checked), u32::from_le_bytes(*crc));
    if expected == found { Ok(checked) } else { Err(Fault::Checksum { what, expected, found }) }
}

/// Keeps every other writer out for as long as it lives; the system lets go when a process dies.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Not left to closing the file: a process that is just being started by another thread has
        // a copy of the descriptor until it runs its program. A failure here is a lock kept longer.
        let _ = self.0.unlock();
    }
}

pub(crate) fn lock(dir: &Path) -> Result<Lock, Error> {
    let path = dir.join(LOCK);
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|source| Error::io("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(Error::io("lock", &path, source)),
    }
}

/// Paths of the segments, oldest first.
pub(crate) fn segments(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    with_extension(dir, SEGMENT)
}

/// Removes what was being made when the last writer ended.
pub(crate) fn remove_temporaries(dir: &Path) -> Result<(), Error> {
    with_extension(dir, disk::TEMPORARY)?.iter().try_for_each(|path| disk::remove(path))
}

fn with_extension(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::io("list", dir, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    // Names are numbers of one width.
    paths.sort();
    Ok(paths)
}

/// A place that an fsync has reached: a lower bound that recovery never cuts below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// The segment.
    pub base: Lsn,
    /// Bytes of it.
    pub offset: u64,
    /// The last record in them; `None` where there is none yet.
    pub last: Option<Lsn>,
}

/// The file that remembers [`Flushed`]. Written after each fsync but itself not fsynced: after a
/// kill it is exact, after a power loss it may be too low, and it is never too high.
pub(crate) struct FlushedFile {
    file: File,
    path: PathBuf,
}

impl FlushedFile {
    pub fn open(dir: &Path) -> Result<FlushedFile, Error> {
        let path = dir.join(FLUSHED);
        let mut options = File::options();
        let opened = options.create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|source| Error::io("open", &path, source))?;
        Ok(FlushedFile { file, path })
    }

    /// Raises it.
    pub fn note(&self, flushed: Flushed) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(36);
        bytes.put(FLUSHED_MAGIC);
        bytes.u64(flushed.base.get());
        bytes.u64(flushed.offset);
        bytes.u64(flushed.last.map_or(0, Lsn::get));
        let crc = crc32fast::hash(&bytes);
        bytes.u32(crc);
        disk::write_at(&self.file, &self.path, &bytes, 0)
    }

    /// Forgets it, durably: what follows may be shorter.
    pub fn clear(&self) -> Result<(), Error> {
        disk::set_length(&self.file, &self.path, 0)?;
        disk::sync_all(&self.file, &self.path)
    }
}

/// What is known to be flushed in `dir`; `None` where nothing (or nothing readable) is noted.
pub(crate) fn flushed(dir: &Path) -> Result<Option<Flushed>, Error> {
    let path = dir.join(FLUSHED);
    match fs::read(&path) {
        Ok(bytes) => Ok(parse_flushed(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path, error)),
    }
}

fn parse_flushed(bytes: &[u8]) -> Option<Flushed> {
    let mut input = Input::new(checked(bytes, "flushed").ok()?);
    if input.take(8, "magic").ok()? != FLUSHED_MAGIC {
        return None;
    }
    let base = Lsn::new(input.u64("base").ok()?)?;
    let offset = input.u64("offset").ok()?;
    let last = Lsn::new(input.u64("last").ok()?);
    input.end("flushed").ok()?;
    Some(Flushed { base, offset, last })
}
