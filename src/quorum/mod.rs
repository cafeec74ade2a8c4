//! (5) What is committed. [pure]
//!
//! In: the rules that the coordinator granted, and what members report as flushed and applied. Out:
//! `commit_lsn`, and the LSN up to which the master's COMMITs may be released.
//!
//! Home of I2 (only a record of the current epoch is counted) and of the arithmetic behind I6 (every
//! commit quorum meets every fence). The same code runs in the shipper, so that a commit never waits
//! for the coordinator, and in the coordinator.
//!
//! Does not send, wait or store anything.

pub mod rule;
mod tracker;

pub use tracker::{Reported, Tracker};
