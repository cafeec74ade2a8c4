//! What can end a connection, or keep it from being made.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{PeerRole, Versions};
use crate::cluster::ErrorClass;
use crate::explain::Code;

/// A connection that was not made, or is over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The own identity cannot be sent.
    #[error("{0:?} cannot name a peer or cluster; use 1 to 63 letters, digits, '_', '.' or '-'")]
    Name(String),
    /// A PEM file.
    #[error("{}: no usable PEM ({problem}); name a readable file with {wanted}", file.display())]
    TlsFile {
        /// The file.
        file: PathBuf,
        /// The parser's or system's words.
        problem: String,
        /// What should be in it.
        wanted: &'static str,
    },
    /// Certificate and key, or the authority, are refused by the TLS library.
    #[error("cluster TLS: certificate, key and authority do not work together")]
    TlsSetup(#[source] rustls::Error),
    /// The port cannot be listened on.
    #[error(
        "cannot listen on {address}; is another process on this port, or the address not ours?"
    )]
    Bind {
        /// `host:port`.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody there.
    #[error("cannot connect to {address}")]
    Connect {
        /// `host:port`.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Too slow.
    #[error("{peer} did not finish the handshake in {deadline:?}")]
    Deadline {
        /// Address.
        peer: String,
        /// What it was given.
        deadline: Duration,
    },
    /// The TLS handshake failed.
    #[error("{peer}: TLS handshake failed; both sides need TLS and certificates of one authority")]
    TlsHandshake {
        /// Address.
        peer: String,
        /// The library's words.
        #[source]
        source: io::Error,
    },
    /// The handshake broke off. What a peer sees that does not belong here.
    #[error(
        "{peer} closed the connection during the handshake; are cluster name, secret and TLS the \
         same there? Its log says more"
    )]
    Refused {
        /// Address.
        peer: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Not our protocol.
    #[error("{peer} does not speak this protocol")]
    Garbage {
        /// Address.
        peer: String,
    },
    /// Another cluster.
    #[error("{peer} belongs to another cluster")]
    ForeignCluster {
        /// Address.
        peer: String,
    },
    /// The secret was not proven.
    #[error("{peer} has not proven the cluster's secret; is it the same there?")]
    BadProof {
        /// Address.
        peer: String,
    },
    /// No common version.
    #[error("{peer} speaks versions {theirs}, we speak {ours}; upgrade the older one")]
    Version {
        /// Address.
        peer: String,
        /// Our range.
        ours: Versions,
        /// The peer's range.
        theirs: Versions,
    },
    /// Another role than asked for.
    #[error("{peer} is a {found}, not a {wanted}; is the address right?")]
    Role {
        /// Address.
        peer: String,
        /// Asked for.
        wanted: PeerRole,
        /// Met.
        found: PeerRole,
    },
    /// Randomness for the nonce.
    #[error("the system gives no random bytes")]
    Random,
    /// A message longer than this side takes.
    #[error("{peer} sent a message of {bytes} bytes; the limit here is {limit}")]
    TooLarge {
        /// Address.
        peer: String,
        /// As announced.
        bytes: usize,
        /// As allowed.
        limit: usize,
    },
    /// A message of length zero.
    #[error("{peer} sent a message without a kind")]
    Empty {
        /// Address.
        peer: String,
    },
    /// The connection ended inside a message.
    #[error("{peer} ended the connection inside a message")]
    Truncated {
        /// Address.
        peer: String,
    },
    /// The system ended the connection.
    #[error("connection to {peer} lost")]
    Lost {
        /// Address.
        peer: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The peer does not read.
    #[error("{peer} took no message for {deadline:?}")]
    Stuck {
        /// Address.
        peer: String,
        /// What it was given.
        deadline: Duration,
    },
    /// An earlier send failed or was cancelled half-way: nothing sensible can follow on this stream.
    #[error("an earlier message to {peer} went out in part only")]
    Torn {
        /// Address.
        peer: String,
    },
    /// A message that does not fit the length field.
    #[error("a message of {bytes} bytes cannot be sent")]
    Unsendable {
        /// Its length.
        bytes: usize,
    },
    /// A body that cannot be written as, or read from, JSON.
    #[error("message of kind {kind} is not the JSON it should be")]
    Json {
        /// The message's kind.
        kind: u8,
        /// The library's words.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// Most end the connection only: the peer may be restarted, mended or upgraded.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Name(_)
            | Error::TlsFile { .. }
            | Error::TlsSetup(_)
            | Error::Bind { .. }
            | Error::Unsendable { .. } => ErrorClass::Fatal,
            Error::Random => ErrorClass::Retry,
            _ => ErrorClass::Reconnect,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Name(_) => Code::CONFIG_VALUE,
            Error::TlsFile { .. } | Error::TlsSetup(_) => Code::TLS_FILES,
            Error::Bind { .. } => Code::CANNOT_LISTEN,
            Error::Connect { .. } => Code::PEER_UNREACHABLE,
            Error::TlsHandshake { .. } => Code::TLS_HANDSHAKE,
            Error::Refused { .. } | Error::ForeignCluster { .. } | Error::BadProof { .. } => {
                Code::HANDSHAKE_REFUSED
            }
            Error::Garbage { .. }
            | Error::TooLarge { .. }
            | Error::Empty { .. }
            | Error::Unsendable { .. }
            | Error::Json { .. } => Code::NOT_OUR_PROTOCOL,
            Error::Version { .. } => Code::PEER_VERSION,
            Error::Role { .. } => Code::PEER_ROLE,
            Error::Random => Code::SYSTEM,
            Error::Deadline { .. }
            | Error::Truncated { .. }
            | Error::Lost { .. }
            | Error::Stuck { .. }
            | Error::Torn { .. } => Code::CONNECTION_LOST,
        }
    }
}
