//! The master's binlog, received as its (semi-synchronous) replica.
//!
//! In: a server's address and where to start. Out: whole transactions in binlog order, each with
//! whether the server waits for an ACK of its end; and an [`AckSender`] that sends such ACKs.
//!
//! Invariants: every event's CRC32 is compared before anything is done with it; nothing is left out
//! (I9); nothing is ever acknowledged from here: only who holds the [`AckSender`] does (I3); memory
//! is bounded by the largest transaction allowed (I14).
//!
//! Does not: stamp, log, decide when to acknowledge, reconnect by itself (its owner does, with
//! `backoff`, since a new connection may mean a new epoch), switch semi-sync on (`server`).

mod ack;
mod error;
pub(crate) mod login;
mod options;
pub(crate) mod packets;
mod session;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
mod tls;

pub use ack::AckSender;
pub use error::{DumpRefusal, Error};
pub use options::{StartAt, TailOptions};
pub use stream::{Tail, Tailed};
