//! The promise on disk (I5): one small file beside the log, replaced whole.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wal::Disk;

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
    disk: Disk,
    path: PathBuf,
}

impl PromiseFile {
    /// The promise kept in `folder`, the log's own: it is lost only together with the log.
    pub fn new(folder: &Path) -> PromiseFile {
        PromiseFile { disk: Disk::system(), path: folder.join(FILE) }
    }

    /// The promise as last stored; `None` where none was made yet.
    ///
    /// # Errors
    /// [`Error::Promise`] if the file is damaged or cannot be read: never taken for "no promise".
    pub fn load(&self) -> Result<Option<Shipper>, Error> {
        let failed = |error| self.failed(io::Error::other(error));
        let Some(text) = self.disk.read(&self.path).map_err(failed)? else {
            return Ok(None);
        };
        let damaged =
            |reason: String| self.failed(io::Error::new(io::ErrorKind::InvalidData, reason));
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
        let stored = Stored { promised, crc: checksum(promised) };
        let text = serde_json::to_vec(&stored);
        let text = text.map_err(|error| self.failed(io::Error::other(error)))?;
        match self.disk.replace(&self.path, &text) {
            Err(wal::Error::Full { .. }) => Err(Error::Refused(Refusal::NoRoom)),
            replaced => replaced.map_err(|error| self.failed(io::Error::other(error))),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Promise { path: self.path.clone(), source }
    }
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
        let text = std::fs::read_to_string(&file.path).unwrap().replace('7', "6");
        std::fs::write(&file.path, text).unwrap();
        assert!(matches!(file.load(), Err(Error::Promise { .. })));
    }
}
