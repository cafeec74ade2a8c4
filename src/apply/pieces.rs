//! A transaction that comes in pieces, because it is large (I14). Pure.
//!
//! A run begins with the piece that begins with a GTID event, and ends with the transaction's record.
//! A run that another one follows, or an EpochStart, was never committed: a shipper that lost its
//! connection, or a new one, reads such a transaction again from its beginning.

use bytes::Bytes;
use wal::{Gtid, TransactionClass};

use super::changes::{Changes, Walk};
use super::packet::PacketLimit;
use super::{Error, Format};
use crate::binlog::{Event, EventKind, MariadbGtidEvent, MysqlGtidEvent, events};

/// An open run: what the events so far leave to know for those to come.
#[derive(Debug)]
pub(super) struct Run {
    walk: Walk,
    /// The transaction's name.
    pub gtid: Option<Gtid>,
}

impl Run {
    /// A new run, if `piece` begins one.
    ///
    /// # Errors
    /// [`Error::Binlog`].
    pub fn begun_by(piece: &Bytes, format: &Format) -> Result<Option<Run>, Error> {
        let Some(first) = events(piece).next().transpose()? else { return Ok(None) };
        let Some(gtid) = name(&first, format)? else { return Ok(None) };
        Ok(Some(Run { walk: Walk::new(format, TransactionClass::Rows), gtid }))
    }

    /// What the next piece does.
    ///
    /// # Errors
    /// As [`super::changes::changes`].
    pub fn piece(&mut self, piece: &Bytes, limit: PacketLimit) -> Result<Changes, Error> {
        self.walk.all(piece)?;
        self.walk.cut(limit)
    }

    /// What the last one does.
    ///
    /// # Errors
    /// As [`super::changes::changes`].
    pub fn last(mut self, piece: &Bytes, limit: PacketLimit) -> Result<Changes, Error> {
        self.walk.all(piece)?;
        self.walk.finish(true, limit)
    }
}

/// Of a GTID event, the name that it gives, if any.
fn name(event: &Event, format: &Format) -> Result<Option<Option<Gtid>>, Error> {
    let body = event.body(format.checksum)?;
    Ok(match event.header.kind {
        EventKind::GTID | EventKind::ANONYMOUS_GTID | EventKind::GTID_TAGGED => {
            Some(MysqlGtidEvent::decode(&event.header, body)?.gtid)
        }
        EventKind::MARIADB_GTID => Some(Some(MariadbGtidEvent::decode(&event.header, body)?.gtid)),
        _ => None,
    })
}
