//! When records became committed, as this process learned it: what a lag in seconds is counted from.
//!
//! No clock of another machine has a part in it. Plain data, lost with the process: after a start a lag
//! is counted from then.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wal::Lsn;

/// When the commit point passed which record.
#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<(Instant, Lsn)>,
    newest: Option<Instant>,
}

impl History {
    /// The resolution of a lag in seconds.
    const STEP: Duration = Duration::from_millis(50);
    /// Ten minutes of steady commits; a lag that is longer is shown as at least this.
    const SAMPLES: usize = 12_000;

    /// The commit point has come to `lsn`.
    pub fn note(&mut self, lsn: Lsn, now: Instant) {
        self.newest = Some(now);
        if let Some((at, last)) = self.samples.back_mut()
            && now.duration_since(*at) < History::STEP
        {
            *last = lsn;
            return;
        }
        if self.samples.len() == History::SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now, lsn));
    }

    /// When the commit point passed `applied`: `None` where nothing is missing.
    pub fn passed(&self, applied: Option<Lsn>) -> Option<Instant> {
        let first = self.samples.partition_point(|(_, lsn)| Some(*lsn) <= applied);
        self.samples.get(first).map(|(at, _)| *at)
    }

    /// When the commit point was last heard to move; an idle source's does so each second.
    pub fn newest(&self) -> Option<Instant> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(number: u64) -> Lsn {
        Lsn::new(number).unwrap()
    }

    #[test]
    fn lag_is_the_time_since_the_commit_point_passed() {
        let mut history = History::default();
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(history.passed(None), None);
        for (ms, number) in [(0, 1), (100, 5), (120, 7), (160, 9)] {
            history.note(lsn(number), at(ms));
        }
        assert_eq!(history.passed(None), Some(at(0)));
        assert_eq!(history.passed(Some(lsn(1))), Some(at(100)));
        assert_eq!(history.passed(Some(lsn(6))), Some(at(100)), "within one step");
        assert_eq!(history.passed(Some(lsn(7))), Some(at(160)));
        assert_eq!(history.passed(Some(lsn(9))), None);
        for step in 0..20_000 {
            history.note(lsn(10 + step), at(200 + 50 * step));
        }
        assert_eq!(history.samples.len(), History::SAMPLES);
    }
}
