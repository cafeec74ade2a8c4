//! Why something could not be verified.

use wal::Lsn;

use super::message::TableName;
use crate::cluster::ErrorClass;
use crate::explain::{Code, of_log};
use crate::server;

/// Why a table, or a whole server, could not be read at one record. Never means "different".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's SQL session.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// This member's log.
    #[error("reading the log: {0}")]
    Log(#[from] wal::Error),
    /// It was altered, made or dropped behind the snapshot.
    #[error("{what} changed while it was verified: {message}")]
    Changed {
        /// The table, or what was read.
        what: String,
        /// The server's words.
        message: String,
    },
    /// A table that the catalog does not have.
    #[error("there is no table {0} in the snapshot's catalog")]
    NoTable(TableName),
    /// A key range that does not fit the table's key.
    #[error("a key range that does not fit the table's key was asked for")]
    BadKey,
    /// The server gave no digest for some rows.
    #[error("{table}: {undigested} rows could not be digested by the server")]
    Undigested {
        /// The table.
        table: TableName,
        /// How many.
        undigested: u64,
    },
    /// The server gave an answer of another shape.
    #[error("the server's answer to {0} is not understood")]
    Answer(&'static str),
    /// No snapshot whose place is known came about.
    #[error(
        "no moment was found at which the source's snapshot has a known place in the log ({why}); \
         try again under less load"
    )]
    NoMoment {
        /// What was in the way last.
        why: &'static str,
    },
    /// MySQL without GTIDs: nothing there says which transactions a snapshot shows.
    #[error(
        "the place of a snapshot is only known with gtid_mode=ON and binlog_order_commits=ON at the \
         source; it has gtid_mode={gtid_mode} and binlog_order_commits={ordered}"
    )]
    NoGtids {
        /// `@@gtid_mode`.
        gtid_mode: String,
        /// `@@binlog_order_commits`.
        ordered: String,
    },
    /// The member plays another role, or not well enough.
    #[error("{member} is {found}: {wanted}")]
    Role {
        /// The member.
        member: String,
        /// What it is.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The replica did not come to the snapshot's record in time.
    #[error(
        "{member} stands at record {applied}, and did not come to {wanted} within {seconds} s; is it \
         far behind? see `plimsoll status`, or give it more time with --wait"
    )]
    Late {
        /// The replica.
        member: String,
        /// Where it stands; 0 where that is not known.
        applied: u64,
        /// Where it has to be.
        wanted: Lsn,
        /// How long it had.
        seconds: u64,
    },
    /// It applied more than it was allowed to.
    #[error("{member} went past record {wanted} to {applied} although it was held")]
    Passed {
        /// The replica.
        member: String,
        /// Where it stands.
        applied: Lsn,
        /// Where it was held.
        wanted: Lsn,
    },
    /// One at a time.
    #[error(
        "another verification is under way at {member}; it ends by itself within {seconds} s of its \
         last request"
    )]
    Busy {
        /// The member.
        member: String,
        /// The lease.
        seconds: u64,
    },
    /// Nobody asked for so long that everything was given back.
    #[error(
        "{member} knows no such verification: its lease has run out, or its agent was restarted"
    )]
    LeaseOver {
        /// The member.
        member: String,
    },
    /// The order of requests is wrong.
    #[error("no snapshot is open for this verification at {member}")]
    NoSnapshot {
        /// The member.
        member: String,
    },
}

/// Unknown database, table or column; the definition changed behind the snapshot; its lock was not
/// given in time; a view's table is gone; a sequence or routine is gone.
const CHANGED: [u16; 8] = [1049, 1054, 1146, 1205, 1305, 1356, 1412, 4091];

impl Error {
    /// A statement about `what` failed.
    pub(super) fn about(what: impl Into<String>, error: server::Error) -> Error {
        match error {
            server::Error::Server { code, message, .. } if CHANGED.contains(&code) => {
                Error::Changed { what: what.into(), message }
            }
            other => Error::Server(other),
        }
    }

    /// What the operator is told.
    pub fn code(&self) -> Code {
        match self {
            Error::Server(error) => error.code(),
            Error::Log(error) => of_log(error),
            Error::Changed { .. }
            | Error::Undigested { .. }
            | Error::Answer(_)
            | Error::NoMoment { .. }
            | Error::Late { .. }
            | Error::Passed { .. } => Code::VERIFY_NOT_PROVEN,
            Error::NoTable(_) | Error::BadKey => Code::HTTP_REQUEST,
            Error::NoGtids { .. } => Code::VERIFY_NO_GTIDS,
            Error::Role { .. } => Code::VERIFY_NOT_IN_ORDER,
            Error::Busy { .. } => Code::VERIFY_BUSY,
            Error::LeaseOver { .. } | Error::NoSnapshot { .. } => Code::VERIFY_LEASE_OVER,
        }
    }

    /// What a supervisor does about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Server(error) => error.class(),
            Error::Log(error) => error.class().into(),
            Error::Changed { .. } | Error::NoMoment { .. } | Error::Late { .. } => {
                ErrorClass::Retry
            }
            Error::Busy { .. } | Error::LeaseOver { .. } => ErrorClass::Retry,
            Error::NoTable(_)
            | Error::BadKey
            | Error::Undigested { .. }
            | Error::Answer(_)
            | Error::NoGtids { .. }
            | Error::Role { .. }
            | Error::Passed { .. }
            | Error::NoSnapshot { .. } => ErrorClass::Fatal,
        }
    }
}
