//! `plimsoll log dump`: records with what they changed.

use std::io::{self, Write};

use anyhow::Context;
use wal::{Body, Epoch, LogReader, Lsn, Record, Transaction};

use super::line;
use crate::changes::{Change, Changes, Dialect, Envelope, Error, Operation, RowChange};
use crate::feed;
use crate::token::Token;

/// How records are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// JSON lines.
    pub json: bool,
    /// Records only, without what they changed.
    pub heads: bool,
}

/// Prints records in their order.
pub(super) struct Printer {
    look: Look,
    reader: LogReader,
    /// Of the events to come, as the records before say; `None` where they do not.
    dialect: Option<Dialect>,
    /// Transactions whose rows could not be told.
    pub untold: u64,
}

impl Printer {
    /// For records from `from` on.
    ///
    /// # Errors
    /// What the log says.
    pub fn new(reader: &LogReader, from: Lsn, look: Look) -> anyhow::Result<Printer> {
        let format = match reader.format_at(from) {
            Ok((_, event)) => Some(event),
            Err(wal::Error::NoFormat(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let dialect = format.map(|event| Dialect::of(&event)).transpose();
        let dialect = dialect.context("the format description before the first record")?;
        Ok(Printer { look, reader: reader.clone(), dialect, untold: 0 })
    }

    pub fn record(
        &mut self,
        out: &mut impl Write,
        epoch: Epoch,
        record: &Record,
    ) -> anyhow::Result<()> {
        let Look { json, heads } = self.look;
        let one = match &record.body {
            Body::Transaction(one) | Body::ChunkEnd(one) if !heads => one,
            body => {
                match body {
                    Body::EpochStart(start) => self.learn(&start.format_description)?,
                    Body::FormatDescription { event, .. } => self.learn(event)?,
                    _ => {}
                }
                return Ok(line::write(out, epoch, record, json)?);
            }
        };
        if !json {
            line::write(out, epoch, record, json)?;
        }
        let told = match self.dialect.map(|dialect| self.changes(record, one, dialect)) {
            Some(Ok(changes)) if json => self.lines(out, epoch, record, one, changes)?,
            Some(Ok(changes)) => texts(out, changes)?,
            Some(Err(feed::Error::Changes { source, .. })) => Err(source),
            Some(Err(error)) => return Err(error.into()),
            None => Ok(()),
        };
        match told {
            Ok(()) => Ok(()),
            Err(error) => {
                self.untold += 1;
                let (code, lsn) = (error.code(), record.lsn);
                let error = error.to_string();
                let wrong = serde_json::json!({ "lsn": lsn, "code": code, "error": error });
                match json {
                    true => writeln!(out, "{wrong}")?,
                    false => writeln!(out, "  {code}: {error}")?,
                }
                Ok(())
            }
        }
    }

    fn changes(
        &self,
        record: &Record,
        one: &Transaction,
        dialect: Dialect,
    ) -> Result<Changes, feed::Error> {
        let lsn = record.lsn;
        if matches!(record.body, Body::ChunkEnd(_)) {
            return Ok(Changes::in_pieces(dialect, feed::pieces(&self.reader, None, lsn)?));
        }
        Changes::of(one, dialect).map_err(|source| feed::Error::Changes { lsn, source })
    }

    fn learn(&mut self, event: &[u8]) -> anyhow::Result<()> {
        self.dialect = Some(Dialect::of(event).context("a format description")?);
        Ok(())
    }

    fn lines(
        &self,
        out: &mut impl Write,
        epoch: Epoch,
        record: &Record,
        one: &Transaction,
        changes: Changes,
    ) -> io::Result<Result<(), Error>> {
        let token = Token { cluster: self.reader.cluster(), epoch, timestamp: record.timestamp };
        let envelope = Envelope::new(token.to_string(), record.lsn, record.timestamp, one);
        for line in envelope.lines(changes, |_| true) {
            match line {
                Ok(line) => writeln!(out, "{line}")?,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }
}

fn texts(out: &mut impl Write, changes: Changes) -> io::Result<Result<(), Error>> {
    for change in changes {
        match change {
            Ok(Change::Row(row)) => write_row(out, &row)?,
            Ok(Change::Statement { database, text }) => {
                writeln!(out, "  ddl {database:?} {}", serde_json::json!(text))?;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

fn write_row(out: &mut impl Write, row: &RowChange) -> io::Result<()> {
    let verb = match row.operation {
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Ddl => "ddl",
    };
    write!(out, "  {verb} {}", row.table.display())?;
    for (image, between) in [(&row.before, ""), (&row.after, " ->")] {
        if let Some(image) = image {
            let between = if row.before.is_some() { between } else { "" };
            write!(out, "{between} {}", serde_json::to_string(image)?)?;
        }
    }
    writeln!(out)
}
