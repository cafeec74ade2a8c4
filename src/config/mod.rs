//! One TOML file, a table per role, unknown keys refused.

mod secret;
mod server;

pub use secret::Secret;
pub use server::{ServerConfig, TlsMode};
