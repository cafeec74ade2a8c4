//! The log: segments of compressed, checksummed frames of numbered, stamped records.
//!
//! In: records (through [`FrameBuilder`]) and whole frames from other members. Out: the same frames
//! and records, from any LSN, in order, to any number of readers beside the one writer.
//! `FORMAT.md` gives the bytes.
//!
//! Holds: LSNs are dense, timestamps grow with them, epochs never fall, and each frame carries the
//! running checksum of all before it (I1, I13). What [`Log::sync`] covered is found again after any
//! crash, or [`Error::Damaged`] names the place; only [`Log::truncate_after`] takes flushed records
//! away. [`Recompressor`] replaces files, never a record. Memory is bounded by one frame per reader and writer, and a frame by [`MAX_FRAME_RAW`].
//!
//! Synchronous; no network, no tokio, no clock. Does not decide what is committed, who may append, or
//! when to flush, and does not look into events: that is its callers'.

mod beginning;
mod builder;
mod codec;
mod compression;
mod context;
mod cursor;
mod disk;
#[cfg(test)]
mod durability;
mod encoding;
mod epoch;
mod error;
mod find;
mod folder;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod gtid;
mod identity;
mod index;
mod link;
mod log;
mod lsn;
mod parallel;
mod position;
mod reader;
mod recompress;
mod record;
mod recover;
mod remove;
mod repair;
mod segment;
mod survey;
mod timestamp;
mod truncate;
mod verify;
mod view;

pub use beginning::Beginning;
pub use builder::FrameBuilder;
pub use compression::Codec;
pub use context::SourceContext;
pub use cursor::Cursor;
pub use disk::Disk;
pub use disk::free_bytes;
#[cfg(any(test, feature = "sim"))]
pub use disk::sim;
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
pub use recompress::{Recompressed, Recompressor};
pub use record::{Body, EpochStart, Record, Transaction, TransactionClass};
pub use remove::Removal;
pub use repair::{Damage, Mended, Mender, Repair};
pub use survey::{Depth, LARGEST, Survey};
pub use timestamp::Timestamp;
pub use verify::{Verified, verify, verify_on, verify_with};

/// The versions of the format that this build reads. It writes the last one where its caller asks for
/// a codec that only that one has.
pub const FORMATS: std::ops::RangeInclusive<u16> = segment::FIRST_VERSION..=segment::LAST_VERSION;
