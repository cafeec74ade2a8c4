//! (4) The log between members: frames out, reports back.
//!
//! In: the shipper's frames ([`Window`]) and its log; on the other side a member's connection. Out:
//! the same frames, byte for byte, in every member's log; each member's reports; its promises.
//!
//! Shipper: [`fence`] collects promises, [`adopt`] chooses the log, [`fetch`] gets what is missing,
//! [`sender`] keeps one member up to date. Member: [`serve`] answers one connection; [`mend`] writes a
//! damaged segment anew.
//!
//! Invariants: an append names the record before it (I15); a report is sent only to the shipper it
//! was made for (I5); the greatest (epoch, LSN) of a fence quorum is adopted, never the second best
//! (I7); a member counts only under its own incarnation and with the log that it once reported (I16).
//!
//! Does not decide what is committed, nor who may append: those are `quorum`'s and `log`'s.

pub mod adopt;
mod error;
pub mod fence;
pub mod fetch;
pub mod mend;
pub mod message;
pub mod sender;
pub mod serve;
mod window;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use window::Window;
