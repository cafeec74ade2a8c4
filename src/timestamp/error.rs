//! Why there is no timestamp, or no timestamp server.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::RUN_COUNT_MAX;
use super::client_core::NotCounted;
use super::message::Refusal;
use crate::cluster::{ErrorClass, causes};
use crate::explain::Code;
use crate::wire;

/// What can go wrong with timestamps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client has no servers, or an even number of them.
    #[error("{0} timestamp servers; the number must be odd")]
    ServerCount(usize),
    /// A run of no or too many timestamps was asked for.
    #[error("a run of {0} timestamps; it must have 1 to {RUN_COUNT_MAX}")]
    RunCount(u32),
    /// Too few servers answered in time.
    #[error(
        "no timestamp in {waited:?}: {needed} of {servers} timestamp servers must answer{}",
        Listed(silent)
    )]
    Unavailable {
        /// What was waited.
        waited: Duration,
        /// M.
        needed: usize,
        /// N.
        servers: usize,
        /// Those that do not answer, and why.
        silent: Vec<SilentServer>,
    },
    /// A server's run does not follow what was returned before (I10): some server lost its state.
    #[error(
        "the timestamp service went back behind a time it had given out; a timestamp server was \
         started without its state. Stop it and bring its state back"
    )]
    Backwards,
    /// The connection to a server.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// The other side speaks, but not this protocol.
    #[error("the timestamp protocol was broken by {0}")]
    Protocol(String),
    /// A server did not answer, but its connection stands.
    #[error("no answer in {0:?}")]
    Silent(Duration),
    /// A server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A server is not one that may be counted.
    #[error("it {0}")]
    NotCounted(NotCounted),
    /// The state's folder or file cannot be worked with. Nothing of it is lost.
    #[error("{}: cannot {action}", path.display())]
    State {
        /// File or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A write was not confirmed by the disk. Whether it is there, only a restart can tell.
    #[error("{}: the disk did not confirm a write; the server stops", path.display())]
    Sync {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder is there, the state is not.
    #[error(
        "{}: the folder is there, but the state in it is not. Bring it back: a server that begins \
         again would give out old times. Only if this server never ran: remove the folder",
        path.display()
    )]
    StateMissing {
        /// The file.
        path: PathBuf,
    },
    /// Not what was written.
    #[error("{}: {what}. Bring the file back from a copy that is not older", path.display())]
    StateDamaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        what: &'static str,
    },
    /// The state of another server.
    #[error(
        "{}: is the state of timestamp server {found}, not {configured}; set timestamp.id or \
         timestamp.data_dir right", path.display()
    )]
    OtherServer {
        /// The file.
        path: PathBuf,
        /// In the file.
        found: u8,
        /// In the configuration.
        configured: u8,
    },
    /// Two processes, one state.
    #[error("{}: another process uses this folder; end it, or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

impl Error {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Unavailable { .. } | Error::Refused(_) | Error::State { .. } => {
                ErrorClass::Retry
            }
            Error::Silent(_) | Error::Protocol(_) | Error::NotCounted(_) => ErrorClass::Reconnect,
            Error::Wire(error) => error.class(),
            Error::ServerCount(_)
            | Error::RunCount(_)
            | Error::Backwards
            | Error::Sync { .. }
            | Error::StateMissing { .. }
            | Error::StateDamaged { .. }
            | Error::OtherServer { .. }
            | Error::Locked { .. } => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::ServerCount(_) => Code::CONFIG_TIMESTAMP_COUNT,
            Error::RunCount(_) => Code::DEFECT,
            Error::Unavailable { .. } | Error::Silent(_) => Code::NO_TIMESTAMP,
            Error::Backwards => Code::TIME_BACKWARDS,
            Error::Wire(error) => error.code(),
            Error::Refused(Refusal::NotDurable) => Code::TIMESTAMP_DISK,
            Error::Protocol(_) | Error::Refused(_) => Code::TIMESTAMP_PROTOCOL,
            Error::NotCounted(_) => Code::TIMESTAMP_NOT_COUNTED,
            Error::State { .. } => Code::TIMESTAMP_DISK,
            Error::Sync { .. } => Code::TIMESTAMP_SYNC,
            Error::StateMissing { .. } | Error::StateDamaged { .. } => Code::TIMESTAMP_STATE,
            Error::OtherServer { .. } => Code::TIMESTAMP_OTHER_SERVER,
            Error::Locked { .. } => Code::TIMESTAMP_LOCKED,
        }
    }
}

/// A timestamp server that does not answer.
#[derive(Debug, Clone)]
pub struct SilentServer {
    /// As configured.
    pub address: String,
    /// The last thing that went wrong with it; `None` if nothing has yet.
    pub reason: Option<Arc<Error>>,
}

impl fmt::Display for SilentServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.address)?;
        match &self.reason {
            None => f.write_str("no answer yet")?,
            Some(error) => f.write_str(&causes(&**error))?,
        }
        f.write_str(")")
    }
}

struct Listed<'a>(&'a [SilentServer]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.0.iter().enumerate() {
            write!(f, "{} {server}", if index == 0 { ", but these do not:" } else { "," })?;
        }
        Ok(())
    }
}
