//! Which record of the log a snapshot at the source shows.

use wal::{BinlogPosition, Body, Cursor, Frame, Gtid, LogReader, Lsn, Record};

use super::Error;

/// Records that are looked at first, from the log's end; doubled until the place is among them.
const LOOK: u64 = 512;

/// What a snapshot shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpTo {
    /// Transactions that end at or before this place of the present source's binlog.
    Position(BinlogPosition),
    /// Transactions up to this record.
    Lsn(Lsn),
}

/// A place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The last transaction (or start of the reign) that is shown.
    pub lsn: Lsn,
    /// Where it ends at the source.
    pub end: BinlogPosition,
    /// Its name, or that of the last transaction before the reign.
    pub gtid: Option<Gtid>,
    /// The first transaction that is not shown; `None` where the log has none yet.
    pub next: Option<Lsn>,
}

/// Finds the place in the present reign's records, searching from `hint` on, and no further back, where
/// it is given.
///
/// Gives `None` where the reign has nothing at or before it, or where it lies inside a transaction:
/// then it is no place of this log.
///
/// # Errors
/// Reading the log.
pub fn place(reader: &LogReader, up_to: &UpTo, hint: Option<Lsn>) -> Result<Option<Place>, Error> {
    let (Some(first), Some(last)) = (reader.first_lsn(), reader.written()) else {
        return Ok(None);
    };
    if matches!(up_to, UpTo::Lsn(lsn) if *lsn > last.lsn) {
        // What it would name may be only a part of what is shown.
        return Ok(None);
    }
    let mut look = LOOK;
    loop {
        let from = Lsn::new(last.lsn.get().saturating_sub(look)).unwrap_or(first);
        let from = hint.unwrap_or(from).max(first);
        let mut search = Search::new(up_to);
        let mut cursor: Cursor = reader.cursor(from)?;
        while search.going
            && let Some(frame) = cursor.next_frame(last.lsn)?
        {
            search.frame(&frame, last.epoch)?;
        }
        if search.found.is_some() || search.torn || from == first || hint.is_some() {
            return Ok(search.done());
        }
        look = look.saturating_mul(4);
    }
}

struct Search<'a> {
    up_to: &'a UpTo,
    found: Option<Place>,
    next: Option<Lsn>,
    torn: bool,
    going: bool,
}

impl Search<'_> {
    fn new(up_to: &UpTo) -> Search<'_> {
        Search { up_to, found: None, next: None, torn: false, going: true }
    }

    fn frame(&mut self, frame: &Frame, epoch: wal::Epoch) -> Result<(), Error> {
        // Positions of an earlier reign may be another server's.
        if frame.header().epoch != epoch {
            return Ok(());
        }
        for record in frame.records()? {
            self.record(&record);
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) {
        let (start, end, gtid) = match &record.body {
            Body::Transaction(transaction) | Body::ChunkEnd(transaction) => {
                (&transaction.start, &transaction.end, &transaction.gtid)
            }
            Body::EpochStart(start) => (&start.position, &start.position, &start.last_gtid),
            _ => return,
        };
        if !self.going {
            return;
        }
        let shown = match self.up_to {
            UpTo::Lsn(lsn) => record.lsn <= *lsn,
            UpTo::Position(position) => end <= position,
        };
        if shown {
            let (end, gtid) = (end.clone(), gtid.clone());
            self.found = Some(Place { lsn: record.lsn, end, gtid, next: None });
            return;
        }
        self.next = Some(record.lsn);
        self.torn = matches!(self.up_to, UpTo::Position(position) if start < position);
        self.going = false;
    }

    fn done(self) -> Option<Place> {
        let found = self.found.filter(|_| !self.torn)?;
        Some(Place { next: self.next, ..found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal::{EpochStart, Timestamp, Transaction, TransactionClass};

    fn at(offset: u64) -> BinlogPosition {
        BinlogPosition::new("bin.000002", offset)
    }

    fn record(lsn: u64, body: Body) -> Record {
        let lsn = Lsn::new(lsn).unwrap();
        Record { lsn, timestamp: Timestamp::new(lsn.get(), 0).unwrap(), body }
    }

    fn transaction(lsn: u64, start: u64, end: u64) -> Record {
        record(
            lsn,
            Body::Transaction(Transaction {
                class: TransactionClass::Rows,
                start: at(start),
                end: at(end),
                gtid: None,
                commit_micros: 0,
                end_crc: 0,
                events: Vec::new().into(),
            }),
        )
    }

    fn log() -> Vec<Record> {
        let start = EpochStart {
            member: "s1".into(),
            server_uuid: "u".into(),
            server_version: "v".into(),
            position: at(100),
            last_gtid: None,
            end_crc: None,
            format_description: Vec::new().into(),
        };
        let closed = Timestamp::new(1, 0).unwrap();
        vec![
            record(5, Body::EpochStart(start)),
            transaction(6, 100, 200),
            record(7, Body::Heartbeat { closed }),
            transaction(8, 200, 300),
        ]
    }

    fn found(up_to: UpTo) -> Option<(u64, Option<u64>)> {
        let mut search = Search::new(&up_to);
        log().iter().for_each(|record| search.record(record));
        search.done().map(|place| (place.lsn.get(), place.next.map(Lsn::get)))
    }

    #[test]
    fn a_place_is_the_last_transaction_shown_and_the_first_that_is_not() {
        let lsn = |number| UpTo::Lsn(Lsn::new(number).unwrap());
        let table = [
            (UpTo::Position(at(100)), Some((5, Some(6)))),
            (UpTo::Position(at(200)), Some((6, Some(8)))),
            (UpTo::Position(at(300)), Some((8, None))),
            // A new file without a transaction yet.
            (UpTo::Position(BinlogPosition::new("bin.000003", 400)), Some((8, None))),
            // Inside a transaction, and before the reign.
            (UpTo::Position(at(250)), None),
            (UpTo::Position(at(50)), None),
            (lsn(7), Some((6, Some(8)))),
            (lsn(9), Some((8, None))),
            (lsn(4), None),
        ];
        for (up_to, expected) in table {
            assert_eq!(found(up_to.clone()), expected, "{up_to:?}");
        }
    }

    /// The records of a new reign hide those of the one before, also where the search was told to begin
    /// among these; and a log that does not reach as far as is asked says nothing.
    #[test]
    fn a_log_that_has_gone_on_or_lags_has_no_place() {
        use crate::log::tests::{End, frame};
        let folder = tempfile::tempdir().unwrap();
        let (cluster, incarnation) =
            (wal::ClusterId::from_bytes([1; 16]), wal::Incarnation::from_bytes([2; 16]));
        let folder = folder.path().join("log");
        let options = wal::LogOptions::default();
        let mut log = wal::Log::create(&folder, cluster, incarnation, options).unwrap();
        let mut end = End { point: None, chain: log.chain() };
        log.append(&frame(1, &mut end, 5)).unwrap();
        let at = |lsn| UpTo::Lsn(Lsn::new(lsn).unwrap());
        let found = |log: &wal::Log, lsn, hint| place(&log.reader(), &at(lsn), hint).unwrap();
        assert_eq!(found(&log, 4, None).map(|place| place.lsn), Some(Lsn::FIRST));
        assert_eq!(found(&log, 6, None), None);
        log.append(&frame(2, &mut end, 2)).unwrap();
        assert_eq!(found(&log, 4, Some(Lsn::FIRST)), None);
    }
}
