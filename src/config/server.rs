//! How to reach a MySQL or MariaDB server.

use std::path::PathBuf;

use super::Secret;

/// How far the server's certificate is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Plain TCP. Passwords still never cross in clear (caching_sha2's RSA, or a scramble).
    #[default]
    Disabled,
    /// The chain must hold; the name may differ (servers' self-made certificates carry none).
    VerifyCa {
        /// PEM file of the authorities.
        ca: PathBuf,
    },
    /// The chain must hold and name the host.
    VerifyFull {
        /// PEM file of the authorities.
        ca: PathBuf,
    },
}

/// A server, and whom to log in as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// A port of its own for when all connections are used up by waiting COMMITs: MySQL's
    /// `admin_port`, MariaDB's `extra_port`. Tried after the main port refuses with 1040.
    pub fallback_port: Option<u16>,
    /// Account of the agent.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Transport security.
    pub tls: TlsMode,
}
