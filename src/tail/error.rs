//! What can go wrong between us and the master.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::binlog;
use crate::cluster::ErrorClass;
use crate::explain::Code;

/// Why there is no stream, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No TCP connection.
    #[error("{address}: cannot connect")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// Something did not happen in time.
    #[error("{what} took more than {after:?}")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// Neither an event nor a heartbeat.
    #[error("the server has sent nothing, not even a heartbeat, for {after:?}")]
    Silent {
        /// How long.
        after: Duration,
    },
    /// The server closed the connection.
    #[error("the server closed the connection while {during}")]
    Closed {
        /// What was going on.
        during: &'static str,
    },
    /// The connection broke.
    #[error("the connection broke while {during}")]
    Io {
        /// What was going on.
        during: &'static str,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The file of certificate authorities cannot be used.
    #[error("{path}: no usable certificate authority", path = .path.display())]
    CertificateFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS is asked for and the server has none.
    #[error("the server offers no TLS; set up its certificates, or tls = \"disabled\"")]
    NoTls,
    /// TLS could not be agreed on; a wrong certificate is here.
    #[error("TLS with {host}")]
    Tls {
        /// Name that was to be verified.
        host: String,
        /// What TLS says.
        #[source]
        source: io::Error,
    },
    /// The account's authentication plugin is not supported.
    #[error(
        "authentication plugin {plugin:?} is not supported (known: caching_sha2_password, mysql_native_password, ed25519, sha256_password)"
    )]
    Plugin {
        /// Its name.
        plugin: String,
    },
    /// The plugin would send the password in clear.
    #[error("authentication plugin {plugin:?} would send the password in clear")]
    ClearPassword {
        /// Its name.
        plugin: String,
    },
    /// A step of the authentication failed at our side.
    #[error("authentication")]
    Authentication {
        /// Why.
        #[source]
        source: mysql_common::auth::plugins::Error,
    },
    /// The server refused.
    #[error("the server answers error {code} ({state}) while {during}: {message}")]
    Server {
        /// What was asked.
        during: &'static str,
        /// Error number.
        code: u16,
        /// SQLSTATE; empty before the login.
        state: String,
        /// The server's words.
        message: String,
    },
    /// The account may not be a replica. The servers call that a wrong password, though the login worked.
    #[error("account {user:?} may not read the binlog: GRANT REPLICATION SLAVE ON *.* TO it")]
    MissingPrivilege {
        /// The account.
        user: String,
        /// The server's words.
        #[source]
        source: Box<Error>,
    },
    /// Bytes that are no packet of the protocol.
    #[error("{what}: not what the protocol says")]
    Protocol {
        /// Which packet.
        what: &'static str,
    },
    /// A packet larger than any event may be.
    #[error("a packet of more than {limit} bytes")]
    PacketTooLarge {
        /// The limit.
        limit: usize,
    },
    /// Semi-sync is asked for and the server does not speak it: not installed, or switched off.
    #[error("the server does not answer as a semi-sync source (is it enabled there?)")]
    SemiSyncOff,
    /// The server ended the dump.
    #[error("the server ended the dump")]
    DumpEnded,
    /// GTIDs of one family for a server of the other.
    #[error("cannot start at {start} on {version}: GTIDs of the other family")]
    WrongFamily {
        /// Where it was to start.
        start: String,
        /// The server's version.
        version: String,
    },
    /// A position that the dump command cannot carry.
    #[error("cannot start at offset {offset}: a dump by position reaches to 4 GiB; start by GTID")]
    OffsetTooLarge {
        /// The offset.
        offset: u64,
    },
    /// The stream cannot be understood.
    #[error("the binlog stream stops")]
    Binlog(#[from] binlog::Error),
}

/// Why a server does not send its binlog from where it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpRefusal {
    /// The file is not there: purged, or never written by this server.
    FileMissing,
    /// The file ends before the position: the server lost its tail, or is another one.
    BeyondEnd,
    /// The position is not that of an event: read from there, the bytes make no sense to the server.
    NotAnEvent,
    /// What follows the GTIDs was purged.
    Purged,
    /// The GTIDs are not in this server's binlog: it lost them, or has gone another way.
    GtidUnknown,
    /// Another replica came with our server id or uuid.
    Replaced,
    /// Anything else.
    Other,
}

/// Errors 1236 and 1373 and the like come with a text only; both families' are here.
const REFUSALS: [(&str, DumpRefusal); 15] = [
    ("could not find first log file name", DumpRefusal::FileMissing),
    ("could not find target log", DumpRefusal::FileMissing),
    ("could not open log file", DumpRefusal::FileMissing),
    ("binary log is not open", DumpRefusal::FileMissing),
    ("position > file size", DumpRefusal::BeyondEnd),
    ("impossible position", DumpRefusal::BeyondEnd),
    ("bogus data in log event", DumpRefusal::NotAnEvent),
    ("exceeded max_allowed_packet", DumpRefusal::NotAnEvent),
    ("truncated in the middle of event", DumpRefusal::NotAnEvent),
    ("purged required binary logs", DumpRefusal::Purged),
    ("have been purged", DumpRefusal::Purged),
    ("more gtids than", DumpRefusal::GtidUnknown),
    ("not in the master's binlog", DumpRefusal::GtidUnknown),
    ("slave has diverged", DumpRefusal::GtidUnknown),
    ("with the same server", DumpRefusal::Replaced),
];

const ER_CON_COUNT: u16 = 1040;
/// A wrong password, a missing privilege, an account that is locked or must use TLS: a person acts.
const ER_ACCESS_DENIED: [u16; 10] = [1044, 1045, 1130, 1142, 1227, 1251, 1396, 1698, 3118, 3159];
const ER_BINLOG: [u16; 2] = [1236, 1373];

impl Error {
    /// Why the dump was refused; `None` if it is no such error.
    pub fn refusal(&self) -> Option<DumpRefusal> {
        let Error::Server { code, message, .. } = self else {
            return None;
        };
        if !ER_BINLOG.contains(code) {
            return None;
        }
        let message = message.to_ascii_lowercase();
        let known = REFUSALS.iter().find(|(words, _)| message.contains(words));
        Some(known.map_or(DumpRefusal::Other, |&(_, refusal)| refusal))
    }

    /// All connections are in use: the fallback port is worth a try.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Error::Server { code: ER_CON_COUNT, .. })
    }

    /// Whatever a new connection may cure is `Reconnect`.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Server { code, .. } => match self.refusal() {
                Some(DumpRefusal::Replaced) => ErrorClass::Reconnect,
                Some(_) => ErrorClass::Fatal,
                None if ER_ACCESS_DENIED.contains(code) => ErrorClass::Fatal,
                None => ErrorClass::Reconnect,
            },
            Error::CertificateFile { .. }
            | Error::MissingPrivilege { .. }
            | Error::NoTls
            | Error::Plugin { .. }
            | Error::ClearPassword { .. }
            | Error::Authentication { .. }
            | Error::WrongFamily { .. }
            | Error::OffsetTooLarge { .. }
            | Error::PacketTooLarge { .. } => ErrorClass::Fatal,
            Error::Tls { source, .. } => match source.kind() {
                // A certificate that does not verify will not do so next time.
                io::ErrorKind::InvalidData => ErrorClass::Fatal,
                _ => ErrorClass::Reconnect,
            },
            Error::Binlog(error) => error.class(),
            Error::Unreachable { .. }
            | Error::Deadline { .. }
            | Error::Silent { .. }
            | Error::Closed { .. }
            | Error::Io { .. }
            | Error::Protocol { .. }
            | Error::SemiSyncOff
            | Error::DumpEnded => ErrorClass::Reconnect,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Unreachable { .. } => Code::SERVER_UNREACHABLE,
            Error::Deadline { .. } | Error::Silent { .. } => Code::SERVER_SILENT,
            Error::Closed { .. } | Error::Io { .. } | Error::DumpEnded => Code::SERVER_LOST,
            Error::CertificateFile { .. } | Error::NoTls | Error::Tls { .. } => Code::SERVER_TLS,
            Error::Plugin { .. } | Error::ClearPassword { .. } | Error::Authentication { .. } => {
                Code::SERVER_AUTHENTICATION
            }
            Error::Server { code, .. } => match self.refusal() {
                Some(refusal) => refusal.code(),
                None if *code == ER_CON_COUNT => Code::SERVER_FULL,
                None if ER_ACCESS_DENIED.contains(code) => Code::SERVER_LOGIN,
                None => Code::DUMP_REFUSED,
            },
            Error::MissingPrivilege { .. } => Code::SERVER_PRIVILEGE,
            Error::Protocol { .. } => Code::SERVER_PROTOCOL,
            Error::PacketTooLarge { .. } => Code::EVENT_TOO_LARGE,
            Error::SemiSyncOff => Code::NOT_SEMI_SYNC,
            Error::WrongFamily { .. } | Error::OffsetTooLarge { .. } => Code::START_IMPOSSIBLE,
            Error::Binlog(error) => error.code(),
        }
    }
}

impl DumpRefusal {
    fn code(self) -> Code {
        match self {
            DumpRefusal::FileMissing | DumpRefusal::Purged => Code::BINLOG_PURGED,
            DumpRefusal::BeyondEnd | DumpRefusal::NotAnEvent | DumpRefusal::GtidUnknown => {
                Code::BINLOG_POSITION
            }
            DumpRefusal::Replaced => Code::SERVER_ID_TAKEN,
            DumpRefusal::Other => Code::DUMP_REFUSED,
        }
    }
}
