//! What a consumer reads: one JSON object for each change.

use serde::Serialize;
use wal::{BinlogPosition, Gtid, Lsn, Timestamp, Transaction};

use super::{Change, Changes, Detail, Error, Operation, Row, Table};
use crate::wall_clock::Time;

/// What all lines of a transaction have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// Acknowledges everything up to this transaction; reads it at a replica.
    pub token: String,
    /// Number of the record.
    pub lsn: Lsn,
    /// Its logical time, `COUNTER.SERVER`.
    pub timestamp: String,
    /// The transaction's name at the source.
    pub gtid: Option<Gtid>,
    /// Where it ends in the source's binlog.
    pub position: BinlogPosition,
    /// By the source's clock.
    pub commit_time: String,
}

impl Envelope {
    /// Of a transaction that is the record `lsn`.
    pub fn new(token: String, lsn: Lsn, timestamp: Timestamp, of: &Transaction) -> Envelope {
        Envelope {
            token,
            lsn,
            timestamp: timestamp.to_string(),
            gtid: of.gtid.clone(),
            position: of.end.clone(),
            commit_time: Time::from_micros(of.commit_micros).to_string(),
        }
    }

    /// A line for each change, the last one marked. `wanted` chooses tables; statements always come.
    pub fn lines<W>(&self, changes: Changes, wanted: W) -> Lines<'_, W>
    where
        W: FnMut(&Table) -> bool,
    {
        Lines { envelope: self, changes, ahead: None, index: 0, wanted }
    }
}

/// A line; `schemas/change.schema.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Line<'a> {
    #[serde(flatten)]
    envelope: &'a Envelope,
    index: u64,
    last: bool,
    op: Operation,
    table: Option<TableName<'a>>,
    before: Option<&'a Row>,
    after: Option<&'a Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_database: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct TableName<'a> {
    database: &'a str,
    name: &'a str,
}

impl<'a> Line<'a> {
    /// Number `index` of its transaction, from 0.
    pub fn new(envelope: &'a Envelope, change: &'a Change, index: u64, last: bool) -> Line<'a> {
        let mut line = Line {
            envelope,
            index,
            last,
            op: Operation::Ddl,
            table: None,
            before: None,
            after: None,
            key: None,
            metadata: None,
            default_database: None,
            statement: None,
        };
        match change {
            Change::Row(row) => {
                let table = &row.table;
                line.op = row.operation;
                line.table = Some(TableName { database: &table.database, name: &table.name });
                (line.before, line.after) = (row.before.as_ref(), row.after.as_ref());
                line.metadata = Some(table.detail).filter(|detail| *detail != Detail::Full);
                let names = table.key.iter().filter_map(|&index| table.columns.get(index));
                let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
                line.key = Some(names).filter(|names| !names.is_empty());
            }
            Change::Statement { database, text } => {
                line.default_database = Some(database);
                line.statement = Some(text);
            }
        }
        line
    }
}

/// Iterator of [`Envelope::lines`]: one change is read ahead, to know the last.
#[derive(Debug)]
pub struct Lines<'a, W> {
    envelope: &'a Envelope,
    changes: Changes,
    ahead: Option<Change>,
    index: u64,
    wanted: W,
}

impl<W: FnMut(&Table) -> bool> Lines<'_, W> {
    fn advance(&mut self) -> Result<Option<Change>, Error> {
        for change in self.changes.by_ref() {
            let change = change?;
            match &change {
                Change::Row(row) if !(self.wanted)(&row.table) => {}
                _ => return Ok(Some(change)),
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<Option<String>, Error> {
        if self.index == 0 && self.ahead.is_none() {
            self.ahead = self.advance()?;
        }
        let Some(change) = self.ahead.take() else { return Ok(None) };
        self.ahead = self.advance()?;
        let line = Line::new(self.envelope, &change, self.index, self.ahead.is_none());
        self.index += 1;
        // Maps with text keys and finite numbers: nothing that could fail.
        Ok(serde_json::to_string(&line).ok())
    }
}

impl<W: FnMut(&Table) -> bool> Iterator for Lines<'_, W> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Result<String, Error>> {
        self.step().transpose()
    }
}
