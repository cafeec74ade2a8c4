//! What can go wrong when one asks the coordinator.

use crate::cluster::ErrorClass;
use crate::explain::Code;

/// Why a request to the coordinator has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// None of the coordinators could be asked, or none answered in time. Whether the request was
    /// carried out is not known: a grant may have been given; asking again gives a newer one.
    #[error("no answer from a coordinator ({})", .coordinators.join(", "))]
    NoAnswer {
        /// Who was tried.
        coordinators: Vec<String>,
    },
    /// The coordinator says no, for now.
    #[error("the coordinator refuses: {reason}")]
    Refused {
        /// Its page.
        code: Code,
        /// In its words.
        reason: String,
    },
    /// A newer grant exists.
    #[error("the coordinator has granted a newer epoch")]
    Fenced,
    /// The answer is none to this question: another version, or a defect.
    #[error("the coordinator answered {got} to a request for {asked}")]
    Unexpected {
        /// What was asked.
        asked: &'static str,
        /// What came.
        got: &'static str,
    },
    /// The link has been stopped.
    #[error("the link to the coordinator has stopped")]
    Stopped,
}

impl Error {
    /// What the supervisor of a shipper does.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::NoAnswer { .. } | Error::Refused { .. } => ErrorClass::Retry,
            Error::Fenced => ErrorClass::Fenced,
            Error::Unexpected { .. } | Error::Stopped => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::NoAnswer { .. } => Code::NO_COORDINATOR,
            Error::Refused { code, .. } => *code,
            Error::Fenced => Code::FENCED,
            Error::Unexpected { .. } => Code::COORDINATOR_ANSWER,
            Error::Stopped => Code::DEFECT,
        }
    }
}
