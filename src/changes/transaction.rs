//! The changes of one transaction, one after another.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use wal::{Transaction, TransactionClass};

use super::{Dialect, Error, Table, Value};
use crate::binlog::{
    Cell, Checksum, Event, EventKind, Events, Image, QueryEvent, QueryRole, RowsEvent, TableMap,
    XaPrepare, events, expand_compressed, expand_payload, is_compressed, xid_of_statement,
};

/// A compressed event of the source may not grow beyond what the source could have held.
const EXPANDED_MAX: u64 = 1 << 30;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Of a row.
    Row(RowChange),
    /// DDL, account management, or going back to a savepoint.
    Statement {
        /// Default database; empty for none.
        database: String,
        /// As it was run.
        text: String,
    },
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// It came.
    Insert,
    /// It changed.
    Update,
    /// It went.
    Delete,
    /// A statement instead.
    Ddl,
}

/// A row's change: at least one image is there.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// Whose row.
    pub table: Arc<Table>,
    /// What happened.
    pub operation: Operation,
    /// Of an update or a delete.
    pub before: Option<Row>,
    /// Of an insert or an update.
    pub after: Option<Row>,
}

/// An image of a row: the columns that `binlog_row_image` lets the server write.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Whose.
    pub table: Arc<Table>,
    /// Index of the column, and its value.
    pub values: Vec<(usize, Value)>,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.values.len()))?;
        for (index, value) in &self.values {
            if let Some(column) = self.table.columns.get(*index) {
                map.serialize_entry(&column.name, value)?;
            }
        }
        map.end()
    }
}

/// The changes of a transaction in their order. After an error it ends.
///
/// An XA PREPARE gives the changes that its XA COMMIT makes visible; who listens for what is committed
/// asks for them then. XA COMMIT and XA ROLLBACK give none.
#[derive(Debug)]
pub struct Changes {
    class: TransactionClass,
    dialect: Dialect,
    /// The innermost last: a payload holds events of its own.
    events: Vec<Events>,
    tables: HashMap<u64, Arc<Table>>,
    /// The rows event that is being walked through, and where its next row begins.
    rows: Option<(Event, usize)>,
    stated: bool,
    /// Somewhere the transaction goes back to a savepoint.
    goes_back: bool,
    more: More,
}

/// The pieces to come.
struct More(Box<dyn Iterator<Item = Result<Bytes, Error>> + Send>);

impl std::fmt::Debug for More {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("More")
    }
}

impl Changes {
    /// Of a whole transaction in a binlog of that dialect.
    ///
    /// # Errors
    /// [`Error::Binlog`].
    pub fn of(transaction: &Transaction, dialect: Dialect) -> Result<Changes, Error> {
        let mut changes = Changes {
            class: transaction.class,
            dialect,
            events: vec![events(&transaction.events)],
            tables: HashMap::new(),
            rows: None,
            stated: false,
            goes_back: false,
            more: More(Box::new(std::iter::empty())),
        };
        changes.goes_back = changes.looks_back(&transaction.events)?;
        Ok(changes)
    }

    /// Of a transaction of rows whose raw events come in pieces of whole events. Its savepoints are all
    /// told: whether it goes back to one shows only later.
    pub fn in_pieces(
        dialect: Dialect,
        pieces: impl Iterator<Item = Result<Bytes, Error>> + Send + 'static,
    ) -> Changes {
        Changes {
            class: TransactionClass::Rows,
            dialect,
            events: Vec::new(),
            tables: HashMap::new(),
            rows: None,
            stated: false,
            goes_back: true,
            more: More(Box::new(pieces)),
        }
    }

    /// A savepoint that nobody goes back to changes nothing; the others are told.
    fn looks_back(&self, raw: &Bytes) -> Result<bool, Error> {
        for event in events(raw) {
            let event = event?;
            let found = match event.header.kind {
                EventKind::TRANSACTION_PAYLOAD => {
                    self.looks_back(&expand_payload(&event, self.dialect.checksum, EXPANDED_MAX)?)?
                }
                EventKind::QUERY | EventKind::QUERY_COMPRESSED => {
                    let event = expand_compressed(&event, self.dialect.checksum, EXPANDED_MAX)?;
                    let query = QueryEvent::decode(event.body(self.dialect.checksum)?)?;
                    query.role() == QueryRole::RollbackTo
                }
                _ => false,
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step(&mut self) -> Result<Option<Change>, Error> {
        loop {
            if let Some((event, offset)) = self.rows.take()
                && let Some(change) = self.row(event, offset)?
            {
                return Ok(Some(change));
            }
            let Some(innermost) = self.events.last_mut() else {
                let Some(piece) = self.more.0.next() else { return Ok(None) };
                self.events.push(events(&piece?));
                continue;
            };
            match innermost.next() {
                None => {
                    self.events.pop();
                }
                Some(event) => {
                    if let Some(change) = self.event(event?)? {
                        return Ok(Some(change));
                    }
                }
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<Option<Change>, Error> {
        if is_compressed(event.header.kind) {
            return self.event(expand_compressed(&event, self.dialect.checksum, EXPANDED_MAX)?);
        }
        match event.header.kind {
            EventKind::TRANSACTION_PAYLOAD if self.events.len() == 1 => {
                let inner = expand_payload(&event, self.dialect.checksum, EXPANDED_MAX)?;
                self.events.push(events(&inner));
            }
            EventKind::TABLE_MAP => {
                let map = TableMap::decode(event.body(self.dialect.checksum)?)?;
                let known = self.tables.get(&map.table_id);
                if known.is_none_or(|known| known.map != map) {
                    self.tables.insert(map.table_id, Arc::new(Table::new(map, self.dialect)?));
                }
            }
            kind if kind.is_rows() => self.rows = Some((event, 0)),
            EventKind::QUERY => return self.query(&event),
            EventKind::GTID
            | EventKind::ANONYMOUS_GTID
            | EventKind::GTID_TAGGED
            | EventKind::MARIADB_GTID
            | EventKind::XID
            | EventKind::XA_PREPARE
            | EventKind::ROWS_QUERY
            | EventKind::ANNOTATE_ROWS => {}
            kind => return Err(Error::Untellable { what: format!("event {kind}") }),
        }
        Ok(None)
    }

    fn query(&mut self, event: &Event) -> Result<Option<Change>, Error> {
        let query = QueryEvent::decode(event.body(self.dialect.checksum)?)?;
        let takes_statement = !self.stated
            && matches!(self.class, TransactionClass::Ddl | TransactionClass::CreateSelect);
        match query.role() {
            QueryRole::Begin
            | QueryRole::Commit
            | QueryRole::XaStart
            | QueryRole::XaEnd
            | QueryRole::XaPrepare
            | QueryRole::XaCommit
            | QueryRole::XaRollback => return Ok(None),
            QueryRole::Savepoint | QueryRole::RollbackTo if self.goes_back => {}
            QueryRole::Savepoint => return Ok(None),
            QueryRole::Rollback => {
                let what = "a transaction rolled back as a whole that had changed tables without \
                    transactions";
                return Err(Error::Untellable { what: what.to_owned() });
            }
            // The second half of a two-phase ALTER is the statement; this one changes nothing.
            QueryRole::Other if query.session()?.announces_alter() => return Ok(None),
            _ if takes_statement => self.stated = true,
            _ => {
                let head = String::from_utf8_lossy(query.text.get(..80).unwrap_or(query.text));
                return Err(Error::Untellable {
                    what: format!("a change as a statement, {head:?},"),
                });
            }
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok(Some(Change::Statement { database: text(query.database), text: text(query.text) }))
    }

    /// The row that begins at `offset`, with the rest of the event kept for later.
    fn row(&mut self, event: Event, offset: usize) -> Result<Option<Change>, Error> {
        let rows = RowsEvent::decode(event.header.kind, event.body(self.dialect.checksum)?)?;
        let unknown = crate::binlog::Error::NoTableMap(rows.table_id);
        let table = Arc::clone(self.tables.get(&rows.table_id).ok_or(unknown)?);
        let mut reading =
            Reading { table: &table, before: Vec::new(), images: Vec::new(), wrong: None };
        let next = rows.row(&table.map, 0, offset, &mut |cell| reading.cell(cell))?;
        let Reading { images, wrong, .. } = reading;
        let Some(next) = next else { return Ok(None) };
        if let Some(column) = wrong {
            let (name, kind) = (column.name.clone(), column.kind.code);
            return Err(Error::Value { table: table.display(), column: name, kind });
        }
        let operation = match rows.kind {
            kind if kind.is_update_rows() => Operation::Update,
            kind if kind.is_delete_rows() => Operation::Delete,
            _ => Operation::Insert,
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (image, index, value) in images {
            match image {
                Image::Before => before.push((index, value)),
                Image::After => after.push((index, value)),
            }
        }
        let row = |values| Row { table: Arc::clone(&table), values };
        let before = (operation != Operation::Insert).then(|| row(before));
        let after = (operation != Operation::Delete).then(|| row(after));
        self.rows = Some((event, next));
        Ok(Some(Change::Row(RowChange { table, operation, before, after })))
    }
}

/// Cells becoming values.
struct Reading<'a, 'b> {
    table: &'a Table,
    /// Bytes of the before image, for JSON differences.
    before: Vec<(usize, &'b [u8])>,
    images: Vec<(Image, usize, Value)>,
    /// The first column that could not be read.
    wrong: Option<&'a super::Column>,
}

impl<'b> Reading<'_, 'b> {
    fn cell(&mut self, cell: Cell<'b>) {
        let Some(column) = self.table.columns.get(cell.column) else { return };
        let before = self.before.iter().find(|(index, _)| *index == cell.column);
        match Value::read(column, &cell, before.map(|(_, bytes)| *bytes)) {
            Some(value) => self.images.push((cell.image, cell.column, value)),
            None => self.wrong = self.wrong.or(Some(column)),
        }
        if let (Image::Before, JSON, Some(bytes)) = (cell.image, column.kind.code, cell.value) {
            self.before.push((cell.column, bytes));
        }
    }
}

const JSON: u8 = 245;

impl Iterator for Changes {
    type Item = Result<Change, Error>;

    fn next(&mut self) -> Option<Result<Change, Error>> {
        let next = self.step().transpose();
        if matches!(next, None | Some(Err(_))) {
            self.events.clear();
            self.more = More(Box::new(std::iter::empty()));
            self.rows = None;
        }
        next
    }
}

/// The XA transaction that this one prepares, commits or rolls back, as in the servers' statements.
///
/// # Errors
/// [`Error::Binlog`].
pub fn xid(transaction: &Transaction, checksum: Checksum) -> Result<Option<String>, Error> {
    let mut found = None;
    for event in events(&transaction.events) {
        let event = expand_compressed(&event?, checksum, EXPANDED_MAX)?;
        match event.header.kind {
            EventKind::XA_PREPARE => {
                found = Some(XaPrepare::decode(event.body(checksum)?)?.xid());
            }
            EventKind::QUERY => {
                let query = QueryEvent::decode(event.body(checksum)?)?;
                if matches!(
                    query.role(),
                    QueryRole::XaPrepare | QueryRole::XaCommit | QueryRole::XaRollback
                ) {
                    found = Some(xid_of_statement(query.text));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}
