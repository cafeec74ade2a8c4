//! What keeps an HTTP port or a client from being made, or a request from being answered.

use crate::certificate;
use crate::cluster::ErrorClass;
use crate::explain::Code;

/// An HTTP port or client that cannot be, or an answer that did not come.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PEM file.
    #[error(transparent)]
    File(#[from] certificate::Error),
    /// Certificate and key, or the authority, are refused by the TLS library.
    #[error("HTTPS: certificate, key and authority do not work together")]
    Tls(#[source] rustls::Error),
    /// The clients' authority cannot be used.
    #[error("HTTPS: the authority of the clients' certificates cannot be used")]
    ClientAuthority(#[source] rustls::server::VerifierBuilderError),
    /// HTTPS was switched on or off in the file of a running process.
    #[error("[http] tls was added or removed: that needs a restart")]
    TlsSwitched,
    /// Randomness for the comparison of tokens.
    #[error("the system gives no random bytes")]
    Random,
    /// A token for the command line.
    #[error("no token can be read from {0}; name a readable file with a token of printable ASCII")]
    Token(String),
    /// A verb that is to use HTTPS knows no authority.
    #[error(
        "no authority is known for HTTPS; give --ca FILE, or set ca (or client_ca) in [http] tls"
    )]
    NoAuthority,
    /// One of a pair.
    #[error("--cert and --key belong together: the client's certificate and its key")]
    HalfCertificate,
    /// `--config` names a file that cannot be used.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// No answer.
    #[error("no answer from {url}")]
    Request {
        /// What was asked.
        url: String,
        /// The library's words.
        #[source]
        source: Box<ureq::Error>,
    },
}

impl Error {
    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::File(error) => error.code(),
            Error::Tls(_) | Error::ClientAuthority(_) | Error::TlsSwitched => Code::TLS_FILES,
            Error::Random => Code::SYSTEM,
            Error::Token(_) | Error::NoAuthority | Error::HalfCertificate => Code::HTTP_CREDENTIAL,
            Error::Config(error) => error.code(),
            Error::Request { .. } => Code::PEER_UNREACHABLE,
        }
    }

    /// What is configured wrongly does not mend itself; a peer may come back.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Request { .. } => ErrorClass::Retry,
            _ => ErrorClass::Fatal,
        }
    }
}
