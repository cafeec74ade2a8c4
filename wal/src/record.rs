//! What a record says.

use bytes::Bytes;

use crate::{BinlogPosition, Gtid, Lsn, Timestamp};

/// One numbered, stamped entry of the log. Its epoch is its frame's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Dense number.
    pub lsn: Lsn,
    /// Strictly greater than the timestamp of the record before (I1).
    pub timestamp: Timestamp,
    /// What happened.
    pub body: Body,
}

/// The kinds of record. `wal/FORMAT.md` gives each one's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A source transaction, whole.
    Transaction(Transaction),
    /// A shipper has adopted the log and begins to write.
    EpochStart(EpochStart),
    /// The source's format description changed; a frame ends before it and one after it (I17).
    FormatDescription {
        /// Where the raw event ends at the source.
        position: BinlogPosition,
        /// The raw FORMAT_DESCRIPTION_EVENT: header, body, checksum.
        event: Bytes,
    },
    /// Nothing happened; no later record will carry a timestamp <= `closed` (I11).
    Heartbeat {
        /// The closed timestamp.
        closed: Timestamp,
    },
    /// A change of rule or members. Written and read by the quorum folder; opaque here.
    Membership(Bytes),
    /// One piece of a transaction larger than a record may be (I14).
    Chunk(Bytes),
    /// The last piece; the transaction's own head. Its `events` are the last piece's bytes.
    ChunkEnd(Transaction),
}

/// How a transaction must be applied. Decided at assembly from the events' types alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionClass {
    /// Row events between BEGIN and COMMIT: may share a server transaction with its neighbours.
    Rows,
    /// One statement that commits by itself (DDL, account management): a barrier.
    Ddl,
    /// Rows inside a group that creates its table (MySQL's CREATE ... SELECT): a barrier.
    CreateSelect,
    /// XA PREPARE with its rows: parked until its XA COMMIT or XA ROLLBACK.
    XaPrepare,
    /// XA COMMIT of an earlier XaPrepare.
    XaCommit,
    /// XA ROLLBACK of an earlier XaPrepare.
    XaRollback,
}

/// A transaction of the source, its raw events kept as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// How it must be applied.
    pub class: TransactionClass,
    /// Where its first event starts at the source: a resumed dump that starts here sees it again.
    pub start: BinlogPosition,
    /// Where its last event ends: the position that the semi-sync ACK names.
    pub end: BinlogPosition,
    /// Its name at the source; `None` on MySQL with GTIDs off.
    pub gtid: Option<Gtid>,
    /// Commit time by the source's wall clock, microseconds since 1970 UTC.
    pub commit_micros: i64,
    /// CRC32 that ends its last event as the server wrote it; 0 where checksums are off.
    pub end_crc: u32,
    /// The raw events, one after another: GTID event first, each with header and checksum.
    pub events: Bytes,
}

/// What a new reign rests on (I17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochStart {
    /// Name of the member whose agent ships.
    pub member: String,
    /// The server's own identity: `@@server_uuid` on MySQL; on MariaDB, which has none, the id that
    /// the agent keeps in the server's `plimsoll` schema.
    pub server_uuid: String,
    /// The server's version text, as in its greeting.
    pub server_version: String,
    /// Where in this server's binlog shipping goes on.
    pub position: BinlogPosition,
    /// The last transaction before `position`, where known.
    pub last_gtid: Option<Gtid>,
    /// CRC32 that ends the event which ends at `position`; `None` where no transaction of this
    /// server is in the log yet.
    pub end_crc: Option<u32>,
    /// The raw FORMAT_DESCRIPTION_EVENT in force at `position`.
    pub format_description: Bytes,
}
