//! When a record is committed, and when an epoch is fenced.
//!
//! In: who has flushed what, who has promised. Out: the commit LSN, "fenced", and for whom one waits.
//! [`rule`] is pure and used alike by the shipper (a commit never waits for the coordinator) and by
//! the coordinator. Invariants: I2, I6.

pub mod rule;
