//! What can go wrong with a member's log.

use std::io;
use std::path::PathBuf;

use wal::Lsn;

use super::Refusal;
use crate::cluster::ErrorClass;
use crate::explain::{Code, of_log};

/// An error of the log service. Any of class `Fatal` ends the process: the log on disk stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log itself.
    #[error("the log cannot go on")]
    Log(#[from] wal::Error),
    /// The promise could not be read or made durable.
    #[error(
        "{}: the fencing promise cannot be read or stored; repair the disk, or start this member with \
         a new log folder and `plimsoll member replace`",
        path.display()
    )]
    Promise {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gave the log no thread.
    #[error("{}: no thread could be started for the log", path.display())]
    Thread {
        /// The log's folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A shipper asked to cut what is visible: its log lacks committed records (I13).
    #[error(
        "epoch {epoch} asks to cut the log behind record {keep:?}, but everything up to {visible} is \
         committed and may be applied: refused"
    )]
    CutBelowVisible {
        /// The shipper's epoch.
        epoch: wal::Epoch,
        /// Where it would end.
        keep: Option<Lsn>,
        /// What is committed.
        visible: Lsn,
    },
    /// A frame names an epoch above its shipper's, or does not follow the record before it.
    #[error(
        "epoch {epoch} sent a frame that starts at {first} of epoch {frame_epoch} behind {before:?}"
    )]
    OutOfOrder {
        /// The shipper's epoch.
        epoch: wal::Epoch,
        /// The frame's.
        frame_epoch: wal::Epoch,
        /// Its first record.
        first: Lsn,
        /// The record it should follow.
        before: Option<Lsn>,
    },
    /// Refused at the gate.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log's thread has ended: its own error tells why.
    #[error("the log has stopped")]
    Stopped,
}

impl Error {
    /// What the supervisor does.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Refused(Refusal::Fenced { .. }) => ErrorClass::Fenced,
            Error::Refused(Refusal::NotMatched | Refusal::BadFrame | Refusal::NoRoom) => {
                ErrorClass::Retry
            }
            Error::Log(wal::Error::Full { .. }) => ErrorClass::Retry,
            _ => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Log(error) => of_log(error),
            Error::Promise { .. } => Code::PROMISE,
            Error::Thread { .. } => Code::NO_THREAD,
            Error::CutBelowVisible { .. } => Code::CUT_REFUSED,
            Error::OutOfOrder { .. } | Error::Refused(Refusal::BadFrame) => Code::FRAME_REFUSED,
            Error::Refused(Refusal::Fenced { .. }) => Code::FENCED,
            Error::Refused(Refusal::NotMatched) => Code::LOG_CUT,
            Error::Refused(Refusal::NoRoom) => Code::DISK_FULL,
            Error::Stopped => Code::DEFECT,
        }
    }
}
