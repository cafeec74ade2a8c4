//! Why a server was not mended.

use crate::cluster::ErrorClass;
use crate::explain::Code;
use crate::server;

/// Why a server was not mended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A COMMIT waits for an ACK.
    #[error(
        "{waiting} COMMITs wait for the quorum at this server: some settings cannot be changed \
         meanwhile without letting them go; bring the quorum back first, then try again"
    )]
    Waiting {
        /// How many.
        waiting: u64,
    },
    /// The server refused a statement.
    #[error("{statement}: {source}")]
    Refused {
        /// What was run.
        statement: String,
        /// What the server says.
        #[source]
        source: server::Error,
    },
    /// The server could not be asked.
    #[error(transparent)]
    Server(#[from] server::Error),
}

impl Error {
    /// What a supervisor would do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Waiting { .. } => ErrorClass::Retry,
            Error::Refused { source, .. } | Error::Server(source) => source.class(),
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Waiting { .. } => Code::COMMITS_WAIT_MEANWHILE,
            Error::Refused { source, .. } | Error::Server(source) => source.code(),
        }
    }
}
