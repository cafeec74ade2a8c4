//! Epochs, membership and the quorum rule, kept durably; the cluster's status for people and routers.
//!
//! In: registrations, reports and requests of agents (wire), requests of operators and routers (HTTP).
//! Out: grants and views to agents; status, routes and metrics. Each decision is the [`engine`]'s, a
//! pure state machine; its state is in the [`store`] before any answer that rests on it leaves.
//! Invariants: I6, I16, epochs and the log's format in force only grow, and no grant is given twice. No
//! commit waits for this part: without a coordinator all goes on but new epochs and changes of members.
//! Does not: count votes of a running epoch (the shipper does), look at servers, or choose a new source.

mod agents;
mod board;
mod core;
pub mod engine;
mod http;
mod metrics;
mod picture;
mod routing;
mod run;
mod status;
pub mod store;
mod throttle;

#[cfg(test)]
mod tests;

pub use run::{Coordinator, run};
pub use status::{MemberStatus, ServerStatus, Status};
