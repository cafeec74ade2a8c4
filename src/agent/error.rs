//! What ends a reign, an applier or an agent.

use crate::cluster::ErrorClass;
use crate::explain::Code;
use crate::{apply, log, report, server, ship, stamp, tail, timestamp};
use wal::BinlogPosition;

/// An error of an agent's parts. Its class says what the supervisor does.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's SQL session.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// `agent.server.start` in the configuration.
    #[error("agent.server.start")]
    StartSet(#[from] crate::binlog::BadGtidSet),
    /// The server's binlog.
    #[error(transparent)]
    Tail(#[from] tail::Error),
    /// The members.
    #[error(transparent)]
    Ship(#[from] ship::Error),
    /// This member's log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The timestamp servers.
    #[error(transparent)]
    Timestamp(#[from] timestamp::Error),
    /// Stamping.
    #[error(transparent)]
    Stamp(#[from] stamp::Error),
    /// The coordinator.
    #[error(transparent)]
    Coordinator(#[from] report::Error),
    /// The applier.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// The server cannot be a source as it is.
    #[error("{host}:{port} cannot be the source yet: {problems}")]
    NotASource {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Each with its way out.
        problems: String,
    },
    /// The binlog ends before the adopted log, or holds something else there (design.md section 5).
    #[error(
        "{server} has lost acknowledged data: the log has its transactions up to {position}{gtid}, but \
         {found}. It is refused as source. Rebuild it from a replica's backup, or promote another"
    )]
    LostItsTail {
        /// The server's identity.
        server: String,
        /// The log's end in its binlog.
        position: BinlogPosition,
        /// The last transaction's GTID, in brackets.
        gtid: String,
        /// What stands there instead.
        found: String,
    },
    /// Another server than the one the log follows.
    #[error(
        "the log follows server {logged}, but the server here is {here}: making another server the \
         source is a promotion, which this version does not do"
    )]
    OtherServer {
        /// In the log.
        logged: String,
        /// Here.
        here: String,
    },
    /// A newer reign was promised.
    #[error("{by} has promised a newer reign")]
    Fenced {
        /// Who, or the coordinator.
        by: String,
    },
    /// The server was restarted under the agent: a new shipper start (I17).
    #[error("the server was restarted")]
    Restarted,
    /// The system gave a role no event queue.
    #[error("the agent cannot start its work; look at the limits of open files and threads")]
    Runtime(#[source] std::io::Error),
    /// A panic in a task.
    #[error("a task of the agent failed")]
    RoleTask,
}

impl Error {
    /// What the supervisor does.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Server(error) => error.class(),
            Error::Tail(error) => error.class(),
            Error::Ship(error) => error.class(),
            Error::Log(error) => error.class(),
            Error::Timestamp(error) => error.class(),
            Error::Stamp(error) => error.class(),
            Error::Coordinator(error) => error.class(),
            Error::Apply(error) => error.class(),
            Error::Fenced { .. } => ErrorClass::Fenced,
            Error::Restarted => ErrorClass::Reconnect,
            Error::NotASource { .. } => ErrorClass::Retry,
            Error::LostItsTail { .. } | Error::OtherServer { .. } => ErrorClass::Fatal,
            Error::StartSet(_) | Error::Runtime(_) | Error::RoleTask => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Server(error) => error.code(),
            Error::StartSet(_) => Code::CONFIG_VALUE,
            Error::Tail(error) => error.code(),
            Error::Ship(error) => error.code(),
            Error::Log(error) => error.code(),
            Error::Timestamp(error) => error.code(),
            Error::Stamp(error) => error.code(),
            Error::Coordinator(error) => error.code(),
            Error::Apply(error) => error.code(),
            Error::NotASource { .. } => Code::NOT_A_SOURCE,
            Error::LostItsTail { .. } => Code::LOST_ITS_TAIL,
            Error::OtherServer { .. } => Code::OTHER_SERVER,
            Error::Fenced { .. } => Code::FENCED,
            Error::Restarted => Code::SERVER_RESTARTED,
            Error::Runtime(_) => Code::NO_THREAD,
            Error::RoleTask => Code::DEFECT,
        }
    }
}
