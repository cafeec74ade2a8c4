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
    /// The end of a transaction in pieces, of which the first are not in this log.
    #[error("record {lsn} ends a transaction in pieces, of which this log has not the first")]
    NoBeginning {
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
            | Error::NoBeginning { .. } => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Log(error) => of_log(error),
            Error::Changes { source, .. } => source.code(),
            Error::NotPrepared { .. } | Error::NoBeginning { .. } => Code::LOG_GONE,
            Error::Ended(_) => Code::FEED_FULL,
        }
    }
}
