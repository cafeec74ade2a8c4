//! From the log to a replica's server.
//!
//! In: the log, `visible` (what is committed and matched here), a server. Out: the server's data, and
//! [`Applied`]: how far, and whether it goes on. A row of the source reaches the server as it was
//! logged, through `BINLOG`, in the same server transaction as the checkpoint row.
//!
//! Invariants: nothing above `visible` (I4); each transaction once, whatever is killed when (I8);
//! every event applied or the stream stops with its place and the server's words (I9); whole
//! transactions in log order, joined but never split or overtaken (I12). What cannot share a
//! transaction with the checkpoint (DDL, CREATE … SELECT, tables without transactions) is a barrier
//! with an intent row, by which a crash in the middle is recognised. One session applies: it holds a
//! lock that ends with it, so that a lost session's last statement has ended before the next begins.
//!
//! Does not: decide what is committed (quorum), receive the log (ship), open a server as source
//! (agent).

mod adopt;
mod barrier;
mod batch;
mod changes;
mod checkpoint;
mod context;
mod engines;
mod error;
mod feed;
mod fingerprint;
mod intent;
mod join;
mod large;
mod packet;
mod parked;
mod pieces;
mod schedule;
mod service;
mod statement;
mod worker;

use bytes::Bytes;
use wal::Lsn;

pub use adopt::{At, adopt};
pub use checkpoint::{Checkpoint, Role, mark_source, place, read as read_checkpoint};
pub use error::{Error, Place};
pub use parked::{Needs, needs, prepare_parked};
pub use schedule::Limits;
pub use service::{Applied, Applier, ApplierOptions, ApplierState, Exit};

use crate::binlog::Checksum;

/// A format description in force: what the session must know to understand the events behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Format {
    /// The record it stands in.
    lsn: Lsn,
    /// The raw event.
    event: Bytes,
    /// Whether events end with a CRC32.
    checksum: Checksum,
}
