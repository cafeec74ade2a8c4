//! The durable state of a timestamp server: one small file, replaced whole.
//!
//! Layout, little-endian: magic `PLMTIME1` (8), id u8, zero (7), instance (16), limit u64, CRC32 of all
//! before it (4). 44 bytes. Written beside, fsynced, renamed, the folder fsynced.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::Error;
use super::client_core::Life;

const MAGIC: [u8; 8] = *b"PLMTIME1";
const LEN: usize = 44;
const FILE: &str = "timestamp.state";
const TEMPORARY: &str = "timestamp.state.new";
const LOCK: &str = "lock";

/// The open state; no other process has it.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    life: Life,
    limit: u64,
    /// Held as long as the state is open.
    _lock: File,
}

impl State {
    /// Opens the state in `folder`, or makes the folder with a new state in it, if the folder is not
    /// there. Never begins again in a folder that is: its state is, or was, somebody's past.
    pub fn open(folder: &Path, id: u8) -> Result<State, Error> {
        if !folder.try_exists().map_err(failed(folder, "look for the folder"))? {
            create(folder, id)?;
        }
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(failed(&path, "create the lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(&path, "lock")(source)),
        }
        let path = folder.join(FILE);
        let (life, limit) = read(&path)?;
        if life.0 != id {
            return Err(Error::OtherServer { path, found: life.0, configured: id });
        }
        Ok(State { folder: folder.to_owned(), life, limit, _lock: lock })
    }

    /// Who this server is.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The durable limit: a restart begins above it.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Makes `limit` durable. After an error the old or the new limit is on disk; only [`Error::State`]
    /// may be tried again.
    pub fn save(&mut self, limit: u64) -> Result<(), Error> {
        write(&self.folder, self.life, limit)?;
        self.limit = limit;
        Ok(())
    }
}

fn failed(path: &Path, action: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::State { path: path.to_owned(), action, source }
}

/// Folder and state appear together: a crash in between leaves nothing that looks like a past.
fn create(folder: &Path, id: u8) -> Result<(), Error> {
    let name = folder.file_name().ok_or_else(|| io::ErrorKind::InvalidInput.into());
    let name = name.map_err(failed(folder, "create a folder without a name"))?;
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed(parent, "create the folder"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = parent.join(temporary);
    if temporary.try_exists().map_err(failed(&temporary, "look for the folder"))? {
        fs::remove_dir_all(&temporary).map_err(failed(&temporary, "remove the folder"))?;
    }
    fs::create_dir(&temporary).map_err(failed(&temporary, "create the folder"))?;
    write(&temporary, (id, rand::random()), 0)?;
    fs::rename(&temporary, folder).map_err(failed(folder, "create the folder"))?;
    sync_folder(parent)
}

fn encode((id, instance): Life, limit: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8] = id;
    bytes[16..32].copy_from_slice(&instance);
    bytes[32..40].copy_from_slice(&limit.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..40]);
    bytes[40..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<(Life, u64), &'static str> {
    let bytes: &[u8; LEN] = bytes.try_into().map_err(|_| "has not 44 bytes")?;
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or("has not 44 bytes")?;
    if !body.starts_with(&MAGIC) {
        return Err("is no timestamp server's state of format 1");
    }
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err("its checksum does not hold");
    }
    if body[9..16] != [0; 7] {
        return Err("is of a newer format");
    }
    let instance = body[16..32].try_into().map_err(|_| "has not 44 bytes")?;
    let limit = body[32..40].try_into().map_err(|_| "has not 44 bytes")?;
    Ok(((body[8], instance), u64::from_le_bytes(limit)))
}

fn read(path: &Path) -> Result<(Life, u64), Error> {
    let mut bytes = Vec::with_capacity(LEN + 1);
    match File::open(path) {
        Ok(file) => file.take(LEN as u64 + 1).read_to_end(&mut bytes),
        Err(error) => Err(error),
    }
    .map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::StateMissing { path: path.to_owned() },
        _ => failed(path, "read")(source),
    })?;
    decode(&bytes).map_err(|what| Error::StateDamaged { path: path.to_owned(), what })
}

fn write(folder: &Path, life: Life, limit: u64) -> Result<(), Error> {
    let (path, temporary) = (folder.join(FILE), folder.join(TEMPORARY));
    let mut file = File::create(&temporary).map_err(failed(&temporary, "create the file"))?;
    file.write_all(&encode(life, limit)).map_err(failed(&temporary, "write"))?;
    file.sync_all().map_err(|source| Error::Sync { path: temporary.clone(), source })?;
    fs::rename(&temporary, &path).map_err(failed(&path, "replace the file"))?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    let opened = File::open(folder).map_err(failed(folder, "open the folder"))?;
    opened.sync_all().map_err(|source| Error::Sync { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_and_the_life_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/t");
        let mut state = State::open(&path, 3).unwrap();
        let life = state.life();
        assert_eq!((life.0, state.limit()), (3, 0));
        state.save(77).unwrap();
        assert!(matches!(State::open(&path, 3), Err(Error::Locked { .. })));
        drop(state);
        let state = State::open(&path, 3).unwrap();
        assert_eq!((state.life(), state.limit()), (life, 77));
        drop(state);
        let other = State::open(&path, 4);
        assert!(matches!(other, Err(Error::OtherServer { found: 3, configured: 4, .. })));
    }

    #[test]
    fn a_folder_without_state_is_never_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let missing = State::open(folder.path(), 3);
        assert!(matches!(missing, Err(Error::StateMissing { .. })), "{missing:?}");
        let path = folder.path().join("t");
        drop(State::open(&path, 3).unwrap());
        fs::remove_file(path.join(FILE)).unwrap();
        assert!(matches!(State::open(&path, 3), Err(Error::StateMissing { .. })));
        assert!(!path.join(FILE).exists());
    }

    #[test]
    fn every_damaged_byte_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        drop(State::open(&path, 3).unwrap());
        let good = fs::read(path.join(FILE)).unwrap();
        let with = |bytes: &[u8]| {
            fs::write(path.join(FILE), bytes).unwrap();
            State::open(&path, 3)
        };
        for at in 0..LEN {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            let opened = with(&bytes);
            assert!(matches!(opened, Err(Error::StateDamaged { .. })), "{at}: {opened:?}");
            assert!(matches!(with(&good[..at]), Err(Error::StateDamaged { .. })), "{at}");
        }
        assert!(matches!(with(&[&good[..], b"x"].concat()), Err(Error::StateDamaged { .. })));
        assert!(with(&good).is_ok());
    }

    #[test]
    fn a_crash_while_the_folder_was_made_leaves_no_past() {
        let folder = tempfile::tempdir().unwrap();
        let half = folder.path().join(".t.new");
        fs::create_dir(&half).unwrap();
        fs::write(half.join(TEMPORARY), b"half").unwrap();
        let state = State::open(&folder.path().join("t"), 3).unwrap();
        assert!(state.limit() == 0 && !half.exists());
    }
}
