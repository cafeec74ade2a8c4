//! The change feed: committed changes in LSN order, from a place on, for ever.
//!
//! In: this member's log, what of it is visible (I4), where to begin. Out: chunks of lines
//! (`schemas/change.md`), through a bounded channel.
//!
//! Any member serves any consumer: all have the same log, and a named consumer's place is kept at the
//! coordinator (`coordinator/engine/consumer.rs`), not here. So it survives every agent, needs no
//! election of its own, and says with one value what all logs must keep (`View::lowest_needed`).
//! The price is that opening a feed and acknowledging need a coordinator; a feed that is open goes on
//! without.
//!
//! Exactly once: a feed begins right behind what was acknowledged, transactions are whole, in order,
//! each once. What a consumer got and did not acknowledge comes again after a crash; its `lsn` and
//! `index` are the same then.
//!
//! Invariants: nothing above what is visible (I4), so nothing that an adoption could cut; memory is
//! bounded by a record, a line and a few chunks; a feed whose reader takes nothing ends.
//!
//! Does not: keep places, speak HTTP, or hold the log (that is retention's, by `View::lowest_needed`).

mod error;
mod pieces;
mod reading;
mod select;
mod xa;

pub use error::Error;
pub use pieces::{Pieces, pieces};
pub use reading::{Feed, Feeds};
pub use select::{BadTables, Tables};
