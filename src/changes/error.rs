//! Why a transaction cannot be told as changes.

use crate::binlog;
use crate::cluster::ErrorClass;
use crate::explain::{Code, of_log};

/// Bytes that are no changes, or changes that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The events.
    #[error(transparent)]
    Binlog(#[from] binlog::Error),
    /// A piece of the transaction that cannot be read.
    #[error("the log")]
    Log(#[from] wal::Error),
    /// A value that no server writes.
    #[error("{table}, column {column}: not a value of its type {kind}")]
    Value {
        /// `database.table`.
        table: String,
        /// Name or `@number`.
        column: String,
        /// Type code.
        kind: u8,
    },
    /// Something that is not a change of rows and not a statement.
    #[error("{what} cannot be told as changes")]
    Untellable {
        /// What.
        what: String,
    },
}

impl Error {
    /// The bytes stay as they are.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Binlog(error) => error.class(),
            Error::Log(_) | Error::Value { .. } | Error::Untellable { .. } => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Binlog(error) => error.code(),
            Error::Log(error) => of_log(error),
            Error::Value { .. } => Code::EVENT_MALFORMED,
            Error::Untellable { .. } => Code::EVENT_UNSUPPORTED,
        }
    }
}
