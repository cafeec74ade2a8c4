//! Random choices that a failed run's seed repeats.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Choices of one test.
pub struct Choices(StdRng);

impl Choices {
    /// From `PLIMSOLL_TEST_SEED`, or anew; prints the seed.
    pub fn new(test: &str) -> Choices {
        let given = std::env::var("PLIMSOLL_TEST_SEED").ok();
        let seed = given.map_or_else(rand::random, |text| text.parse().expect("a number"));
        println!("{test}: PLIMSOLL_TEST_SEED={seed}");
        Choices(StdRng::seed_from_u64(seed))
    }

    /// A number of the range.
    pub fn pick(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0.random_range(range)
    }
}
