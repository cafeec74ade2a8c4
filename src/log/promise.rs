//! The promise on disk (I5): one small file beside the log, replaced whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Refusal};
use crate::cluster::Shipper;

const FILE: &str = "promise.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    promised: Shipper,
    /// CRC32 of the epoch and grant: a damaged promise must not read as a lower one.
    crc: u32,
}

/// Where a member's promise is kept.
#[derive(Debug)]
pub struct PromiseFile {
    folder: PathBuf,
}

impl PromiseFile {
    /// The promise kept in `folder`, the log's own: it is lost only together with the log.
    pub fn new(folder: &Path) -> PromiseFile {
        PromiseFile { folder: folder.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The promise as last stored; `None` where none was made yet.
    ///
    /// # Errors
    /// [`Error::Promise`] if the file is damaged or cannot be read: never taken for "no promise".
    pub fn load(&self) -> Result<Option<Shipper>, Error> {
        let text = match fs::read(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Promise { path: self.path(), source }),
        };
        let damaged = |reason: String| Error::Promise {
            path: self.path(),
            source: io::Error::new(io::ErrorKind::InvalidData, reason),
        };
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if stored.crc != checksum(stored.promised) {
            return Err(damaged("checksum does not fit".to_owned()));
        }
        Ok(Some(stored.promised))
    }

    /// Stores `promised`; durable on return.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`Refusal::NoRoom`] on a full disk, the promise before unharmed;
    /// [`Error::Promise`]: whether it was made is not known. Neither may be answered as a promise.
    pub fn store(&self, promised: Shipper) -> Result<(), Error> {
        let failed = |source| Error::Promise { path: self.path(), source };
        match self.write_beside(promised) {
            Err(error) if is_full(&error) => return Err(Error::Refused(Refusal::NoRoom)),
            written => written.map_err(failed)?,
        }
        let replaced = fs::rename(self.temporary(), self.path());
        replaced.and_then(|()| File::open(&self.folder)?.sync_all()).map_err(failed)
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join("promise.json.tmp")
    }

    fn write_beside(&self, promised: Shipper) -> io::Result<()> {
        let stored = Stored { promised, crc: checksum(promised) };
        let mut file = File::create(self.temporary())?;
        file.write_all(&serde_json::to_vec(&stored).map_err(io::Error::other)?)?;
        file.sync_all()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn checksum(promised: Shipper) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&promised.epoch.get().to_le_bytes());
    hasher.update(&promised.grant.0.to_le_bytes());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::GrantId;

    #[test]
    fn a_promise_outlives_its_writer_and_damage_is_no_promise_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = PromiseFile::new(folder.path());
        assert_eq!(file.load().unwrap(), None);
        let promised = Shipper { epoch: wal::Epoch::new(7).unwrap(), grant: GrantId(u64::MAX) };
        file.store(promised).unwrap();
        assert_eq!(PromiseFile::new(folder.path()).load().unwrap(), Some(promised));
        let text = fs::read_to_string(file.path()).unwrap().replace('7', "6");
        fs::write(file.path(), text).unwrap();
        assert!(matches!(file.load(), Err(Error::Promise { .. })));
    }
}
