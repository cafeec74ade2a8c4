//! The timestamp service: unique times, ordered by real time, from N = 2M - 1 servers that never talk
//! to each other ("Timestamp as a Service, not an Oracle", PVLDB 17(5)).
//!
//! Server side, in: ticks. Out: runs of timestamps, never one above the durable limit. Client side, in:
//! `take(count)`. Out: a [`RunOfTimestamps`], the M-th smallest of the servers' answers, certified on
//! its last value: N - M + 1 servers are known to stand at or above it, if need be after a second round
//! that raises them.
//!
//! Invariants: I10. The parts that it stands on, each found by the simulation if left out: the certify
//! step; the limit durable before any timestamp below it is issued; a restart above that limit; a
//! server's state is never begun again under its id. Decisions are in `server_core` and `client_core`
//! [pure]; sockets, disk, clocks and retries around them.
//!
//! Does not: hand out timestamps ahead of need (I1, I11: a run is for transactions already waiting),
//! replace a server that lost its disk, or change N while it runs.

mod client;
mod client_core;
mod error;
mod link;
pub(crate) mod message;
mod run;
mod server;
mod server_core;
mod state;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use client::TimestampClient;
pub use client_core::NotCounted;
pub use error::{Error, SilentServer};
pub use message::Refusal;
pub use run::RunOfTimestamps;
pub use server::{Server, run};

/// Timestamps of one run at most. A run is for transactions that already wait in memory; their
/// number is bounded far below this.
pub const RUN_COUNT_MAX: u32 = 1 << 16;
