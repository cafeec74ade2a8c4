//! Dense record numbers.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// Number of a record in the log. Dense: the first record is 1, each next one is one greater.
///
/// "No record yet" is `Option<Lsn>::None`, never a zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(NonZeroU64);

impl Lsn {
    /// The first record of every log.
    pub const FIRST: Lsn = Lsn(NonZeroU64::MIN);

    /// `None` if `number` is 0.
    pub fn new(number: u64) -> Option<Lsn> {
        NonZeroU64::new(number).map(Lsn)
    }

    /// The number itself, from 1.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The number of the record after this one.
    #[must_use]
    pub fn next(self) -> Lsn {
        self.plus(1)
    }

    /// The number `count` records after this one. A log cannot hold 2^64 records: saturates.
    #[must_use]
    pub fn plus(self, count: u64) -> Lsn {
        Lsn(self.0.saturating_add(count))
    }

    /// The number of the record before this one; `None` before the first.
    pub fn previous(self) -> Option<Lsn> {
        Lsn::new(self.0.get() - 1)
    }

    /// The number after `last`, or the first where the log is empty.
    pub fn after(last: Option<Lsn>) -> Lsn {
        last.map_or(Lsn::FIRST, Lsn::next)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
