//! What makes a frame the next one (I13): number, running checksum, epoch, time.

use crate::segment::SegmentHeader;
use crate::{Epoch, Fault, FrameHeader, LogPoint, Lsn, Timestamp};

/// The end of a log, or of what was read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// The last record; `None` before the first.
    pub last: Option<LogPoint>,
    pub chain: u32,
    pub timestamp: Option<Timestamp>,
}

/// Which frames a segment takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Takes {
    /// Those of this epoch.
    pub epoch: Epoch,
    /// Those that this version of the format has.
    pub version: u16,
}

impl Takes {
    /// Does `frame` go into such a segment?
    pub fn frame(self, frame: &FrameHeader) -> bool {
        frame.epoch == self.epoch && frame.codec.version() <= self.version
    }
}

impl Link {
    /// In front of a segment's first frame.
    pub fn before(header: &SegmentHeader) -> Link {
        let lsn = header.base.previous();
        let last = header.before.epoch.zip(lsn).map(|(epoch, lsn)| LogPoint { epoch, lsn });
        Link { last, chain: header.before.chain, timestamp: header.before.timestamp }
    }

    /// Number of the record that comes next.
    pub fn next(&self) -> Lsn {
        Lsn::after(self.last.map(|point| point.lsn))
    }

    /// Is this frame the next one?
    pub fn check(&self, frame: &FrameHeader) -> Result<(), Fault> {
        let expected = self.next();
        if frame.first_lsn != expected {
            return Err(Fault::Lsn { expected, found: frame.first_lsn });
        }
        if let Some(last) = self.last.filter(|last| frame.epoch < last.epoch) {
            return Err(Fault::Epoch { expected: last.epoch, found: frame.epoch });
        }
        if frame.prev_chain != self.chain {
            return Err(Fault::Chain { expected: self.chain, found: frame.prev_chain });
        }
        match self.timestamp {
            Some(previous) if frame.first_timestamp <= previous => {
                Err(Fault::Timestamp { previous, found: frame.first_timestamp })
            }
            _ => Ok(()),
        }
    }

    /// Is this frame the next one in a segment that takes such frames?
    pub fn check_in(&self, takes: Takes, frame: &FrameHeader) -> Result<(), Fault> {
        if frame.epoch != takes.epoch {
            return Err(Fault::Epoch { expected: takes.epoch, found: frame.epoch });
        }
        if frame.codec.version() > takes.version {
            return Err(Fault::Codec(frame.codec.code()));
        }
        self.check(frame)
    }

    /// Behind `frame`, which was checked.
    pub fn pass(&mut self, frame: &FrameHeader) {
        self.last = Some(frame.last());
        self.chain = frame.chain;
        self.timestamp = Some(frame.last_timestamp);
    }
}
