//! The protocol between the processes of a cluster: who is there, and messages both ways.
//!
//! In: addresses, an [`Identity`]. Out: a [`Connection`] to a peer that has proven the cluster's
//! secret, split into a [`Sender`] and a [`Receiver`] of whole messages. Bytes: `schemas/wire.md`.
//!
//! Invariants: before a peer has proven itself it costs at most [`HANDSHAKE_BYTES_MAX`] bytes,
//! [`HANDSHAKE_DEADLINE`], and one of [`STRANGERS_MAX`] places, and a stranger is sent nothing. Both
//! sides prove the secret over both hellos, under different labels, so that neither an echo nor a
//! replay proves anything. No length from the wire is allocated before it is bounded. Receiving is
//! cancel-safe.
//!
//! Does not: know any message's meaning (each part's kinds are its own), reconnect, or send
//! heartbeats. Without TLS the bytes after the handshake are neither secret nor authenticated: the
//! secret keeps strangers and mistakes out, TLS keeps out who can change packets on the way.

mod connection;
mod error;
mod handshake;
pub(crate) mod hello;
mod identity;
mod message;
mod tls;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use connection::{Connection, Incoming, Listener, connect};
pub use error::Error;
pub use hello::{VERSIONS, Versions};
pub use identity::{Identity, Peer, PeerRole};
pub use message::{Message, Receiver, Sender};
pub use tls::TlsMaterial;

/// What an accepted connection may take until it has proven the secret.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of any one handshake message. A hello has at most about 200.
pub const HANDSHAKE_BYTES_MAX: usize = 4096;

/// Connections of one listener that have not proven the secret yet. More wait in the kernel's queue:
/// a cluster has a few dozen processes, and each place is free again after [`HANDSHAKE_DEADLINE`].
pub const STRANGERS_MAX: usize = 64;

/// Largest message unless the receiver is given another limit: control messages are far smaller.
pub const MESSAGE_BYTES_DEFAULT: usize = 1 << 20;

/// How long one message may take to go out, unless the sender is given another deadline: a peer that
/// stopped reading holds its sender no longer.
pub const SEND_DEADLINE: Duration = Duration::from_secs(30);
