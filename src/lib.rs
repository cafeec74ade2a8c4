//! Plimsoll: a replication log shipper beside an unmodified MySQL or MariaDB master.
//!
//! The folders in the order of a transaction's way. ARCHITECTURE.md has the picture, the invariants
//! I1-I17 and the layering: a part imports only what stands above it here.

pub mod backoff;
pub mod certificate;
mod chain_only;
pub mod cluster;
pub mod explain;
pub mod config;
pub mod lag;
pub mod metrics;
pub mod token;

pub mod binlog;
pub mod server;
pub mod doctor;
pub mod wire;
pub mod http;
pub mod renewal;

pub mod tail;
pub mod timestamp;
pub mod quorum;
pub mod ack;
pub mod stamp;
pub mod log;
pub mod ship;
pub mod apply;
pub mod report;
pub mod verify;

pub mod agent;
pub mod coordinator;
pub mod playground;

pub mod cli;

#[doc(hidden)]
pub mod fuzzing;
