//! What the HTTP of agent, coordinator and verbs have in common: a bounded port, credentials, a client.
//!
//! In: `[http]` of the configuration, a router. Out: a served port; for the verbs, answers.
//!
//! Invariants: nothing but `/healthz` is answered to a request without the credential that the
//! configuration asks for; tokens are compared in constant time. Connections are bounded in number, and
//! closed when nothing moves on them while no request is under way: a stranger holds no place.
//! Credentials and certificates can be renewed while connections live on.
//!
//! Does not: know any path, or tell one holder of the credential from another.

mod access;
mod client;
mod error;
mod listener;
mod serve;
mod throttle;

#[cfg(test)]
mod tests;

pub use access::Door;
pub use client::{Answer, Client, Credentials, Stream};
pub use error::Error;
pub use listener::BoundedListener;
pub use serve::{Busy, serve};
pub use throttle::MaxLag;
