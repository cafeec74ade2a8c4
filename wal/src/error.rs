//! What can go wrong with a log, and what its caller may do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::{ClusterId, Epoch, Lsn, Timestamp};

/// What a supervisor does about an error of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Passing, and the log is consistent: try the same again, after a pause.
    Retry,
    /// The bytes or frames that came from elsewhere are no good: ask their sender anew.
    Reconnect,
    /// Going on would risk data, or cannot work until a person acts.
    Fatal,
}

/// Why a log operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {what} {path}")]
    Io {
        /// Verb phrase: `read`, `write`, `create`.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// No space (or quota) for more. The log is as it was before the call.
    #[error("no space left for {path}: free some, the log goes on by itself")]
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// An fsync failed: what was written may be lost although it reads back. Never retried.
    #[error("fsync of {path} failed: what was written last may be lost; restart to recover")]
    Sync {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// An earlier failure left this `Log` unusable; open the folder again.
    #[error("the log at {0} stopped after an earlier failure; restart to recover")]
    Poisoned(PathBuf),
    /// Another process writes this log.
    #[error("the log at {0} is in use by another process")]
    Locked(PathBuf),
    /// `create` found something there.
    #[error("{0} exists already and is not empty")]
    Exists(PathBuf),
    /// `open` found no log there.
    #[error("{0} is not a log folder")]
    NotALog(PathBuf),
    /// Bytes on disk are not what was written (I13). Never repaired by guessing.
    #[error("{segment} is damaged at offset {offset}: {fault}")]
    Damaged {
        /// File name in the log folder.
        segment: String,
        /// Byte offset in the file of what was being read.
        offset: u64,
        /// What was expected there.
        #[source]
        fault: Fault,
    },
    /// Bytes handed in are no frame.
    #[error("bad frame: {0}")]
    BadFrame(#[source] Fault),
    /// A frame that is whole, but not the next one of this log.
    #[error("refused frame: {0}")]
    Refused(#[source] Fault),
    /// The frame would be larger than [`crate::MAX_FRAME_RAW`].
    #[error("a frame of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Uncompressed size asked for.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The record is not the last of a frame, so the log cannot be cut behind it.
    #[error("no frame ends at LSN {0}")]
    NotABoundary(Lsn),
    /// What the cursor would read next was cut off by an adoption; take a new cursor.
    #[error("the log was cut before LSN {0}")]
    Cut(Lsn),
    /// The records asked for are not kept any more.
    #[error("the log starts at LSN {first}")]
    Gone {
        /// The first record that is there.
        first: Lsn,
    },
    /// Nothing in the log up to here says in which format events are.
    #[error("no format description in the log at or before LSN {0}")]
    NoFormat(Lsn),
}

impl Error {
    /// What may be done about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Full { .. } | Error::Cut(_) | Error::Locked(_) => ErrorClass::Retry,
            Error::BadFrame(_) | Error::Refused(_) => ErrorClass::Reconnect,
            _ => ErrorClass::Fatal,
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::Full { path, source }
            }
            _ => Error::Io { what, path, source },
        }
    }

    pub(crate) fn sync(path: &Path, source: io::Error) -> Error {
        Error::Sync { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, fault: Fault) -> Error {
        let segment = path.file_name().unwrap_or(path.as_os_str());
        Error::Damaged { segment: segment.to_string_lossy().into_owned(), offset, fault }
    }
}

/// What was expected, and what stood there instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Fewer bytes than the thing needs.
    #[error("expected {expected} bytes, found {found}")]
    Short {
        /// Bytes needed.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// More bytes than the thing has.
    #[error("{0} bytes too many")]
    Trailing(u64),
    /// Zeros, or other bytes, where a frame or segment starts.
    #[error("expected the magic bytes of a {0}")]
    Magic(&'static str),
    /// A format version that this program cannot read.
    #[error("format version {0} is not readable by this program")]
    Version(u16),
    /// A codec that this program does not know.
    #[error("unknown codec {0}")]
    Codec(u8),
    /// Flags that this program does not know, or that the content contradicts.
    #[error("unexpected flags {0:#04x}")]
    Flags(u8),
    /// A checksum does not match.
    #[error("{what} checksum is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// `header` or `body`.
        what: &'static str,
        /// As computed from the bytes.
        expected: u32,
        /// As stored.
        found: u32,
    },
    /// A length or count outside its bounds.
    #[error("{what} of {found} is out of bounds")]
    Bounds {
        /// Name of the field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// The body does not decompress to what the header says.
    #[error("the body does not decompress to {0} bytes")]
    Compression(u32),
    /// A record's bytes make no sense.
    #[error("record {index} of the frame: bad {what}")]
    Record {
        /// From 0.
        index: u32,
        /// The field.
        what: &'static str,
    },
    /// Not the number that follows.
    #[error("expected LSN {expected}, found {found}")]
    Lsn {
        /// Next number of the log.
        expected: Lsn,
        /// Number of the frame or segment.
        found: Lsn,
    },
    /// The running checksum of what came before is another.
    #[error("expected chain {expected:08x}, found {found:08x}")]
    Chain {
        /// That of the log.
        expected: u32,
        /// That of the frame or segment.
        found: u32,
    },
    /// Epochs never fall along a log, and a segment holds one.
    #[error("expected epoch {expected}, found {found}")]
    Epoch {
        /// That of the log or segment.
        expected: Epoch,
        /// That of the frame.
        found: Epoch,
    },
    /// Timestamps grow strictly with LSN (I1).
    #[error("timestamp {found} does not follow {previous}")]
    Timestamp {
        /// Of the record before.
        previous: Timestamp,
        /// Of this one.
        found: Timestamp,
    },
    /// Another cluster's log.
    #[error("expected cluster {expected}, found {found}")]
    Cluster {
        /// That of the folder.
        expected: ClusterId,
        /// That of the segment.
        found: ClusterId,
    },
    /// What the log is known to have flushed is not there.
    #[error("flushed records up to LSN {0} are missing")]
    Missing(Lsn),
    /// A whole frame stands behind a damaged place, so that place is no torn tail.
    #[error("{fault}; a whole frame follows at offset {follows}")]
    Hole {
        /// What is wrong at the place.
        fault: Box<Fault>,
        /// Where the next whole frame starts.
        follows: u64,
    },
    /// A field of a segment header or of the folder's own files is malformed.
    #[error("bad {0}")]
    Field(&'static str),
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorClass::Retry => "retry",
            ErrorClass::Reconnect => "reconnect",
            ErrorClass::Fatal => "fatal",
        })
    }
}
