//! One transaction being assembled: which event ends it, and what it is.

use bytes::Bytes;
use wal::{BinlogPosition, Gtid, TransactionClass};

use super::event::body_of;
use super::query::QueryEvent;
use super::{
    Checksum, Error, Event, EventFlags, EventHeader, EventKind, MariadbGtidEvent, MysqlGtidEvent,
    Payload, QueryRole, RowsEvent, XaPrepare, expand_compressed,
};

/// Where an event starts; owned only where it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub file: &'a str,
    pub offset: u64,
}

impl Place<'_> {
    pub fn position(self) -> BinlogPosition {
        BinlogPosition::new(self.file, self.offset)
    }
}

/// What the last event did to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on.
    More,
    /// That was its last event.
    Done,
}

/// What ends the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// MySQL, GTID seen: the next statement tells.
    Undecided,
    /// MariaDB, STANDALONE: the next statement, or the last rows of one.
    Statement,
    /// XID, COMMIT, ROLLBACK or XA_PREPARE.
    Commit,
}

/// A transaction whose last event has not come yet.
#[derive(Debug)]
pub(super) struct Group {
    pub start: BinlogPosition,
    pub gtid: Option<Gtid>,
    pub commit_micros: i64,
    pub class: TransactionClass,
    pub wants_ack: bool,
    /// Some of its events have been passed on.
    pub in_pieces: bool,
    ending: Ending,
    /// Its statement is the first half of a two-phase ALTER (MariaDB), or undoes one: it changes
    /// nothing, the second half says the statement again.
    announces: bool,
}

impl Group {
    /// A new one if the event starts a transaction.
    pub fn open(
        header: &EventHeader,
        body: &[u8],
        start: Place<'_>,
    ) -> Result<Option<Group>, Error> {
        let seconds = i64::from(header.timestamp) * 1_000_000;
        let mut announces = false;
        let (gtid, commit_micros, class, ending) = match header.kind {
            EventKind::GTID | EventKind::ANONYMOUS_GTID | EventKind::GTID_TAGGED => {
                let event = MysqlGtidEvent::decode(header, body)?;
                let micros = i64::try_from(event.immediate_commit_micros).ok();
                let micros = micros.filter(|&micros| micros > 0).unwrap_or(seconds);
                (event.gtid, micros, TransactionClass::Rows, Ending::Undecided)
            }
            EventKind::MARIADB_GTID => {
                let event = MariadbGtidEvent::decode(header, body)?;
                let (class, ending) = mariadb_ending(&event);
                announces = event.announces_alter();
                (Some(event.gtid), seconds, class, ending)
            }
            _ => return Ok(None),
        };
        let start = start.position();
        Ok(Some(Group {
            start,
            gtid,
            commit_micros,
            class,
            wants_ack: false,
            in_pieces: false,
            ending,
            announces,
        }))
    }

    /// Whether its events can go on before its last one has come: what it is must be known, and
    /// applying it must be undone by a ROLLBACK alone.
    pub fn is_divisible(&self) -> bool {
        (self.class, self.ending) == (TransactionClass::Rows, Ending::Commit)
    }

    /// Takes the next event, which starts at `at`; `limit` bounds what it may expand to.
    pub fn step(
        &mut self,
        header: &EventHeader,
        raw: &[u8],
        checksum: Checksum,
        (at, limit): (Place<'_>, u64),
    ) -> Result<Step, Error> {
        let body = body_of(raw, checksum)?;
        match header.kind {
            EventKind::QUERY => self.query(header.kind, QueryEvent::decode(body)?.role(), at),
            EventKind::QUERY_COMPRESSED => {
                let event = Event::new(Bytes::copy_from_slice(raw))?;
                let event = expand_compressed(&event, checksum, limit)?;
                let role = QueryEvent::decode(event.body(checksum)?)?.role();
                self.query(header.kind, role, at)
            }
            EventKind::XID => self.end_of_commit(header.kind, at),
            EventKind::XA_PREPARE => self.xa_prepared(body, at),
            EventKind::TRANSACTION_PAYLOAD => self.payload(raw, checksum, (at, limit)),
            EventKind::EXECUTE_LOAD_QUERY if self.ending == Ending::Statement => Ok(Step::Done),
            kind if kind.is_rows() => self.rows(kind, body, at),
            _ => refuse_or_keep(header, at).map(|()| Step::More),
        }
    }

    fn query(&mut self, kind: EventKind, role: QueryRole, at: Place<'_>) -> Result<Step, Error> {
        use TransactionClass as Class;
        match (self.ending, role) {
            (Ending::Undecided, QueryRole::Begin) => self.ending = Ending::Commit,
            (Ending::Undecided, QueryRole::XaStart) => {
                (self.ending, self.class) = (Ending::Commit, Class::XaPrepare);
            }
            (Ending::Undecided, QueryRole::CreateTableStart) => {
                (self.ending, self.class) = (Ending::Commit, Class::CreateSelect);
            }
            (_, QueryRole::XaCommit) => return Ok(self.done(Class::XaCommit)),
            (_, QueryRole::XaRollback) => return Ok(self.done(Class::XaRollback)),
            (Ending::Commit, QueryRole::Commit | QueryRole::Rollback) => return Ok(Step::Done),
            (Ending::Commit, QueryRole::CreateTable | QueryRole::CreateTableStart) => {
                self.class = Class::CreateSelect;
            }
            // Savepoints, XA END, statements in statement format: for the applier to judge.
            (Ending::Commit, _) => {}
            (_, QueryRole::Commit | QueryRole::Rollback | QueryRole::Begin) => {
                return Err(out_of_place(kind, at, "ends a transaction that has not begun"));
            }
            _ if self.announces => return Ok(self.done(Class::Rows)),
            _ => return Ok(self.done(Class::Ddl)),
        }
        Ok(Step::More)
    }

    fn done(&mut self, class: TransactionClass) -> Step {
        self.class = class;
        Step::Done
    }

    fn end_of_commit(&self, kind: EventKind, at: Place<'_>) -> Result<Step, Error> {
        match self.ending {
            Ending::Commit => Ok(Step::Done),
            _ => Err(out_of_place(kind, at, "ends a transaction that has not begun")),
        }
    }

    fn rows(&self, kind: EventKind, body: &[u8], at: Place<'_>) -> Result<Step, Error> {
        match self.ending {
            Ending::Commit => Ok(Step::More),
            // Flags stand at the same place in every version, compressed or not.
            Ending::Statement => match body.get(6) {
                Some(flags) if flags & RowsEvent::STATEMENT_END as u8 != 0 => Ok(Step::Done),
                _ => Ok(Step::More),
            },
            Ending::Undecided => Err(out_of_place(kind, at, "stands before BEGIN")),
        }
    }

    /// The whole rest of the transaction; its first event tells what it is. Only an XA transaction
    /// is opened for that, since its last event tells whether it is parked.
    fn payload(
        &mut self,
        raw: &[u8],
        checksum: Checksum,
        (at, limit): (Place<'_>, u64),
    ) -> Result<Step, Error> {
        let kind = EventKind::TRANSACTION_PAYLOAD;
        if self.ending != Ending::Undecided {
            return Err(out_of_place(kind, at, "stands inside a transaction"));
        }
        let first = Payload::decode(body_of(raw, checksum)?)?.first_event()?;
        let role = match first.header.kind {
            EventKind::QUERY => QueryEvent::decode(first.body(Checksum::None)?)?.role(),
            _ => QueryRole::Other,
        };
        match role {
            QueryRole::Begin => Ok(Step::Done),
            QueryRole::CreateTableStart => Ok(self.done(TransactionClass::CreateSelect)),
            QueryRole::XaStart => {
                self.ending = Ending::Commit;
                self.xa_payload(raw, checksum, (at, limit))
            }
            _ => {
                let reason = "it does not start with BEGIN";
                Err(Error::Unsupported { position: at.position(), kind, reason })
            }
        }
    }

    fn xa_payload(
        &mut self,
        raw: &[u8],
        checksum: Checksum,
        (at, limit): (Place<'_>, u64),
    ) -> Result<Step, Error> {
        let unpacked = Payload::decode(body_of(raw, checksum)?)?.unpack(limit)?;
        let mut last = None;
        for inner in super::events(&Bytes::from(unpacked)) {
            last = Some(inner?);
        }
        match last.filter(|last| last.header.kind == EventKind::XA_PREPARE) {
            Some(last) => self.xa_prepared(last.body(Checksum::None)?, at),
            None => {
                let reason = "its XA transaction does not end with XA_PREPARE";
                let kind = EventKind::TRANSACTION_PAYLOAD;
                Err(Error::Unsupported { position: at.position(), kind, reason })
            }
        }
    }

    fn xa_prepared(&mut self, body: &[u8], at: Place<'_>) -> Result<Step, Error> {
        // XA COMMIT … ONE PHASE parks nothing: an ordinary transaction.
        self.class = match XaPrepare::decode(body)?.one_phase {
            true => TransactionClass::Rows,
            false => TransactionClass::XaPrepare,
        };
        self.end_of_commit(EventKind::XA_PREPARE, at)
    }
}

fn mariadb_ending(event: &MariadbGtidEvent) -> (TransactionClass, Ending) {
    let prepared = event.has(MariadbGtidEvent::PREPARED_XA);
    match (event.has(MariadbGtidEvent::STANDALONE), prepared) {
        (true, _) => (TransactionClass::Rows, Ending::Statement),
        (false, true) => (TransactionClass::XaPrepare, Ending::Commit),
        (false, false) => (TransactionClass::Rows, Ending::Commit),
    }
}

/// Refuses what a stream cannot be passed on with, and what nobody knows (I9).
pub(super) fn refuse_or_keep(header: &EventHeader, at: Place<'_>) -> Result<(), Error> {
    let kind = header.kind;
    let reason = match kind {
        EventKind::TABLE_MAP
        | EventKind::ROWS_QUERY
        | EventKind::ANNOTATE_ROWS
        | EventKind::IGNORABLE
        | EventKind::QUERY
        | EventKind::QUERY_COMPRESSED
        | EventKind::XID
        | EventKind::XA_PREPARE
        | EventKind::TRANSACTION_PAYLOAD => return Ok(()),
        _ if kind.is_rows() || kind.is_statement_part() => return Ok(()),
        EventKind::INCIDENT => "the server lost events here (see its error log)",
        EventKind::START_ENCRYPTION => "the events behind it are encrypted",
        EventKind::GTID
        | EventKind::ANONYMOUS_GTID
        | EventKind::GTID_TAGGED
        | EventKind::MARIADB_GTID => {
            return Err(out_of_place(kind, at, "stands inside a transaction"));
        }
        _ if kind.name().is_some() => "it is of a server or feature that is not supported",
        _ if header.flags.has(EventFlags::IGNORABLE) => return Ok(()),
        _ => "its type is unknown",
    };
    Err(Error::Unsupported { position: at.position(), kind, reason })
}

fn out_of_place(kind: EventKind, at: Place<'_>, place: &'static str) -> Error {
    Error::OutOfPlace { position: at.position(), kind, place }
}
