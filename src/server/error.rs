//! What can go wrong between us and a server.

use std::time::Duration;

use crate::cluster::ErrorClass;
use crate::explain::Code;

/// Why a server could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("{host}:{port}: {source}; is the server up, and is the address right?")]
    Connect {
        /// Name or address that was tried.
        host: String,
        /// Port that was tried.
        port: u16,
        /// What the driver says.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// User or password are wrong, or the account may not come from here.
    #[error("{host}:{port} refuses user {user:?}: {message}; check user and password of the agent")]
    Login {
        /// Name or address that was tried.
        host: String,
        /// Port that was tried.
        port: u16,
        /// The account.
        user: String,
        /// The server's words.
        message: String,
    },
    /// Every connection of the server is in use.
    #[error(
        "{host}:{port} has no connection left ({message}); raise max_connections, or give the agent \
         a port of its own: admin_address (MySQL) or extra_port (MariaDB), named as fallback_port"
    )]
    Full {
        /// Name or address that was tried.
        host: String,
        /// Port that was tried.
        port: u16,
        /// The server's words.
        message: String,
    },
    /// The connection broke under a statement.
    #[error("the connection to the server was lost: {source}")]
    Lost {
        /// What the driver says.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// No answer in time.
    #[error("no answer from the server within {waited:?} to {what}")]
    Deadline {
        /// What was asked.
        what: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The server answered a statement with an error.
    #[error("the server says {code} ({state}): {message}")]
    Server {
        /// The server's error number.
        code: u16,
        /// SQLSTATE.
        state: String,
        /// The server's words.
        message: String,
    },
    /// The account lacks a privilege.
    #[error("the agent's account may not {what}: {message}; grant it {privileges} on *.*")]
    Privilege {
        /// What was tried.
        what: &'static str,
        /// What to grant.
        privileges: &'static str,
        /// The server's words.
        message: String,
    },
    /// The server has no semi-sync replication.
    #[error(
        "semi-synchronous replication is not available here: {message}; install the server's \
         semi-sync plugin (MySQL: semisync_source.so in plugin_dir; MariaDB has it built in)"
    )]
    SemiSyncUnavailable {
        /// What the server said when it was asked for.
        message: String,
    },
    /// Something else undoes our settings.
    #[error("{variable} is {found:?} after it was set to {wanted:?}; who else sets it?")]
    NotTaken {
        /// The server's variable.
        variable: String,
        /// What we set.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// COMMITs wait for an ACK at a server that is to be a replica.
    #[error(
        "{sessions} COMMITs wait for an acknowledgement at this replica, which nobody gives: end those \
         sessions, or restart the server, and it goes on by itself"
    )]
    Waiting {
        /// How many.
        sessions: u64,
    },
    /// The server writes no binlog.
    #[error("the server writes no binlog: start it with --log-bin (and binlog_format=ROW)")]
    NoBinlog,
    /// An answer that does not look as it must.
    #[error("the server's answer to {what} is not understood: {found:?}")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// What came.
        found: String,
    },
    /// An error of the driver that is neither connection nor server.
    #[error("the MySQL driver says: {source}")]
    Driver {
        /// What the driver says.
        #[source]
        source: Box<mysql_async::Error>,
    },
}

/// Errors of a server that go away by trying again: lock wait timeout, deadlock, and MySQL's
/// "lock wait aborted" under group commit.
const PASSING: [u16; 3] = [1205, 1213, 3572];
/// The server is going down, or ended this session: a new session may work.
const GOING_DOWN: [u16; 9] = [1053, 1152, 1153, 1158, 1159, 1160, 1161, 1927, 4031];
/// Only for connects: too many connections, host blocked, account out of resources, offline mode.
const NO_PRIVILEGE: [u16; 4] = [1044, 1142, 1227, 3892];

impl Error {
    /// What a supervisor does about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Waiting { .. } => ErrorClass::Retry,
            Error::Connect { .. }
            | Error::Full { .. }
            | Error::Lost { .. }
            | Error::Deadline { .. } => ErrorClass::Reconnect,
            Error::Server { code, .. } if PASSING.contains(code) => ErrorClass::Retry,
            // Killed (1317 query, 1927 connection) or shutting down: the checkpoint knows where.
            Error::Server { code, .. } if GOING_DOWN.contains(code) || *code == 1317 => {
                ErrorClass::Reconnect
            }
            // 3032: offline mode. The operator will end it.
            Error::Server { code: 3032, .. } => ErrorClass::Reconnect,
            _ => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Connect { .. } => Code::SERVER_UNREACHABLE,
            Error::Login { .. } => Code::SERVER_LOGIN,
            Error::Full { .. } => Code::SERVER_FULL,
            Error::Lost { .. } => Code::SERVER_LOST,
            Error::Deadline { .. } => Code::SERVER_SILENT,
            Error::Server { code, .. } if GOING_DOWN.contains(code) => Code::SERVER_LOST,
            Error::Server { .. } => Code::SERVER_REFUSES,
            Error::Privilege { .. } => Code::SERVER_PRIVILEGE,
            Error::SemiSyncUnavailable { .. } => Code::SEMI_SYNC_UNAVAILABLE,
            Error::NotTaken { .. } => Code::SETTING_NOT_TAKEN,
            Error::Waiting { .. } => Code::REPLICA_COMMITS_WAIT,
            Error::NoBinlog => Code::NOT_A_SOURCE,
            Error::Answer { .. } | Error::Driver { .. } => Code::SERVER_ANSWER,
        }
    }

    /// The server's error number, where a server answered.
    pub fn number(&self) -> Option<u16> {
        match self {
            Error::Server { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Turns a refusal for lack of privilege into one that says what to grant.
    #[must_use]
    pub fn or_privilege(self, what: &'static str, privileges: &'static str) -> Error {
        match self {
            Error::Server { code, message, .. } if NO_PRIVILEGE.contains(&code) => {
                Error::Privilege { what, privileges, message }
            }
            other => other,
        }
    }

    pub(super) fn from_driver(source: mysql_async::Error) -> Error {
        use mysql_async::{DriverError, Error as Driver};
        match source {
            Driver::Server(error) => {
                Error::Server { code: error.code, state: error.state, message: error.message }
            }
            Driver::Io(_) | Driver::Driver(DriverError::ConnectionClosed) => {
                Error::Lost { source: Box::new(source) }
            }
            _ => Error::Driver { source: Box::new(source) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> Error {
        Error::Server { code, state: "HY000".into(), message: "words".into() }
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_stops() {
        for (code, class) in [
            (1205, ErrorClass::Retry),
            (1213, ErrorClass::Retry),
            (1053, ErrorClass::Reconnect),
            (1317, ErrorClass::Reconnect),
            (1062, ErrorClass::Fatal),
            (1146, ErrorClass::Fatal),
        ] {
            assert_eq!(server(code).class(), class, "{code}");
        }
    }

    #[test]
    fn a_missing_privilege_names_the_grant() {
        let error = server(1227).or_privilege("enable semi-sync", "SUPER");
        assert!(error.to_string().contains("grant it SUPER"), "{error}");
        assert!(matches!(server(1062).or_privilege("x", "y"), Error::Server { .. }));
    }
}
