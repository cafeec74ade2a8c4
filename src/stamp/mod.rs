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
    BinlogPosition, Body, Codec, Epoch, FRAME_TARGET_RAW, Frame, FrameBuilder, LogPoint, Lsn,
    Timestamp,
};

use crate::ack::Shipped;
use crate::cluster::ErrorClass;
use crate::explain::{Code, of_log};

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

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Frame(error) => of_log(error),
            Error::Backwards { .. } => Code::TIME_BACKWARDS,
        }
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

    /// How frames are compressed from now on; by LZ4 at first.
    pub fn set_codec(&mut self, codec: Codec) {
        self.builder.set_codec(codec);
    }

    /// The number that the next record will get.
    #[cfg(test)]
    fn next(&self) -> Lsn {
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
            let size = size(&body);
            if alone || self.builder.raw_len() as usize + size > FRAME_TARGET_RAW as usize {
                self.seal(&mut frames)?;
            }
            match &body {
                // The pieces of a large one acknowledge nothing: its end does (I14).
                Body::Transaction(transaction) | Body::ChunkEnd(transaction) => {
                    self.end = Some(transaction.end.clone());
                }
                // With it the older tail is committed (I2): COMMITs that waited through the change of
                // shippers, up to where the log ends in this binlog, are acknowledged with it.
                Body::EpochStart(start) => self.end = Some(start.position.clone()),
                _ => {}
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

/// About how many bytes a record has, uncompressed.
pub fn size(body: &Body) -> usize {
    match body {
        Body::Transaction(transaction) | Body::ChunkEnd(transaction) => transaction.events.len(),
        Body::FormatDescription { event, .. } => event.len(),
        Body::Membership(bytes) | Body::Chunk(bytes) => bytes.len(),
        Body::EpochStart(start) => start.format_description.len(),
        Body::Heartbeat { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use wal::{EpochStart, Transaction, TransactionClass};

    use super::*;

    fn position(offset: u64) -> BinlogPosition {
        BinlogPosition::new("bin.000001", offset)
    }

    fn transaction(end: u64, bytes: usize) -> Body {
        Body::Transaction(Transaction {
            class: TransactionClass::Rows,
            start: position(end - 100),
            end: position(end),
            gtid: None,
            commit_micros: 0,
            end_crc: 0,
            events: vec![7; bytes].into(),
        })
    }

    fn epoch_start() -> Body {
        Body::EpochStart(EpochStart {
            member: "s1".to_owned(),
            server_uuid: "uuid".to_owned(),
            server_version: "10.11".to_owned(),
            position: position(400),
            last_gtid: None,
            end_crc: None,
            format_description: vec![1; 40].into(),
        })
    }

    fn stamps(counters: std::ops::Range<u64>) -> Vec<Timestamp> {
        counters.map(|counter| Timestamp::new(counter, 0).unwrap()).collect()
    }

    fn stamper() -> Stamper {
        Stamper::new(Epoch::FIRST, None, 0, Timestamp::new(9, 0))
    }

    #[test]
    fn transactions_share_a_frame_up_to_its_size_and_name_their_last_end() {
        let bodies =
            vec![transaction(500, 60_000), transaction(600, 60_000), transaction(700, 60_000)];
        let frames = stamper().stamp(bodies, stamps(10..13)).unwrap();
        let ends: Vec<_> = frames.iter().map(|frame| frame.shipped.clone()).collect();
        let expected = [(2, 11, 600), (3, 12, 700)].map(|(lsn, time, end)| Shipped {
            last: Lsn::new(lsn).unwrap(),
            timestamp: Timestamp::new(time, 0).unwrap(),
            end: Some(position(end)),
        });
        assert_eq!(ends, expected);
    }

    #[test]
    fn an_epoch_start_stands_alone_and_acknowledges_the_log_before_it() {
        let mut stamper = stamper();
        let bodies = vec![epoch_start(), transaction(500, 10)];
        let frames = stamper.stamp(bodies, stamps(10..12)).unwrap();
        let ends: Vec<_> = frames.iter().map(|frame| frame.shipped.end.clone()).collect();
        assert_eq!(ends, [Some(position(400)), Some(position(500))]);
        assert_eq!(stamper.next().get(), 3);
    }

    #[test]
    fn a_timestamp_that_does_not_grow_is_refused() {
        let refused = stamper().stamp(vec![transaction(500, 10)], stamps(9..10));
        assert!(matches!(refused, Err(Error::Backwards { .. })));
    }
}
