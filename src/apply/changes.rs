//! From a transaction's raw events to what is sent to the server. Pure.
//!
//! Row events and their table maps are given to BINLOG; what only frames them (GTID, BEGIN, XID,
//! comments) is left out; savepoints are said as SQL where the source rolled back to one; anything
//! else stops the stream (I9).

use bytes::Bytes;
use wal::{Transaction, TransactionClass};

use super::join::Group;
use super::packet::{self, PacketLimit, Part};
use super::{Error, Format};
use crate::binlog::{
    Checksum, Event, EventKind, QueryEvent, QueryRole, TableMap, XaPrepare, events,
    expand_compressed, expand_payload, is_compressed,
};

/// A compressed event of the source may not grow beyond what the source could have held.
const EXPANDED_MAX: u64 = 1 << 30;

/// A table, as the source names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    /// Database, utf8.
    pub database: Vec<u8>,
    /// Table, utf8.
    pub table: Vec<u8>,
}

impl TableName {
    /// `database.table`, for messages.
    pub fn display(&self) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        format!("{}.{}", text(&self.database), text(&self.table))
    }
}

/// What a transaction does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What to send, in order.
    pub parts: Vec<Part>,
    /// Tables that rows change, each once.
    pub tables: Vec<TableName>,
    /// The statement of a DDL, or the CREATE TABLE before the rows: a raw QUERY event.
    pub statement: Option<Event>,
    /// The XA transaction it prepares, commits or rolls back, as in the source's own statements:
    /// `x'6964',x'',1`.
    pub xid: Option<String>,
}

impl Changes {
    /// Bytes as sent.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    fn rows(&mut self, groups: &mut Vec<Group>) {
        if !groups.is_empty() {
            self.parts.push(Part::Rows(std::mem::take(groups)));
        }
    }
}

#[derive(Debug)]
enum Piece {
    Group(Group),
    Savepoint(Vec<u8>),
    RollbackTo(Vec<u8>),
}

/// A transaction being read.
#[derive(Debug)]
pub(super) struct Walk {
    format: Format,
    class: TransactionClass,
    group: Group,
    pieces: Vec<Piece>,
    found: Changes,
}

/// Reads a transaction.
///
/// # Errors
/// [`Error::StatementEvent`], [`Error::NotApplicable`], [`Error::Malformed`], [`Error::Binlog`]: the
/// stream stops. [`Error::EventTooLarge`].
pub fn changes(
    transaction: &Transaction,
    format: &Format,
    limit: PacketLimit,
) -> Result<Changes, Error> {
    let mut walk = Walk::new(format, transaction.class);
    walk.all(&transaction.events)?;
    // A savepoint that nobody goes back to changes nothing.
    let savepoints = walk.pieces.iter().any(|piece| matches!(piece, Piece::RollbackTo(_)));
    walk.finish(savepoints, limit)
}

impl Walk {
    /// Before its first event.
    pub fn new(format: &Format, class: TransactionClass) -> Walk {
        let (format, found) = (format.clone(), Changes::default());
        Walk { format, class, group: Vec::new(), pieces: Vec::new(), found }
    }

    /// Reads on.
    ///
    /// # Errors
    /// As [`changes`].
    pub fn all(&mut self, raw: &Bytes) -> Result<(), Error> {
        events(raw).try_for_each(|event| self.event(event?))
    }

    fn event(&mut self, event: Event) -> Result<(), Error> {
        let checksum = self.format.checksum;
        if is_compressed(event.header.kind) {
            return self.event(expand_compressed(&event, checksum, EXPANDED_MAX)?);
        }
        match event.header.kind {
            EventKind::TRANSACTION_PAYLOAD => {
                let inner = expand_payload(&event, checksum, EXPANDED_MAX)?;
                self.all(&inner)
            }
            EventKind::TABLE_MAP => {
                self.table(&TableMap::decode(event.body(checksum)?)?)?;
                self.group.push(event.raw);
                Ok(())
            }
            kind if kind.is_rows() => {
                let last = packet::ends_statement(&event.raw);
                self.group.push(event.raw);
                if last {
                    self.pieces.push(Piece::Group(std::mem::take(&mut self.group)));
                }
                Ok(())
            }
            EventKind::QUERY => self.query(event),
            EventKind::XA_PREPARE => {
                let xa = XaPrepare::decode(event.body(checksum)?)?;
                self.found.xid = Some(xid(&xa));
                Ok(())
            }
            EventKind::GTID
            | EventKind::ANONYMOUS_GTID
            | EventKind::GTID_TAGGED
            | EventKind::MARIADB_GTID
            | EventKind::XID
            | EventKind::ROWS_QUERY
            | EventKind::ANNOTATE_ROWS => Ok(()),
            kind if kind.is_statement_part() => {
                Err(Error::StatementEvent { what: kind.to_string() })
            }
            kind => Err(Error::NotApplicable { what: kind.to_string() }),
        }
    }

    fn table(&mut self, map: &TableMap) -> Result<(), Error> {
        if map.database == b"plimsoll" {
            return Err(Error::NotApplicable { what: "a change of plimsoll's own tables".into() });
        }
        let name = TableName { database: map.database.clone(), table: map.table.clone() };
        if !self.found.tables.contains(&name) {
            self.found.tables.push(name);
        }
        Ok(())
    }

    fn query(&mut self, event: Event) -> Result<(), Error> {
        let query = QueryEvent::decode(event.body(self.format.checksum)?)?;
        let role = query.role();
        match role {
            QueryRole::Begin | QueryRole::Commit | QueryRole::XaStart | QueryRole::XaEnd => {}
            QueryRole::XaPrepare | QueryRole::XaCommit | QueryRole::XaRollback => {
                self.found.xid = Some(xid_of_text(query.text));
            }
            QueryRole::Savepoint => self.pieces.push(Piece::Savepoint(query.text.to_vec())),
            QueryRole::RollbackTo => self.pieces.push(Piece::RollbackTo(query.text.to_vec())),
            QueryRole::Rollback => {
                return Err(Error::NotApplicable {
                    what: "a transaction rolled back as a whole \
                    that had changed tables without transactions"
                        .into(),
                });
            }
            // The second half of a two-phase ALTER is the statement; this one changes nothing.
            QueryRole::Other if !self.takes_statement() && query.session()?.announces_alter() => {}
            _ if self.takes_statement() => self.found.statement = Some(event.clone()),
            _ => {
                let head = &query.text[..query.text.len().min(80)];
                return Err(Error::StatementEvent { what: String::from_utf8_lossy(head).into() });
            }
        }
        Ok(())
    }

    fn takes_statement(&self) -> bool {
        let class = matches!(self.class, TransactionClass::Ddl | TransactionClass::CreateSelect);
        class && self.found.statement.is_none()
    }

    /// What it does, once it is read to its end; with its savepoints or without.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::EventTooLarge`].
    pub fn finish(mut self, savepoints: bool, limit: PacketLimit) -> Result<Changes, Error> {
        match self.group.is_empty() {
            true => self.so_far(savepoints, limit),
            false => Err(Error::Malformed { what: "rows without the end of their statement" }),
        }
    }

    /// What it does up to here. A statement that goes on is cut behind the row events that have come:
    /// the end flag on the last of them, its table maps said again before those to come.
    ///
    /// # Errors
    /// [`Error::EventTooLarge`].
    pub fn cut(&mut self, limit: PacketLimit) -> Result<Changes, Error> {
        let maps: Group =
            self.group.iter().filter(|event| packet::is_map(event)).cloned().collect();
        if maps.len() < self.group.len() {
            let mut come = std::mem::replace(&mut self.group, maps);
            if let Some(last) = come.last_mut() {
                *last = packet::with_end(last, true, self.format.checksum != Checksum::None);
            }
            self.pieces.push(Piece::Group(come));
        }
        self.so_far(true, limit)
    }

    fn so_far(&mut self, savepoints: bool, limit: PacketLimit) -> Result<Changes, Error> {
        let mut found = std::mem::take(&mut self.found);
        let mut groups = Vec::new();
        for piece in self.pieces.drain(..) {
            match piece {
                Piece::Group(group) => {
                    packet::check(&group, limit)?;
                    groups.push(group);
                }
                Piece::Savepoint(text) | Piece::RollbackTo(text) if savepoints => {
                    found.rows(&mut groups);
                    found.parts.push(Part::Statement(text));
                }
                Piece::Savepoint(_) | Piece::RollbackTo(_) => {}
            }
        }
        found.rows(&mut groups);
        Ok(found)
    }
}

/// An XA id as the servers write it in their statements, in lower case.
fn xid(xa: &XaPrepare) -> String {
    xid_text(&xa.gtrid, &xa.bqual, u64::from(xa.format_id))
}

/// The same, from an id's parts.
pub fn xid_text(global: &[u8], branch: &[u8], format: u64) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("x'{}',x'{}',{format}", hex(global), hex(branch))
}

/// The id in `XA COMMIT X'6964',X'',1`.
fn xid_of_text(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut words = text.splitn(3, ' ');
    let id = words.nth(2).unwrap_or_default();
    id.chars().filter(|letter| !letter.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I9: of each type of event it is said here what a replica makes of it; anything else is refused.
    #[test]
    fn every_type_of_event_is_used_passed_or_refused() {
        let file = include_bytes!("../../tests/corpus/binlog/mysql-9.7.bin");
        let length = u32::from_le_bytes(file[13..17].try_into().unwrap()) as usize;
        let event = Bytes::from_static(&file[4..4 + length]);
        let format = Format::new(wal::Lsn::FIRST, event).unwrap();
        for &kind in EventKind::ALL {
            let len = crate::binlog::EventHeader::LEN + 4 + 4;
            let header = crate::binlog::EventHeader {
                timestamp: 1,
                kind,
                server_id: 1,
                event_len: u32::try_from(len).unwrap(),
                log_pos: 0,
                flags: crate::binlog::EventFlags(0),
            };
            let mut raw = header.encode().to_vec();
            raw.extend_from_slice(&[0; 4 + 4]);
            let transaction = Transaction {
                class: TransactionClass::Rows,
                start: wal::BinlogPosition::new("b.1", 4),
                end: wal::BinlogPosition::new("b.1", 8),
                gtid: None,
                commit_micros: 0,
                end_crc: 0,
                events: Bytes::from(raw),
            };
            let found = changes(&transaction, &format, PacketLimit::new(1 << 20));
            let needs_nothing = matches!(
                kind,
                EventKind::GTID
                    | EventKind::ANONYMOUS_GTID
                    | EventKind::GTID_TAGGED
                    | EventKind::MARIADB_GTID
                    | EventKind::XID
                    | EventKind::ROWS_QUERY
                    | EventKind::ANNOTATE_ROWS
            );
            match found {
                Ok(found) => assert!(needs_nothing && found == Changes::default(), "{kind}"),
                Err(Error::StatementEvent { what } | Error::NotApplicable { what }) => {
                    assert_eq!(what, kind.to_string());
                }
                // Used: a body of four zeros is none of theirs.
                Err(Error::Binlog(_) | Error::Malformed { .. }) => assert!(
                    kind.is_rows()
                        || is_compressed(kind)
                        || matches!(
                            kind,
                            EventKind::QUERY
                                | EventKind::TABLE_MAP
                                | EventKind::XA_PREPARE
                                | EventKind::TRANSACTION_PAYLOAD
                        ),
                    "{kind}"
                ),
                Err(other) => panic!("{kind}: {other}"),
            }
        }
    }

    #[test]
    fn an_xa_id_is_the_same_from_event_and_statement() {
        let xa =
            XaPrepare { one_phase: false, format_id: 1, gtrid: b"x1".to_vec(), bqual: Vec::new() };
        assert_eq!(xid(&xa), "x'7831',x'',1");
        assert_eq!(xid_of_text(b"XA COMMIT X'7831',X'',1"), xid(&xa));
    }
}
