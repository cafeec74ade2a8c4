//! Consecutive timestamps of one server.

use wal::Timestamp;

/// `count` timestamps of one server, ascending without a gap in the counter, issued to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOfTimestamps {
    last: Timestamp,
    count: u32,
}

impl RunOfTimestamps {
    /// `None` if `count` is 0 or the run would begin below the first counter.
    pub(super) fn ending_at(last: Timestamp, count: u32) -> Option<RunOfTimestamps> {
        let legal = count > 0 && last.counter() >= u64::from(count);
        legal.then_some(RunOfTimestamps { last, count })
    }

    /// The earliest: greater than whatever was returned anywhere before the run was asked for.
    pub fn first(self) -> Timestamp {
        self.at(0)
    }

    /// The latest: what was certified.
    pub fn last(self) -> Timestamp {
        self.last
    }

    /// How many.
    pub fn count(self) -> u32 {
        self.count
    }

    /// All, ascending.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Timestamp> {
        (0..self.count).map(move |index| self.at(index))
    }

    fn at(self, index: u32) -> Timestamp {
        let counter = self.last.counter() - u64::from(self.count - 1 - index);
        Timestamp::new(counter, self.last.server()).expect("ending_at saw to it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_up_to_its_last() {
        let last = Timestamp::new(10, 3).unwrap();
        let run = RunOfTimestamps::ending_at(last, 3).unwrap();
        let counters: Vec<u64> = run.iter().map(Timestamp::counter).collect();
        assert_eq!(counters, [8, 9, 10]);
        assert_eq!((run.first().counter(), run.last(), run.count()), (8, last, 3));
        assert!(run.iter().all(|timestamp| timestamp.server() == 3));
        assert!(RunOfTimestamps::ending_at(last, 0).is_none());
        assert!(RunOfTimestamps::ending_at(last, 11).is_none());
        assert_eq!(RunOfTimestamps::ending_at(last, 10).unwrap().first().counter(), 1);
    }
}
