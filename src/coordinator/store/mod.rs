//! Where the coordinator's state lives: one value, changed only by compare-and-set.
//!
//! In: a state and the revision it was made from. Out: the next revision, durable.
//! Invariant: of two coordinators that read the same revision, one at most can write (protocol-review:
//! an epoch granted twice). The embedded store is one file with one owner; etcd fits the same trait.

mod embedded;

use std::future::Future;
use std::path::PathBuf;

use crate::cluster::ErrorClass;
use crate::coordinator::engine::State;
use crate::explain::Code;

pub use embedded::EmbeddedStore;

/// Counts the writes of a store; 1 after the first.
pub type Revision = u64;

/// A store of one state.
pub trait Store: Send + 'static {
    /// The state and its revision; `None` for a new store.
    fn load(&self) -> impl Future<Output = Result<Option<(Revision, State)>, Error>> + Send;

    /// Writes `state` if the store is still at `expected` (`None`: still empty). Durable when it
    /// returns `Ok`. After an error nothing is known: the caller must load again, or end.
    fn compare_and_set(
        &self,
        expected: Option<Revision>,
        state: &State,
    ) -> impl Future<Output = Result<Revision, Error>> + Send;
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made.
    #[error("make the coordinator's folder {}", path.display())]
    Folder {
        /// `data_dir`.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the file.
    #[error("{} is in use: does another coordinator run on this data_dir?", path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The database says so.
    #[error("{doing} the coordinator's store {}", path.display())]
    Database {
        /// `open`, `read`, `write`.
        doing: &'static str,
        /// The store's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The bytes are there but are no state that this version knows.
    #[error("the coordinator's store {} holds no state that this version reads", path.display())]
    Unreadable {
        /// The store's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Somebody else wrote meanwhile.
    #[error(
        "the store is at revision {found:?}, not {expected:?}: another coordinator wrote to it"
    )]
    Conflict {
        /// What this one had read.
        expected: Option<Revision>,
        /// What is there.
        found: Option<Revision>,
    },
    /// The task that wrote was ended from outside.
    #[error("the write to the store was broken off")]
    BrokenOff,
}

impl Error {
    /// Never tried again in place: what the store holds is only known after a new load.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Conflict { .. } => ErrorClass::Fenced,
            _ => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Folder { .. } | Error::Database { .. } => Code::STORE,
            Error::InUse { .. } => Code::STORE_IN_USE,
            Error::Unreadable { .. } => Code::STORE_UNREADABLE,
            Error::Conflict { .. } => Code::STORE_CONFLICT,
            Error::BrokenOff => Code::DEFECT,
        }
    }
}
