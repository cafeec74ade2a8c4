//! What can be wrong with a binlog.

use std::io;

use wal::BinlogPosition;

use super::EventKind;
use crate::cluster::ErrorClass;
use crate::explain::Code;

/// Bytes that are no binlog, or a binlog that cannot be passed on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a field.
    #[error("{what}: needs {need} more bytes, {have} are left")]
    Truncated {
        /// Field or structure.
        what: &'static str,
        /// Bytes that its length asks for.
        need: u64,
        /// Bytes that are there.
        have: usize,
    },
    /// A value that no server writes.
    #[error("{what}: malformed")]
    Malformed {
        /// Field or structure.
        what: &'static str,
    },
    /// The header's length is not the number of bytes that came.
    #[error("{kind}: header says {declared} bytes, {actual} came")]
    Length {
        /// Type of the event.
        kind: EventKind,
        /// From the header.
        declared: u32,
        /// Received.
        actual: usize,
    },
    /// The CRC32 that ends the event is not that of its bytes.
    #[error("{kind}: CRC32 is {computed:08x}, the event says {stored:08x}")]
    Checksum {
        /// Type of the event.
        kind: EventKind,
        /// As the server wrote it.
        stored: u32,
        /// Of the bytes that came.
        computed: u32,
    },
    /// An error met while reading a stream, with its place.
    #[error("at {position}, event {kind}")]
    At {
        /// Where the event starts.
        position: BinlogPosition,
        /// Its type.
        kind: EventKind,
        /// What is wrong with it.
        #[source]
        source: Box<Error>,
    },
    /// An event that this version cannot pass on (I9).
    #[error("at {position}: event {kind} cannot be passed on: {reason}")]
    Unsupported {
        /// Where the event starts.
        position: BinlogPosition,
        /// Its type.
        kind: EventKind,
        /// Why, in words for a person.
        reason: &'static str,
    },
    /// A known event where it makes no sense.
    #[error("at {position}: event {kind} {place}")]
    OutOfPlace {
        /// Where the event starts.
        position: BinlogPosition,
        /// Its type.
        kind: EventKind,
        /// Where it was met.
        place: &'static str,
    },
    /// The event does not start where the one before ended: something between was lost.
    #[error(
        "at {position}: event {kind} says that it ends at {log_pos}, it must end at {expected}"
    )]
    Gap {
        /// Where the event must start.
        position: BinlogPosition,
        /// Its type.
        kind: EventKind,
        /// Low 32 bits of its end, from its header.
        log_pos: u32,
        /// Where it must end, 64 bits.
        expected: u64,
    },
    /// A transaction that is larger than this version holds in memory (I14).
    #[error("transaction that starts at {start} is larger than {limit} bytes")]
    TransactionTooLarge {
        /// Where it starts.
        start: BinlogPosition,
        /// The limit.
        limit: usize,
    },
    /// Expansion would pass a limit.
    #[error("{what}: {bytes} bytes are more than the limit of {limit}")]
    TooLarge {
        /// What was to be expanded.
        what: &'static str,
        /// Bytes declared or produced.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The compressed bytes do not decompress.
    #[error("{what}: does not decompress")]
    Decompress {
        /// What was to be expanded.
        what: &'static str,
        /// The decompressor's words.
        #[source]
        source: io::Error,
    },
    /// A column type without a known length.
    #[error("column type {0} is unknown")]
    UnknownColumnType(u8),
    /// Rows whose table map did not come before.
    #[error("rows of table id {0} without a table map")]
    NoTableMap(u64),
    /// A status variable of a QUERY event without a known length.
    #[error("status variable {0} of a QUERY event is unknown")]
    UnknownStatusVar(u8),
}

impl Error {
    /// A damaged byte may be the wire's: another connection brings it again. All else stays as it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Checksum { .. } | Error::Length { .. } => ErrorClass::Reconnect,
            Error::At { source, .. } => source.class(),
            _ => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Unsupported { .. } | Error::OutOfPlace { .. } => Code::EVENT_UNSUPPORTED,
            Error::Truncated { .. }
            | Error::Malformed { .. }
            | Error::Decompress { .. }
            | Error::UnknownColumnType(_)
            | Error::NoTableMap(_)
            | Error::UnknownStatusVar(_) => Code::EVENT_MALFORMED,
            Error::Length { .. } | Error::Checksum { .. } => Code::EVENT_CHECKSUM,
            Error::At { source, .. } => source.code(),
            Error::Gap { .. } => Code::BINLOG_GAP,
            Error::TransactionTooLarge { .. } => Code::TRANSACTION_TOO_LARGE,
            Error::TooLarge { .. } => Code::EVENT_TOO_LARGE,
        }
    }
}
