//! (2) Transactions and timestamps in, numbered frames out. [pure]
//!
//! In: what the tail gave, in binlog order, and a run of timestamps taken after that. Out: sealed
//! frames, each with the binlog position at which its last transaction ends.
//!
//! Home of I1: binlog order = LSN order = timestamp order. A format description, an EpochStart and a
//! Membership record stand in frames of their own, so that a batch ends there (I17).
//!
//! Does not take timestamps, write or send.

use wal::{
    BinlogPosition, Body, Epoch, FRAME_TARGET_RAW, Frame, FrameBuilder, LogPoint, Lsn, Timestamp,
};

use crate::ack::Shipped;
use crate::cluster::ErrorClass;

/// What can go wrong while stamping.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record that no frame can hold.
    #[error("a record cannot be put into a frame")]
    Frame(#[from] wal::Error),
    /// The timestamp service gave a time that is not after the last one (I10): nothing is logged.
    #[error(
        "the timestamp service gave {got} after {last}: a timestamp server was seeded too low or lost \
         its state; see `plimsoll timestamp`"
    )]
    Backwards {
        /// The log's last timestamp.
        last: Timestamp,
        /// What came.
        got: Timestamp,
    },
}

impl Error {
    /// What the supervisor does.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Fatal
    }
}

/// A sealed frame, and what the acknowledger has to know of it.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// To be logged and shipped.
    pub frame: Frame,
    /// Its last record, and where its last transaction ends.
    pub shipped: Shipped,
}

/// Numbers and stamps the records of one reign.
pub struct Stamper {
    epoch: Epoch,
    next: Lsn,
    chain: u32,
    last: Option<Timestamp>,
    builder: FrameBuilder,
    end: Option<BinlogPosition>,
}

impl Stamper {
    /// Goes on behind an adopted log that ends at `tail` with this `chain` and `last` timestamp.
    pub fn new(
        epoch: Epoch,
        tail: Option<LogPoint>,
        chain: u32,
        last: Option<Timestamp>,
    ) -> Stamper {
        let next = Lsn::after(tail.map(|tail| tail.lsn));
        Stamper { epoch, next, chain, last, builder: FrameBuilder::new(), end: None }
    }

    /// The number that the next record will get.
    pub fn next(&self) -> Lsn {
        self.next.plus(u64::from(self.builder.record_count()))
    }

    /// Stamps `bodies` in their order, one timestamp each, and seals them into frames.
    ///
    /// # Errors
    /// A timestamp that does not grow, or a record too large for a frame.
    pub fn stamp(
        &mut self,
        bodies: Vec<Body>,
        timestamps: impl IntoIterator<Item = Timestamp>,
    ) -> Result<Vec<Stamped>, Error> {
        let mut frames = Vec::new();
        for (body, timestamp) in bodies.into_iter().zip(timestamps) {
            if let Some(last) = self.last.filter(|&last| last >= timestamp) {
                return Err(Error::Backwards { last, got: timestamp });
            }
            self.last = Some(timestamp);
            let (body, alone) = complete(body, timestamp);
            let size = size_hint(&body);
            if alone || self.builder.raw_len() as usize + size > FRAME_TARGET_RAW as usize {
                self.seal(&mut frames)?;
            }
            if let Body::Transaction(transaction) = &body {
                self.end = Some(transaction.end.clone());
            }
            self.builder.push(timestamp, &body)?;
            if alone {
                self.seal(&mut frames)?;
            }
        }
        self.seal(&mut frames)?;
        Ok(frames)
    }

    fn seal(&mut self, frames: &mut Vec<Stamped>) -> Result<(), Error> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let frame = self.builder.seal(self.epoch, self.next, self.chain)?;
        let header = frame.header();
        self.chain = header.chain;
        self.next = header.last_lsn().next();
        let shipped = Shipped {
            last: header.last_lsn(),
            timestamp: header.last_timestamp,
            end: self.end.take(),
        };
        frames.push(Stamped { frame, shipped });
        Ok(())
    }
}

/// A heartbeat closes its own timestamp: every later record's is greater (I11). Second: whether the
/// record stands in a frame of its own.
fn complete(body: Body, timestamp: Timestamp) -> (Body, bool) {
    match body {
        Body::Heartbeat { .. } => (Body::Heartbeat { closed: timestamp }, false),
        body @ (Body::EpochStart(_) | Body::FormatDescription { .. } | Body::Membership(_)) => {
            (body, true)
        }
        body => (body, false),
    }
}

fn size_hint(body: &Body) -> usize {
    match body {
        Body::Transaction(transaction) | Body::ChunkEnd(transaction) => transaction.events.len(),
        Body::FormatDescription { event, .. } => event.len(),
        Body::Membership(bytes) | Body::Chunk(bytes) => bytes.len(),
        Body::EpochStart(start) => start.format_description.len(),
        Body::Heartbeat { .. } => 0,
    }
}
