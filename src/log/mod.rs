//! (3) A member's own copy of the log, behind one thread.
//!
//! In: appends of whole frames and requests for promises, from this agent's shipper or from the
//! network. Out: [`Progress`] (written, flushed, matched, visible), and readers.
//!
//! One thread owns the log and the promise, and takes its work in order: it writes all that waits,
//! fsyncs once, publishes. So a group of frames shares one fsync, and no report can overtake a
//! promise (I5). Home of I4, I5, I13 (adoption's cut) and I15: the decisions are [`Gate`]'s.
//!
//! Does not know the quorum, the network or the source; does not decide what is committed.

mod beginning;
mod error;
mod gate;
pub mod history;
mod promise;
mod service;

#[cfg(test)]
pub(crate) mod tests;

pub use error::Error;
pub use gate::{Gate, Refusal};
pub use promise::PromiseFile;
pub use service::{Append, LogHandle, LogService, Progress, Standing};
