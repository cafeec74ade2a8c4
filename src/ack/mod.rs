//! (6) The master's semi-sync ACK: the one place where a COMMIT is let go.
//!
//! In: frames as they are shipped (their last record, their end in the binlog) and the LSN up to
//! which the quorum has released them. Out: the binlog position to acknowledge.
//!
//! Home of I3: position P is acknowledged only when every record up to P is committed (and applied,
//! where the cluster asks for that) and the epoch is not fenced. Positions only grow; one ACK lets go
//! every COMMIT at or before it, so only the newest is sent.
//!
//! Does not count (that is `quorum`'s), nor speak to the server (that is `tail`'s).

use std::collections::VecDeque;

use wal::{BinlogPosition, Lsn, Timestamp};

/// A frame that was shipped and not yet released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// Its last record. A frame is flushed whole, so its records are released together.
    pub last: Lsn,
    /// The timestamp of that record.
    pub timestamp: Timestamp,
    /// Where its last transaction ends; `None` for a frame without one (a heartbeat).
    pub end: Option<BinlogPosition>,
}

/// Decides what the master is told.
#[derive(Debug, Default)]
pub struct Acknowledger {
    waiting: VecDeque<Shipped>,
    fenced: bool,
    acknowledged: Option<BinlogPosition>,
    released: Option<(Lsn, Timestamp)>,
}

impl Acknowledger {
    /// A frame was handed to the log and the members.
    pub fn shipped(&mut self, frame: Shipped) {
        self.waiting.push_back(frame);
    }

    /// A newer reign was promised somewhere: nothing is acknowledged from here on (I3).
    pub fn fence(&mut self) {
        self.fenced = true;
    }

    /// The quorum has released everything up to `release`: what to acknowledge now, if anything new.
    pub fn release(&mut self, release: Lsn) -> Option<BinlogPosition> {
        if self.fenced {
            return None;
        }
        let mut newest = None;
        while let Some(frame) = self.waiting.pop_front_if(|frame| frame.last <= release) {
            self.released = Some((frame.last, frame.timestamp));
            newest = frame.end.or(newest);
        }
        if let Some(position) = &newest {
            self.acknowledged = Some(position.clone());
        }
        newest
    }

    /// The newest released record: what a token handed out now has to cover (I4).
    pub fn released(&self) -> Option<(Lsn, Timestamp)> {
        self.released
    }

    /// The last position that the master was told.
    pub fn acknowledged(&self) -> Option<&BinlogPosition> {
        self.acknowledged.as_ref()
    }

    /// Frames that wait for the quorum.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(number: u64) -> Lsn {
        Lsn::new(number).unwrap()
    }

    fn shipped(last: u64, end: Option<u64>) -> Shipped {
        let end = end.map(|offset| BinlogPosition::new("bin.000001", offset));
        Shipped { last: lsn(last), timestamp: Timestamp::new(last, 0).unwrap(), end }
    }

    fn at(offset: u64) -> Option<BinlogPosition> {
        Some(BinlogPosition::new("bin.000001", offset))
    }

    #[test]
    fn only_the_newest_released_position_is_told_and_never_one_above_it() {
        let mut ack = Acknowledger::default();
        for (last, end) in [(3, Some(300)), (5, Some(500)), (6, None), (9, Some(900))] {
            ack.shipped(shipped(last, end));
        }
        assert_eq!(ack.release(lsn(2)), None);
        assert_eq!(ack.release(lsn(6)), at(500), "the heartbeat behind it has no position");
        assert_eq!(ack.release(lsn(8)), None, "a frame is released whole");
        assert_eq!(ack.released().map(|(lsn, _)| lsn.get()), Some(6));
        assert_eq!(ack.release(lsn(9)), at(900));
        assert_eq!(ack.waiting(), 0);
    }

    #[test]
    fn a_fenced_epoch_acknowledges_nothing_more() {
        let mut ack = Acknowledger::default();
        ack.shipped(shipped(3, Some(300)));
        ack.fence();
        assert_eq!(ack.release(lsn(9)), None);
        assert_eq!(ack.released(), None);
        assert_eq!(ack.acknowledged(), None);
    }
}
