//! The log: segments of compressed, checksummed frames of numbered, stamped records.
//!
//! In: records and whole frames. Out: the same, from any LSN. See `FORMAT.md` for the bytes.
//! Synchronous; no network, no tokio. Does not decide what is committed, who may append, or when to
//! flush: that is its caller's.

mod builder;
mod codec;
mod compression;
mod context;
mod cursor;
mod disk;
mod encoding;
mod epoch;
mod error;
mod find;
mod folder;
mod frame;
mod gtid;
mod identity;
mod link;
mod log;
mod lsn;
mod position;
mod reader;
mod record;
mod recover;
mod segment;
mod timestamp;
mod truncate;
mod verify;
mod view;

pub use builder::FrameBuilder;
pub use compression::Codec;
pub use context::SourceContext;
pub use cursor::Cursor;
pub use epoch::{Epoch, LogPoint};
pub use error::{Error, ErrorClass, Fault};
pub use find::Find;
pub use frame::{FRAME_TARGET_RAW, Frame, FrameHeader, MAX_FRAME_RAW, MAX_FRAME_RECORDS};
pub use gtid::{BadGtid, Gtid};
pub use identity::{BadId, ClusterId, Incarnation};
pub use log::{Log, LogOptions};
pub use lsn::Lsn;
pub use position::BinlogPosition;
pub use reader::{LogReader, SegmentInfo};
pub use record::{Body, EpochStart, Record, Transaction, TransactionClass};
pub use timestamp::Timestamp;
pub use verify::{Verified, verify};
