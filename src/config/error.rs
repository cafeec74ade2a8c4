//! What can be wrong with a configuration, in words an operator can act on.

use std::io;
use std::path::PathBuf;

use crate::cluster::ErrorClass;
use crate::explain::Code;

/// A configuration that cannot be used. Every text names the file, the key, the fault, the way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, or not readable.
    #[error(
        "{}: cannot be read; give --config the path of a file this account may read",
        file.display()
    )]
    Read {
        /// The configuration file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No TOML, an unknown key, or a value of the wrong kind. Never shows the line itself.
    #[error(
        "{}:{line}: {message}; `plimsoll config example` shows every key",
        file.display(), message = message.trim_end()
    )]
    Syntax {
        /// The configuration file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A value that cannot be.
    #[error("{}: {key}: {problem}", file.display())]
    Key {
        /// The configuration file.
        file: PathBuf,
        /// Dotted path of the key: `agent.server.port`.
        key: &'static str,
        /// Fault and way out.
        problem: Problem,
    },
    /// The file is good, but for another role.
    #[error(
        "{}: has no [{table}] table; add one (`plimsoll config example` shows it) or start the \
         role this file is for", file.display()
    )]
    NoTable {
        /// The configuration file.
        file: PathBuf,
        /// The role's table.
        table: &'static str,
    },
}

impl Error {
    /// A configuration does not mend itself.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Fatal
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Read { .. } => Code::CONFIG_UNREADABLE,
            Error::Syntax { .. } => Code::CONFIG_SYNTAX,
            Error::Key { problem, .. } => problem.code(),
            Error::NoTable { .. } => Code::CONFIG_NO_TABLE,
        }
    }
}

/// What is wrong with one key, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not of the form `host:port`.
    #[error("{0:?} is no address; write host:port with a port from 1 to 65535")]
    Address(String),
    /// The same address for two things.
    #[error("{address:?} is also {other}; give each its own port")]
    SameAddress {
        /// The address.
        address: String,
        /// The other key.
        other: String,
    },
    /// Cannot name a cluster.
    #[error("{0:?} is no cluster name; use 1 to 63 letters, digits, '_', '.' or '-'")]
    ClusterName(String),
    /// Neither or both sources of a secret.
    #[error("needs exactly one of {file} and {env}; a secret itself never stands in the file")]
    SecretChoice {
        /// Key that names a file.
        file: &'static str,
        /// Key that names a variable.
        env: &'static str,
    },
    /// The secret's file.
    #[error("{} cannot be read ({error}); create it, readable for this account only", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The secret's variable.
    #[error("the environment has no readable variable {0}; set it, or name a file instead")]
    SecretEnv(String),
    /// Guessable.
    #[error(
        "the secret has {bytes} bytes; it needs at least {least} \
         (`head -c 32 /dev/urandom | base64` makes one)"
    )]
    SecretShort {
        /// Length found.
        bytes: usize,
        /// Length asked for.
        least: usize,
    },
    /// Too large to be a secret: probably the wrong file.
    #[error("the secret has more than {0} bytes; name the right file")]
    SecretLong(usize),
    /// Nothing listed.
    #[error("is empty; {0}")]
    Empty(&'static str),
    /// Listed twice.
    #[error("{0:?} stands there twice; every entry must be a different one")]
    Twice(String),
    /// N = 2M - 1.
    #[error("lists {0} timestamp servers; the number must be odd (1, 3, 5, ... up to 9)")]
    TimestampCount(usize),
    /// Not a place in a binlog.
    #[error(
        "{0:?} is no start; write \"current\", \"earliest\", FILE:POS (\"bin.000042:4\") or a GTID \
         set (\"uuid:1-30\", \"0-1-100\")"
    )]
    Start(String),
    /// A number or amount outside what works.
    #[error("is {value}; it must be between {least} and {most}")]
    Range {
        /// As written.
        value: String,
        /// Lower bound, included.
        least: String,
        /// Upper bound, included.
        most: String,
    },
    /// `verify-ca` and `verify-full` need an authority.
    #[error("is missing; tls = \"{0}\" needs the PEM file of the authority that is trusted")]
    MissingCa(&'static str),
    /// An authority without TLS would be silently unused.
    #[error("is set, but tls = \"disabled\"; choose tls = \"verify-ca\" or \"verify-full\"")]
    UnusedCa,
    /// The source is nobody.
    #[error("{0:?} is not in coordinator.members; add it there or name one that is")]
    UnknownSource(String),
    /// A witness has no server to be the source of.
    #[error("{0:?} is a witness and has no server; name a member with a server")]
    WitnessSource(String),
    /// k > n.
    #[error(
        "tolerating the loss of {tolerate} needs {} members that flush before COMMIT returns, but \
         there are {members}; add members or lower it", tolerate + 1
    )]
    TooFewMembers {
        /// As configured.
        tolerate: usize,
        /// Members listed.
        members: usize,
    },
    /// k > members that can apply.
    #[error(
        "\"applied\" with tolerate = {tolerate} needs {} members with a server (the source is one \
         of them), but there are {servers}; add replicas, lower tolerate, or use \"flushed\"",
        tolerate + 1
    )]
    TooFewAppliers {
        /// As configured.
        tolerate: usize,
        /// Members that are not witnesses.
        servers: usize,
    },
    /// Two tables of one file disagree.
    #[error("{name:?} {what}; make [agent] and coordinator.members agree")]
    Disagree {
        /// The member.
        name: String,
        /// How.
        what: &'static str,
    },
}

impl Problem {
    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Problem::Address(_) | Problem::SameAddress { .. } => Code::CONFIG_ADDRESS,
            Problem::SecretChoice { .. }
            | Problem::SecretFile { .. }
            | Problem::SecretEnv(_)
            | Problem::SecretShort { .. }
            | Problem::SecretLong(_) => Code::CONFIG_SECRET,
            Problem::ClusterName(_)
            | Problem::Empty(_)
            | Problem::Twice(_)
            | Problem::Start(_)
            | Problem::Range { .. } => Code::CONFIG_VALUE,
            Problem::TimestampCount(_) => Code::CONFIG_TIMESTAMP_COUNT,
            Problem::MissingCa(_) | Problem::UnusedCa => Code::CONFIG_TLS,
            Problem::UnknownSource(_) | Problem::WitnessSource(_) => Code::CONFIG_SOURCE,
            Problem::TooFewMembers { .. } | Problem::TooFewAppliers { .. } => Code::CONFIG_QUORUM,
            Problem::Disagree { .. } => Code::CONFIG_DISAGREES,
        }
    }
}
