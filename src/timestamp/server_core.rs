//! A timestamp server's decisions [pure].

use wal::Timestamp;

use super::RUN_COUNT_MAX;

/// Counters reserved by one durable write. A restart skips what is left of them: 2^56 counters bear
/// four billion restarts. At a million a second one write lasts 16 s.
const RESERVE: u64 = 1 << 24;
/// With fewer left the next reservation is made ahead, so that no tick waits for the disk.
const RESERVE_LOW: u64 = 1 << 22;
/// A client may raise the counter by this at most: two hundred days at a million a second. More is no
/// other server's time but a mistake, and the counter cannot be lowered again.
const RAISE_MAX: u64 = 1 << 44;

/// Counter and durable limit of one server.
#[derive(Debug)]
pub(super) struct ServerCore {
    id: u8,
    /// Last counter issued.
    issued: u64,
    /// On disk; never behind `issued`. A restart begins above it.
    limit: u64,
}

/// Why no timestamp is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotIssued {
    /// First this limit must be durable; then ask again.
    Reserve(u64),
    /// The counter has no more room.
    Exhausted,
    /// The client asks for more than any server can have reached.
    TooFar,
    /// Zero, or more than [`RUN_COUNT_MAX`].
    BadCount,
}

impl ServerCore {
    /// A server (re)started with the limit that lies on its disk: all below it may have been issued.
    pub fn start(id: u8, limit: u64) -> ServerCore {
        ServerCore { id, issued: limit, limit }
    }

    /// `count` new timestamps, all above `above` and above all issued before: the last of them.
    pub fn tick(&mut self, above: Option<Timestamp>, count: u32) -> Result<Timestamp, NotIssued> {
        if count == 0 || count > RUN_COUNT_MAX {
            return Err(NotIssued::BadCount);
        }
        let above = above.map_or(0, Timestamp::counter);
        if above.saturating_sub(self.issued) > RAISE_MAX {
            return Err(NotIssued::TooFar);
        }
        let last = self.issued.max(above) + u64::from(count);
        let issued = Timestamp::new(last, self.id).ok_or(NotIssued::Exhausted)?;
        if last > self.limit {
            return Err(NotIssued::Reserve(reserve_from(last)));
        }
        self.issued = last;
        Ok(issued)
    }

    /// `limit` is durable now.
    pub fn reserved(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// The limit to make durable ahead of need.
    pub fn ahead(&self) -> Option<u64> {
        let wanted = reserve_from(self.issued);
        (self.limit - self.issued < RESERVE_LOW && wanted > self.limit).then_some(wanted)
    }
}

fn reserve_from(counter: u64) -> u64 {
    (counter + RESERVE).min(Timestamp::MAX_COUNTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counter(ticked: Result<Timestamp, NotIssued>) -> u64 {
        ticked.unwrap().counter()
    }

    #[test]
    fn nothing_is_issued_above_the_durable_limit() {
        let mut core = ServerCore::start(3, 100);
        assert_eq!(core.tick(None, 1), Err(NotIssued::Reserve(101 + RESERVE)));
        assert_eq!(core.tick(None, 1), Err(NotIssued::Reserve(101 + RESERVE)));
        core.reserved(101 + RESERVE);
        let first = core.tick(None, 1).unwrap();
        assert_eq!((first.counter(), first.server()), (101, 3));
        assert_eq!(counter(core.tick(None, 10)), 111);
        let above = Timestamp::new(200, 9);
        assert_eq!(counter(core.tick(above, 2)), 202);
        assert_eq!(counter(core.tick(Timestamp::new(5, 0), 1)), 203);
    }

    #[test]
    fn a_reservation_is_asked_for_ahead() {
        let mut core = ServerCore::start(0, 0);
        assert_eq!(core.ahead(), Some(RESERVE));
        core.reserved(RESERVE);
        assert_eq!(core.ahead(), None);
        core.tick(Timestamp::new(RESERVE - RESERVE_LOW, 0), 1).unwrap();
        assert_eq!(core.ahead(), Some(2 * RESERVE - RESERVE_LOW + 1));
    }

    #[test]
    fn the_end_of_the_counter_is_an_end() {
        let mut core = ServerCore::start(0, Timestamp::MAX_COUNTER - 2);
        assert_eq!(core.tick(None, 2), Err(NotIssued::Reserve(Timestamp::MAX_COUNTER)));
        core.reserved(Timestamp::MAX_COUNTER);
        assert_eq!(core.tick(None, 3), Err(NotIssued::Exhausted));
        assert_eq!(counter(core.tick(None, 2)), Timestamp::MAX_COUNTER);
        assert_eq!(core.tick(None, 1), Err(NotIssued::Exhausted));
        assert_eq!(core.ahead(), None);
    }

    #[test]
    fn what_no_client_means_is_refused() {
        let mut core = ServerCore::start(0, 0);
        assert_eq!(core.tick(None, 0), Err(NotIssued::BadCount));
        assert_eq!(core.tick(None, RUN_COUNT_MAX + 1), Err(NotIssued::BadCount));
        assert_eq!(core.tick(Timestamp::new(RAISE_MAX + 1, 0), 1), Err(NotIssued::TooFar));
        assert!(matches!(core.tick(Timestamp::new(RAISE_MAX, 0), 1), Err(NotIssued::Reserve(_))));
    }

    proptest! {
        /// Ticks, failed and good reservations, crashes: no counter twice, none above the disk's.
        #[test]
        fn no_counter_is_issued_twice(
            steps in proptest::collection::vec((0u8..4, 0u64..RESERVE * 3, 1u32..1000), 1..200)
        ) {
            let mut core = ServerCore::start(1, 0);
            let (mut disk, mut last) = (0, 0);
            for (what, above, count) in steps {
                match what {
                    0 => core = ServerCore::start(1, disk),
                    1 => if let Some(limit) = core.ahead() {
                        disk = limit;
                        core.reserved(limit);
                    },
                    _ => match core.tick(Timestamp::new(above, 0), count) {
                        Ok(ticked) => {
                            prop_assert!(ticked.counter() - u64::from(count) >= last);
                            prop_assert!(ticked.counter() > above && ticked.counter() <= disk);
                            last = ticked.counter();
                        }
                        // The write may have reached the disk though it failed.
                        Err(NotIssued::Reserve(limit)) => {
                            disk = limit;
                            if what == 2 { core.reserved(limit); }
                        }
                        Err(other) => prop_assert!(false, "{:?}", other),
                    },
                }
            }
        }
    }
}
