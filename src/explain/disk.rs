//! The codes of the log's own errors: the crate `wal` stands alone and knows of none.

use wal::Error;

use super::Code;

/// The code of an error of the log on disk.
pub fn of_log(error: &Error) -> Code {
    match error {
        Error::Io { .. } => Code::LOG_IO,
        Error::Full { .. } => Code::DISK_FULL,
        Error::Sync { .. } | Error::Poisoned(_) => Code::LOG_SYNC,
        Error::Locked(_) => Code::LOG_LOCKED,
        Error::Exists(_) | Error::NotALog(_) => Code::LOG_FOLDER,
        Error::Damaged { .. } => Code::LOG_DAMAGED,
        Error::BadFrame(_) | Error::Refused(_) => Code::FRAME_REFUSED,
        Error::TooLarge { .. } => Code::TRANSACTION_TOO_LARGE,
        Error::Cut(_) => Code::LOG_CUT,
        Error::Gone { .. } => Code::LOG_GONE,
        Error::NotABoundary(_) | Error::NoFormat(_) => Code::DEFECT,
    }
}
