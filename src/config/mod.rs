//! One TOML file, a table per role, unknown keys refused.
//!
//! In: the path of a file; beside it the files and variables it names for secrets. Out: validated
//! options per role ([`AgentConfig`], [`CoordinatorConfig`], [`TimestampConfig`]), in which every
//! default is filled in and every relation between keys was checked, so that no part checks again.
//!
//! Invariants: a secret comes from a file or the environment, is never in the TOML itself, never
//! printed, and no error shows a line of the file (somebody may have written a password there).
//! Relative paths are relative to the folder of the file. Every [`Error`] says file, key, what is
//! wrong and the way out.
//!
//! Does not: connect, bind, create folders, or look at a server.

mod address;
mod agent;
mod coordinator;
mod error;
mod http;
mod load;
mod raw;
mod secret;
mod server;
mod start;
mod timestamp;
mod units;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use agent::{AgentConfig, AgentServer, Keep};
pub use coordinator::{CoordinatorConfig, MemberConfig};
pub use error::{Error, Problem};
pub use http::{HttpAccess, HttpTls};
pub use raw::schema;
pub use secret::Secret;
pub use server::{ServerConfig, TlsMode};
pub use start::StartAt;
pub use timestamp::TimestampConfig;
pub use units::duration;

/// The commented example: what `plimsoll config example` prints and README.md shows.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A validated file: the roles that it has a table for.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// `[cluster]`
    pub cluster: ClusterConfig,
    /// `[http]`
    pub http: Option<HttpAccess>,
    /// `[agent]`
    pub agent: Option<AgentConfig>,
    /// `[coordinator]`
    pub coordinator: Option<CoordinatorConfig>,
    /// `[timestamp]`
    pub timestamp: Option<TimestampConfig>,
}

/// `[cluster]`: what every process of a cluster agrees on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Name, in every handshake. 1 to 63 of `[A-Za-z0-9_.-]`.
    pub name: String,
    /// Shared secrets, at least one, each of at least 16 bytes. The first is proven in handshakes,
    /// each is accepted: more than one only while it is being changed.
    pub secrets: Vec<Secret>,
    /// Mutual TLS between the processes of the cluster. Default: none, plain TCP.
    pub tls: Option<TlsFiles>,
}

/// PEM files for mutual TLS between the processes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authority that signed every process's certificate.
    pub ca: PathBuf,
    /// This process's certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}
