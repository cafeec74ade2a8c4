//! Why a feed ends.

use wal::Lsn;

use crate::changes;
use crate::cluster::ErrorClass;
use crate::explain::{Code, of_log};

/// What ends a feed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read, or begins behind the place.
    #[error("the log")]
    Log(#[from] wal::Error),
    /// A record whose changes cannot be told.
    #[error("record {lsn}")]
    Changes {
        /// Which.
        lsn: Lsn,
        /// Why.
        #[source]
        source: changes::Error,
    },
    /// An XA COMMIT without its XA PREPARE.
    #[error("record {lsn} commits the XA transaction {xid}, whose XA PREPARE this log has not")]
    NotPrepared {
        /// Which.
        lsn: Lsn,
        /// As in the servers' statements.
        xid: String,
    },
    /// A part of a transaction larger than a record.
    #[error("record {lsn} is a part of a chunked transaction: this version cannot feed it")]
    Chunk {
        /// Which.
        lsn: Lsn,
    },
    /// Too many at a time, a reader that takes nothing, or the end of the process.
    #[error("{0}")]
    Ended(&'static str),
}

impl Error {
    /// Whether it is worth asking again.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Ended(_) | Error::Log(wal::Error::Cut(_)) => ErrorClass::Retry,
            Error::Log(_)
            | Error::Changes { .. }
            | Error::NotPrepared { .. }
            | Error::Chunk { .. } => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Log(error) => of_log(error),
            Error::Changes { source, .. } => source.code(),
            Error::NotPrepared { .. } => Code::LOG_GONE,
            Error::Chunk { .. } => Code::EVENT_UNSUPPORTED,
            Error::Ended(_) => Code::FEED_FULL,
        }
    }
}
