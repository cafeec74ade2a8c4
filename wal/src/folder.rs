//! What lies in a log folder beside the segments: whose log it is, the lock of its writer, and how
//! far it is known to be flushed. `FORMAT.md`, "Folder".

use std::path::{Path, PathBuf};

use crate::codec::{Input, Sink};
use crate::disk::{self, Disk, File, Lock};
use crate::{ClusterId, Error, Fault, Incarnation, Lsn};

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
pub(crate) fn create(disk: &Disk, dir: &Path, identity: Identity) -> Result<(), Error> {
    let occupied = match disk.list(dir) {
        Ok(entries) => !entries.is_empty(),
        Err(_) => disk.look(dir)?.is_some(),
    };
    if occupied {
        return Err(Error::Exists(dir.to_owned()));
    }
    disk.create_folders(disk::parent(dir))?;
    let temporary = disk::temporary(dir);
    if disk.look(&temporary)?.is_some() {
        disk.remove_folder(&temporary)?;
    }
    disk.create_folder(&temporary)?;
    let made = fill(disk, &temporary, identity).and_then(|()| disk.rename(&temporary, dir));
    if made.is_err() {
        // Best effort: the next `create` removes it too.
        let _ = disk.remove_folder(&temporary);
    }
    made
}

fn fill(disk: &Disk, folder: &Path, identity: Identity) -> Result<(), Error> {
    let mut bytes = Vec::new();
    bytes.put(IDENTITY_MAGIC);
    bytes.put(&1u16.to_le_bytes());
    bytes.put(identity.cluster.bytes());
    bytes.put(identity.incarnation.bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.u32(crc);
    disk.replace(&folder.join(FLUSHED), &Flushed::NOTHING.encode())?;
    disk.replace(&folder.join(IDENTITY), &bytes)
}

/// Reads whose log `dir` holds.
pub(crate) fn identity(disk: &Disk, dir: &Path) -> Result<Identity, Error> {
    let path = dir.join(IDENTITY);
    let bytes = disk.read(&path)?.ok_or_else(|| Error::NotALog(dir.to_owned()))?;
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

/// Keeps every other writer out.
pub(crate) fn lock(disk: &Disk, dir: &Path) -> Result<Lock, Error> {
    disk.lock(&dir.join(LOCK))?.ok_or_else(|| Error::Locked(dir.to_owned()))
}

/// Paths of the segments, oldest first.
pub(crate) fn segments(disk: &Disk, dir: &Path) -> Result<Vec<PathBuf>, Error> {
    with_extension(disk, dir, SEGMENT)
}

/// Removes what was being made when the last writer ended.
pub(crate) fn remove_temporaries(disk: &Disk, dir: &Path) -> Result<(), Error> {
    with_extension(disk, dir, disk::TEMPORARY)?.iter().try_for_each(|path| disk.remove(path))
}

fn with_extension(disk: &Disk, dir: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let mut paths = disk.list(dir)?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
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

impl Flushed {
    /// In an empty log.
    pub const NOTHING: Flushed = Flushed { base: Lsn::FIRST, offset: 0, last: None };

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(36);
        bytes.put(FLUSHED_MAGIC);
        bytes.u64(self.base.get());
        bytes.u64(self.offset);
        bytes.u64(self.last.map_or(0, Lsn::get));
        let crc = crc32fast::hash(&bytes);
        bytes.u32(crc);
        bytes
    }
}

/// The file that remembers [`Flushed`]. Written after each fsync but itself not fsynced: after a
/// kill it is exact, after a power loss it may be too low, and it is never too high. Lies within
/// one sector, which a disk writes whole or not at all.
pub(crate) struct FlushedFile(File);

impl FlushedFile {
    pub fn open(disk: &Disk, dir: &Path) -> Result<FlushedFile, Error> {
        disk.open_or_create(&dir.join(FLUSHED)).map(FlushedFile)
    }

    /// Raises it.
    pub fn note(&self, flushed: Flushed) -> Result<(), Error> {
        self.0.write_at(&flushed.encode(), 0)
    }

    /// Sets it, durably: before the log becomes shorter.
    ///
    /// # Errors
    /// [`Error::Full`]: it is as it was. Others of the system.
    pub fn set(&mut self, disk: &Disk, flushed: Flushed) -> Result<(), Error> {
        let path = self.0.path();
        let file = disk.prepare(path, |file| file.write_at(&flushed.encode(), 0))?;
        self.0 = disk.publish(file, path)?;
        Ok(())
    }
}

/// What is known to be flushed in `dir`; `None` where nothing (or nothing readable) is noted.
pub(crate) fn flushed(disk: &Disk, dir: &Path) -> Result<Option<Flushed>, Error> {
    Ok(disk.read(&dir.join(FLUSHED))?.and_then(|bytes| parse_flushed(&bytes)))
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
