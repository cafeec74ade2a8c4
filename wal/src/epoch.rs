//! Reigns of one shipper.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::Lsn;

/// One reign of one shipper. Granted by the coordinator; grows by one at each start of a shipper;
/// never falls along a log (I13). 32 bits, as on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(NonZeroU32);

impl Epoch {
    /// The first epoch of a cluster.
    pub const FIRST: Epoch = Epoch(NonZeroU32::MIN);

    /// `None` if `number` is 0.
    pub fn new(number: u32) -> Option<Epoch> {
        NonZeroU32::new(number).map(Epoch)
    }

    /// The number itself, from 1.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The epoch after this one; `None` when all 2^32 - 1 were used.
    pub fn next(self) -> Option<Epoch> {
        self.0.checked_add(1).map(Epoch)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a record that tells two logs apart: the epoch that wrote it and its number.
///
/// Ordered by epoch first, so the greatest `LogPoint` among last records is the log to adopt (I7);
/// a position alone is never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPoint {
    /// Epoch of the record (its frame's epoch, not the epoch of whoever re-sent it).
    pub epoch: Epoch,
    /// Number of the record.
    pub lsn: Lsn,
}

impl fmt::Display for LogPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.lsn, self.epoch)
    }
}
