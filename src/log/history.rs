//! Where two logs agree. [pure]
//!
//! A log's *history* is, for each epoch in it, the last record of that epoch, ascending. One epoch has
//! one shipper, and a shipper adopts one log before it writes: so if two logs both hold a record of
//! epoch e at LSN x, they are equal up to x. Hence the greatest epoch that both hold tells where they
//! part.

use wal::{LogPoint, Lsn};

/// The last record that both logs hold; `None` where they share nothing.
pub fn last_common(ours: &[LogPoint], theirs: &[LogPoint]) -> Option<LogPoint> {
    ours.iter().rev().find_map(|mine| {
        let other = theirs.iter().find(|point| point.epoch == mine.epoch)?;
        Some(LogPoint { epoch: mine.epoch, lsn: mine.lsn.min(other.lsn) })
    })
}

/// The epoch of the record `lsn`; `None` behind the log's end.
pub fn epoch_of(history: &[LogPoint], lsn: Lsn) -> Option<wal::Epoch> {
    history.iter().find(|point| point.lsn >= lsn).map(|point| point.epoch)
}

/// Whether the log holds exactly that record.
pub fn holds(history: &[LogPoint], point: LogPoint) -> bool {
    epoch_of(history, point.lsn) == Some(point.epoch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn history(points: &[(u32, u64)]) -> Vec<LogPoint> {
        points.iter().map(|&(epoch, lsn)| point(epoch, lsn)).collect()
    }

    fn point(epoch: u32, lsn: u64) -> LogPoint {
        LogPoint { epoch: wal::Epoch::new(epoch).unwrap(), lsn: Lsn::new(lsn).unwrap() }
    }

    #[test]
    fn logs_agree_up_to_the_shorter_end_of_the_last_epoch_that_both_hold() {
        type Points = &'static [(u32, u64)];
        type Case = (Points, Points, Option<(u32, u64)>);
        let cases: &[Case] = &[
            (&[], &[], None),
            (&[(1, 5)], &[], None),
            (&[(1, 5)], &[(1, 5)], Some((1, 5))),
            (&[(1, 5)], &[(1, 9)], Some((1, 5))),
            // The other kept an uncommitted tail of epoch 1; epoch 2 adopted up to 5.
            (&[(1, 5), (2, 8)], &[(1, 9)], Some((1, 5))),
            (&[(1, 5), (2, 8)], &[(1, 5), (2, 6)], Some((2, 6))),
            // Epoch 2 died after its EpochStart on one member; epoch 3 never saw it.
            (&[(1, 5), (3, 9)], &[(1, 5), (2, 6)], Some((1, 5))),
            (&[(2, 4)], &[(1, 4)], None),
        ];
        for &(ours, theirs, expected) in cases {
            let expected = expected.map(|(epoch, lsn)| point(epoch, lsn));
            assert_eq!(last_common(&history(ours), &history(theirs)), expected);
            assert_eq!(last_common(&history(theirs), &history(ours)), expected);
        }
    }

    #[test]
    fn a_record_is_held_only_under_its_own_epoch() {
        let log = history(&[(1, 5), (3, 9)]);
        for (point, held) in [
            (point(1, 1), true),
            (point(1, 5), true),
            (point(1, 6), false),
            (point(3, 6), true),
            (point(3, 9), true),
            (point(3, 10), false),
            (point(2, 6), false),
        ] {
            assert_eq!(holds(&log, point), held, "{point}");
        }
    }

    /// A log as the epochs of its records, and its history.
    fn history_of(log: &[u32]) -> Vec<LogPoint> {
        let ends = (1..=log.len()).filter(|&lsn| log.get(lsn) != Some(&log[lsn - 1]));
        ends.map(|lsn| point(log[lsn - 1], lsn as u64)).collect()
    }

    proptest! {
        /// Reigns one after another: each adopts some member's log, writes, and reaches every member
        /// with some prefix of what it has (never less than what they share already).
        #[test]
        fn the_last_common_record_is_where_two_logs_really_part(
            reigns in proptest::collection::vec((0usize..3, 1usize..5, [0usize..12, 0..12, 0..12]), 1..8)
        ) {
            let mut logs: [Vec<u32>; 3] = Default::default();
            for (epoch, (adopted, records, reach)) in (1u32..).zip(reigns) {
                let mut shipper = logs[adopted].clone();
                shipper.extend(std::iter::repeat_n(epoch, records));
                for (log, reach) in logs.iter_mut().zip(reach) {
                    let shared = log.iter().zip(&shipper).take_while(|(a, b)| a == b).count();
                    let reach = reach.min(shipper.len());
                    if reach > shared {
                        *log = shipper[..reach].to_vec();
                    }
                }
            }
            for (ours, theirs) in [(0, 1), (0, 2), (1, 2)] {
                let (ours, theirs) = (&logs[ours], &logs[theirs]);
                let shared = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
                let found = last_common(&history_of(ours), &history_of(theirs));
                prop_assert_eq!(found.map_or(0, |found| found.lsn.get()), shared as u64);
                for lsn in 1..=ours.len() {
                    let epoch = epoch_of(&history_of(ours), Lsn::new(lsn as u64).unwrap());
                    prop_assert_eq!(epoch.map(wal::Epoch::get), Some(ours[lsn - 1]));
                }
            }
        }
    }
}
