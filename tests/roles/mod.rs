//! Roles as processes of their own, from configuration files as an operator writes them; no servers.

pub mod authority;
mod credentials;
pub mod process;
