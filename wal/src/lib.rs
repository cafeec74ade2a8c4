//! The log: segments of compressed, checksummed frames of numbered, stamped records.
//!
//! In: records and whole frames. Out: the same, from any LSN. See `FORMAT.md` for the bytes.
//! Synchronous; no network, no tokio. Does not decide what is committed, who may append, or when to
//! flush: that is its caller's.

mod epoch;
mod gtid;
mod identity;
mod lsn;
mod position;
mod record;
mod timestamp;

pub use epoch::{Epoch, LogPoint};
pub use gtid::{BadGtid, Gtid};
pub use identity::{BadId, ClusterId, Incarnation};
pub use lsn::Lsn;
pub use position::BinlogPosition;
pub use record::{Body, EpochStart, Record, Transaction, TransactionClass};
pub use timestamp::Timestamp;
