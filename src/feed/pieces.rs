//! A large transaction, read piece by piece from the log (I14).

use std::collections::VecDeque;

use bytes::Bytes;
use wal::{Body, Cursor, LogReader, Lsn, Record};

use super::Error;
use crate::binlog::begins_transaction;
use crate::changes;

/// The pieces of the transaction that the record `end` ends, in their order; `first` is the record of
/// the first one, where that is known. Holds one frame.
///
/// # Errors
/// [`Error::Log`]; [`Error::NoBeginning`].
pub fn pieces(reader: &LogReader, first: Option<Lsn>, end: Lsn) -> Result<Pieces, Error> {
    let first = match first {
        Some(first) => first,
        None => beginning(reader, end)?.ok_or(Error::NoBeginning { lsn: end })?,
    };
    Ok(Pieces { cursor: reader.cursor(first)?, records: VecDeque::new(), next: first, end })
}

/// Iterator of [`pieces`].
pub struct Pieces {
    cursor: Cursor,
    records: VecDeque<Record>,
    next: Lsn,
    end: Lsn,
}

impl Iterator for Pieces {
    type Item = Result<Bytes, changes::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next <= self.end {
            let Some(record) = self.records.pop_front() else {
                match self
                    .cursor
                    .next_frame(self.end)
                    .and_then(|frame| frame.map(|f| f.records()).transpose())
                {
                    Ok(Some(records)) => self.records = records.into(),
                    Ok(None) => return None,
                    Err(error) => return Some(Err(error.into())),
                }
                continue;
            };
            if record.lsn < self.next || record.lsn > self.end {
                continue;
            }
            self.next = record.lsn.next();
            match record.body {
                Body::Chunk(events) => return Some(Ok(events)),
                Body::ChunkEnd(transaction) => return Some(Ok(transaction.events)),
                _ => {}
            }
        }
        None
    }
}

/// The last piece before `end` that begins a transaction, searched for from the newest segment back: a
/// feed began behind it.
fn beginning(reader: &LogReader, end: Lsn) -> Result<Option<Lsn>, Error> {
    let mut before = end;
    for segment in reader.segments().iter().rev().filter(|segment| segment.base_lsn < end) {
        let mut found = None;
        let mut cursor = reader.cursor(segment.base_lsn)?;
        while let Some(frame) = cursor.next_frame(before)? {
            for record in frame.records()?.into_iter().filter(|record| record.lsn < before) {
                if let Body::Chunk(events) = &record.body
                    && begins_transaction(events)
                        .map_err(changes::Error::from)
                        .map_err(|source| Error::Changes { lsn: record.lsn, source })?
                {
                    found = Some(record.lsn);
                }
            }
        }
        if found.is_some() {
            return Ok(found);
        }
        before = segment.base_lsn;
    }
    Ok(None)
}
