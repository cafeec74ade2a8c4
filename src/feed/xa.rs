//! XA transactions between their XA PREPARE and their XA COMMIT.

use std::collections::HashMap;

use wal::{Body, LogReader, Lsn, Transaction, TransactionClass};

use super::Error;
use crate::changes::{self, Changes, Dialect};

/// Where each prepared transaction stands, by its id. As many as the source has open.
#[derive(Debug, Default)]
pub struct Prepared(HashMap<String, Lsn>);

impl Prepared {
    /// Notes the XA PREPARE at `lsn`.
    pub fn note(&mut self, lsn: Lsn, one: &Transaction, dialect: Dialect) -> Result<(), Error> {
        if let Some(xid) = xid(lsn, one, dialect)? {
            self.0.insert(xid, lsn);
        }
        Ok(())
    }

    /// Forgets the one that an XA ROLLBACK ends.
    pub fn forget(&mut self, lsn: Lsn, one: &Transaction, dialect: Dialect) -> Result<(), Error> {
        if let Some(xid) = xid(lsn, one, dialect)? {
            self.0.remove(&xid);
        }
        Ok(())
    }

    /// The changes that the XA COMMIT at `lsn` makes visible.
    pub fn commit(
        &mut self,
        reader: &LogReader,
        lsn: Lsn,
        one: &Transaction,
        dialect: Dialect,
    ) -> Result<Changes, Error> {
        let xid = xid(lsn, one, dialect)?.unwrap_or_default();
        let at = match self.0.remove(&xid) {
            Some(at) => Some(at),
            None => search(reader, lsn, &xid)?,
        };
        let record = at.map(|at| reader.record_at(at)).transpose()?.flatten();
        let Some(Body::Transaction(prepared)) = record.map(|record| record.body) else {
            return Err(Error::NotPrepared { lsn, xid });
        };
        let dialect = dialect_at(reader, at.unwrap_or(lsn))?;
        Changes::of(&prepared, dialect).map_err(|source| Error::Changes { lsn, source })
    }
}

fn xid(lsn: Lsn, one: &Transaction, dialect: Dialect) -> Result<Option<String>, Error> {
    changes::xid(one, dialect.checksum).map_err(|source| Error::Changes { lsn, source })
}

/// How the events of a record are to be read.
pub fn dialect_at(reader: &LogReader, lsn: Lsn) -> Result<Dialect, Error> {
    let (_, event) = reader.format_at(lsn)?;
    Dialect::of(&event).map_err(|source| Error::Changes { lsn, source })
}

/// The last XA PREPARE of that id before `end`: the feed began behind it. Reads the whole log: once for
/// each transaction that was prepared when a feed began.
fn search(reader: &LogReader, end: Lsn, xid: &str) -> Result<Option<Lsn>, Error> {
    let Some(first) = reader.first_lsn() else { return Ok(None) };
    let mut cursor = reader.cursor(first)?;
    let mut found = None;
    while let Some(frame) = cursor.next_frame(end)? {
        for record in frame.records()?.into_iter().take_while(|record| record.lsn < end) {
            if let Body::Transaction(one) = &record.body
                && one.class == TransactionClass::XaPrepare
            {
                let dialect = dialect_at(reader, record.lsn)?;
                if self::xid(record.lsn, one, dialect)?.as_deref() == Some(xid) {
                    found = Some(record.lsn);
                }
            }
        }
    }
    Ok(found)
}
