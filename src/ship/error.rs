//! What can go wrong between members.

use wal::LogPoint;

use crate::cluster::{ErrorClass, MemberName, Shipper};
use crate::explain::{Code, of_log};
use crate::{log, wire};

/// An error of one member's connection, or of an adoption.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection.
    #[error("connection to member {member}")]
    Wire {
        /// Whose.
        member: MemberName,
        /// Why.
        source: wire::Error,
    },
    /// The other side closed.
    #[error("member {member} closed the connection")]
    Closed {
        /// Which.
        member: MemberName,
    },
    /// The other side said nothing in time.
    #[error("member {member} has not answered for {seconds} s")]
    Silent {
        /// Which.
        member: MemberName,
        /// How long.
        seconds: u64,
    },
    /// The other side sends, but so slowly that an adoption would never end.
    #[error("member {member} gave only {bytes} bytes of its log in {seconds} s")]
    Slow {
        /// Which.
        member: MemberName,
        /// What arrived.
        bytes: usize,
        /// In which time of waiting for it.
        seconds: u64,
    },
    /// The member answered under another name than its address was given for.
    #[error("the member at {member}'s address calls itself {answered:?}")]
    WrongMember {
        /// Expected.
        member: MemberName,
        /// What it said.
        answered: String,
    },
    /// A message that this version does not know, or that is cut short.
    #[error("member {member} sent a message of kind {kind} that cannot be read: {reason}")]
    BadMessage {
        /// Who.
        member: MemberName,
        /// Its kind.
        kind: u8,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer reign was promised: this one is over.
    #[error("member {member} has promised epoch {}", .promised.epoch)]
    Fenced {
        /// Who.
        member: MemberName,
        /// To whom.
        promised: Shipper,
    },
    /// The chosen log did not arrive up to its end.
    #[error("member {member} has the log to adopt up to {tail}, but gave it only up to {got:?}")]
    Incomplete {
        /// Who.
        member: MemberName,
        /// Its promised end.
        tail: LogPoint,
        /// What arrived.
        got: Option<LogPoint>,
    },
    /// The member lags behind the beginning of this log.
    #[error(
        "member {member} needs record {needed}, but this log begins with {first}: what lies between was \
         removed; `plimsoll member replace {member}` with a new log folder"
    )]
    Removed {
        /// Who.
        member: MemberName,
        /// What it needs next.
        needed: wal::Lsn,
        /// What there is.
        first: wal::Lsn,
    },
    /// The member has not the same records, or they cannot be written here.
    #[error("a damaged segment could not be written anew with the records of member {member}")]
    NotMended {
        /// Who was asked.
        member: MemberName,
        /// Why not.
        source: wal::Error,
    },
    /// This member's log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// A read of this member's log.
    #[error("reading the log")]
    Read(#[from] wal::Error),
}

impl Error {
    /// What the supervisor does.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Fenced { .. } => ErrorClass::Fenced,
            Error::Log(error) => error.class(),
            // Removed while it was being read: the next connection says what is missing. Damage is
            // mended meanwhile.
            Error::Read(
                wal::Error::Cut(_) | wal::Error::Gone { .. } | wal::Error::Damaged { .. },
            ) => ErrorClass::Retry,
            Error::Read(_) => ErrorClass::Fatal,
            _ => ErrorClass::Reconnect,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Wire { source, .. } => source.code(),
            Error::Closed { .. } | Error::Silent { .. } | Error::Slow { .. } => Code::MEMBER_SILENT,
            Error::WrongMember { .. } => Code::MEMBER_NAME,
            Error::BadMessage { .. } => Code::MEMBER_MESSAGE,
            Error::Fenced { .. } => Code::FENCED,
            Error::Incomplete { .. } => Code::CHOSEN_LOG_LOST,
            Error::Removed { .. } => Code::LOG_GONE,
            Error::Log(error) => error.code(),
            Error::Read(error) | Error::NotMended { source: error, .. } => of_log(error),
        }
    }
}
