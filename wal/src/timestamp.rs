//! Logical time.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// A logical time from the timestamp service: unique, and ordered by real time (I10).
///
/// 64 bits: a counter in the upper 56, the id of the timestamp server that issued it in the low 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The largest counter that fits.
    pub const MAX_COUNTER: u64 = (1 << 56) - 1;

    /// `None` if `bits` is 0.
    pub fn from_bits(bits: u64) -> Option<Timestamp> {
        NonZeroU64::new(bits).map(Timestamp)
    }

    /// `None` if the counter is 0 or does not fit in 56 bits.
    pub fn new(counter: u64, server: u8) -> Option<Timestamp> {
        if counter == 0 || counter > Self::MAX_COUNTER {
            return None;
        }
        Timestamp::from_bits(counter << 8 | u64::from(server))
    }

    /// All 64 bits, as they are stored and compared.
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    /// The upper 56 bits.
    pub fn counter(self) -> u64 {
        self.0.get() >> 8
    }

    /// The timestamp server that issued it: the low 8 bits.
    pub fn server(self) -> u8 {
        (self.0.get() & 0xff) as u8
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.counter(), self.server())
    }
}
