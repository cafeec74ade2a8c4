//! Pauses between attempts: growing, and spread so that agents do not all come back at once.

use std::time::Duration;

/// Doubling pauses with full jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(2);

    pub(super) fn new() -> Backoff {
        Backoff { ceiling: Backoff::FIRST }
    }

    /// The next pause, for a random number from 0 to 1; at least a tenth of its ceiling.
    pub(super) fn pause(&mut self, chance: f64) -> Duration {
        let pause = self.ceiling.mul_f64(0.1 + 0.9 * chance.clamp(0.0, 1.0));
        self.ceiling = (self.ceiling * 2).min(Backoff::MOST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most() {
        let mut backoff = Backoff::new();
        let longest: Vec<u128> = (0..8).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(longest, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(backoff.pause(0.0).as_millis(), 200);
        assert_eq!(backoff.pause(f64::MAX).as_millis(), 2000);
    }
}
