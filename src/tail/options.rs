//! How to tail a server.

use std::time::Duration;

use wal::BinlogPosition;

use crate::binlog::GtidSet;
use crate::config::ServerConfig;

/// Where in the server's binlog to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartAt {
    /// The first event that starts there. An empty file name: the server's first file.
    Position(BinlogPosition),
    /// The first transaction that is not in the set.
    Gtid(GtidSet),
}

/// What a [`super::Tail`] needs.
#[derive(Debug, Clone)]
pub struct TailOptions {
    /// The server and the account: REPLICATION SLAVE, and on MariaDB REPLICATION MASTER ADMIN.
    pub server: ServerConfig,
    /// `server_id` of this replica; no other replica of the server may have it.
    pub server_id: u32,
    /// Uuid of this replica; no other replica of the server may have it.
    pub replica_uuid: String,
    /// Where to start.
    pub start: StartAt,
    /// Ask the server to wait for our ACKs.
    pub semi_sync: bool,
    /// The server's word that it lives, when there is nothing else to send. Default: 1 s.
    pub heartbeat: Duration,
    /// Without any word for so long the connection counts as lost. Default: 5 s.
    pub silence: Duration,
    /// For connecting and the login. Default: 10 s.
    pub connect: Duration,
    /// For the server to find the start: MariaDB reads through its binlog for a GTID. Default: 60 s.
    pub find_start: Duration,
    /// Largest transaction, in bytes of its events. Default: 256 MiB.
    pub max_transaction_bytes: usize,
}

impl TailOptions {
    /// With the defaults, and semi-sync.
    pub fn new(
        server: ServerConfig,
        server_id: u32,
        replica_uuid: impl Into<String>,
        start: StartAt,
    ) -> TailOptions {
        TailOptions {
            server,
            server_id,
            replica_uuid: replica_uuid.into(),
            start,
            semi_sync: true,
            heartbeat: Duration::from_secs(1),
            silence: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            find_start: Duration::from_secs(60),
            max_transaction_bytes: 256 << 20,
        }
    }
}
