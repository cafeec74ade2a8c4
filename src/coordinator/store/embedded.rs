//! The store for one coordinator: a redb file in its data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Error, Revision, Store};
use crate::coordinator::engine::State;

/// The file in `data_dir`.
const FILE: &str = "coordinator.redb";
/// One row, [`KEY`]: revision and the state as JSON. `-1` is the version of this layout.
const TABLE: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("state-1");
const KEY: &str = "cluster";

/// A redb file, owned by this process alone.
#[derive(Debug, Clone)]
pub struct EmbeddedStore {
    database: Arc<Database>,
    path: PathBuf,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, or makes both.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it; folder and database errors.
    pub fn open(folder: &Path) -> Result<EmbeddedStore, Error> {
        std::fs::create_dir_all(folder)
            .map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
        let path = folder.join(FILE);
        let database = match Database::create(&path) {
            Ok(database) => Arc::new(database),
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(Error::InUse { path }),
            Err(error) => return Err(database_error("open", &path, error)),
        };
        // The file's own name must be durable too; redb syncs only what is in it.
        std::fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
        Ok(EmbeddedStore { database, path })
    }

    fn read(&self) -> Result<Option<(Revision, State)>, Error> {
        let failed = |error: redb::Error| database_error("read", &self.path, error);
        let transaction = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let table = match transaction.open_table(TABLE) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let row = table.get(KEY).map_err(|error| failed(error.into()))?;
        let Some(row) = row else { return Ok(None) };
        let (revision, bytes) = row.value();
        let state = serde_json::from_slice(bytes)
            .map_err(|source| Error::Unreadable { path: self.path.clone(), source })?;
        Ok(Some((revision, state)))
    }

    fn write(&self, expected: Option<Revision>, bytes: &[u8]) -> Result<Revision, Error> {
        let failed = |error: redb::Error| database_error("write", &self.path, error);
        // redb's default durability: the commit returns after its fsync. Dropped: rolled back.
        let transaction = self.database.begin_write().map_err(|error| failed(error.into()))?;
        let next = expected.unwrap_or(0) + 1;
        {
            let mut table = transaction.open_table(TABLE).map_err(|error| failed(error.into()))?;
            let found = table.get(KEY).map_err(|error| failed(error.into()))?;
            let found = found.map(|row| row.value().0);
            if found != expected {
                return Err(Error::Conflict { expected, found });
            }
            table.insert(KEY, (next, bytes)).map_err(|error| failed(error.into()))?;
        }
        transaction.commit().map_err(|error| failed(error.into()))?;
        Ok(next)
    }
}

impl Store for EmbeddedStore {
    async fn load(&self) -> Result<Option<(Revision, State)>, Error> {
        let store = self.clone();
        let read = tokio::task::spawn_blocking(move || store.read());
        read.await.map_err(|_| Error::BrokenOff)?
    }

    async fn compare_and_set(
        &self,
        expected: Option<Revision>,
        state: &State,
    ) -> Result<Revision, Error> {
        let bytes = serde_json::to_vec(state)
            .map_err(|source| Error::Unreadable { path: self.path.clone(), source })?;
        let store = self.clone();
        let write = tokio::task::spawn_blocking(move || store.write(expected, &bytes));
        write.await.map_err(|_| Error::BrokenOff)?
    }
}

fn database_error(doing: &'static str, path: &Path, error: impl Into<redb::Error>) -> Error {
    Error::Database { doing, path: path.to_owned(), source: Box::new(error.into()) }
}

#[cfg(test)]
mod tests {
    use wal::ClusterId;

    use super::*;
    use crate::cluster::{AckWhen, MemberName, Rule};
    use crate::coordinator::engine::Settings;

    fn state(cluster: u8) -> State {
        let source = MemberName::new("s1").unwrap();
        let rule = Rule::Any { k: 1 };
        let settings = Settings { source, rule, ack: AckWhen::Flushed, members: Vec::new() };
        State::new(&settings, ClusterId::from_bytes([cluster; 16]))
    }

    #[tokio::test]
    async fn keeps_what_was_written_and_refuses_the_second_writer() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b");
        let store = EmbeddedStore::open(&place).unwrap();
        assert_eq!(store.load().await.unwrap(), None);
        assert_eq!(store.compare_and_set(None, &state(1)).await.unwrap(), 1);
        assert_eq!(store.compare_and_set(Some(1), &state(2)).await.unwrap(), 2);
        for stale in [None, Some(1), Some(3)] {
            let error = store.compare_and_set(stale, &state(3)).await.unwrap_err();
            assert!(matches!(error, Error::Conflict { found: Some(2), .. }), "{error}");
            assert_eq!(error.class(), crate::cluster::ErrorClass::Fenced);
        }
        let error = EmbeddedStore::open(&place).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
        drop(store);
        let store = EmbeddedStore::open(&place).unwrap();
        assert_eq!(store.load().await.unwrap(), Some((2, state(2))));
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), [7; 5000]).unwrap();
        let error = EmbeddedStore::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(FILE), "{error}");
    }
}
