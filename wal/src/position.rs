//! Places in a server's binlog.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a server's binlog: the boundary *after* an event, as the server counts it.
///
/// Ordered by the file's number, then the offset: `bin.999999` comes before `bin.1000000`, which a
/// comparison of names gets wrong (MariaDB's own semi-sync does; protocol-review in ARCHITECTURE.md).
/// Positions of different base names are ordered by base name; do not rely on that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BinlogPosition {
    /// Name of the binlog file, without folder: `mysql-bin.000042`.
    pub file: String,
    /// Byte offset in the file. 64 bits: events carry only 32, a large transaction passes 4 GiB.
    pub offset: u64,
}

impl BinlogPosition {
    /// Where the first event of every file stands: behind the 4 magic bytes.
    pub const FIRST_OFFSET: u64 = 4;

    /// A position in `file`.
    pub fn new(file: impl Into<String>, offset: u64) -> BinlogPosition {
        BinlogPosition { file: file.into(), offset }
    }

    fn order_key(&self) -> (&str, Option<u64>, u64) {
        match self.file.rsplit_once('.') {
            Some((base, number)) => match number.parse() {
                Ok(number) => (base, Some(number), self.offset),
                Err(_) => (&self.file, None, self.offset),
            },
            None => (&self.file, None, self.offset),
        }
    }
}

impl PartialOrd for BinlogPosition {
    fn partial_cmp(&self, other: &BinlogPosition) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BinlogPosition {
    fn cmp(&self, other: &BinlogPosition) -> Ordering {
        self.order_key().cmp(&other.order_key())
    }
}

impl fmt::Display for BinlogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}
