//! A replica restored from a backup: where in the log does it stand?

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use wal::{BinlogPosition, Body, Gtid, LogReader, Lsn, Record, Timestamp, TransactionClass};

use super::packet::PacketLimit;
use super::worker::LOCK;
use super::{Error, Format, changes, checkpoint};
use crate::binlog::GtidSet;
use crate::cluster::MemberName;
use crate::config::ServerConfig;
use crate::server::{self, Session, quote_bytes};

const DEADLINE: Duration = Duration::from_secs(30);

/// A place at the source, as backup tools write it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// All transactions of the set, and no other.
    Gtids(GtidSet),
    /// The end of a transaction in the source's binlog.
    Position(BinlogPosition),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Gtids(GtidSet::Mysql(set)) => set.fmt(f),
            At::Gtids(GtidSet::Mariadb(list)) => list.fmt(f),
            At::Position(position) => position.fmt(f),
        }
    }
}

impl FromStr for At {
    type Err = Error;

    fn from_str(text: &str) -> Result<At, Error> {
        let bad = || Error::BadPlace { text: text.to_owned() };
        let text = text.trim();
        if let Ok(set) = text.parse::<GtidSet>() {
            return if set.is_empty() { Err(bad()) } else { Ok(At::Gtids(set)) };
        }
        let (file, offset) = text.rsplit_once(':').ok_or_else(bad)?;
        let offset = offset.parse().map_err(|_| bad())?;
        if file.is_empty() || file.contains(['/', ' ']) {
            return Err(bad());
        }
        Ok(At::Position(BinlogPosition::new(file, offset)))
    }
}

/// Where a replica stands: the last record it has, and what it has prepared and not yet committed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    lsn: Lsn,
    timestamp: Timestamp,
    parked: BTreeMap<String, Lsn>,
}

/// Finds the record that `at` names, and writes it into the server's checkpoint: from then on the
/// applier goes on behind it. Only committed records (up to `visible`) count. The server's applier
/// must not run.
///
/// # Errors
/// [`Error::NoSuchPlace`] with what is there instead; [`Error::Follows`] or [`Error::Busy`] while an
/// applier runs;
/// [`Error::Server`].
pub async fn adopt(
    reader: &LogReader,
    server: &ServerConfig,
    member: &MemberName,
    visible: Option<Lsn>,
    at: At,
) -> Result<Lsn, Error> {
    let mut session = Session::connect(server, DEADLINE).await?;
    if session.value(LOCK).await?.as_deref() != Some("1") {
        return Err(follows(&mut session).await?);
    }
    let log = reader.clone();
    let found = tokio::task::spawn_blocking(move || find(&log, visible, &at)).await;
    let place = found.map_err(|_| Error::ReaderGone)??;
    server::create_schema(&mut session).await?;
    let applied = Some((place.lsn, place.timestamp));
    checkpoint::place(&mut session, reader.cluster(), member, applied).await?;
    session.execute("DELETE FROM plimsoll.xa_parked").await?;
    for (xid, lsn) in &place.parked {
        let xid = quote_bytes(xid.as_bytes());
        let sql = format!("INSERT INTO plimsoll.xa_parked (xid, lsn) VALUES ({xid}, {lsn})");
        session.execute(sql).await?;
    }
    session.close().await;
    Ok(place.lsn)
}

/// Why an adoption is refused where a session applies.
async fn follows(session: &mut Session) -> Result<Error, Error> {
    let found = checkpoint::read(session).await?.and_then(|found| found.applied);
    Ok(match found {
        Some((lsn, timestamp)) => Error::Follows { lsn, timestamp },
        None => Error::Busy,
    })
}

/// Walks the log once.
fn find(reader: &LogReader, visible: Option<Lsn>, at: &At) -> Result<Place, Error> {
    let mut search = Search::new(at);
    let (Some(visible), Some(first)) = (visible, reader.first_lsn()) else {
        return Err(search.none("nothing in this member's log is known to be committed yet: is the source's agent there?"));
    };
    search.format = match reader.format_at(first) {
        Ok((lsn, event)) => Some(Format::new(lsn, event)?),
        Err(wal::Error::NoFormat(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut cursor = reader.cursor(first)?;
    while let Some(frame) = cursor.next_frame(visible)? {
        for record in frame.records()? {
            if record.lsn > visible {
                break;
            }
            search.record(&record)?;
        }
    }
    search.finish()
}

impl Place {
    fn of(record: &Record) -> Place {
        Place { lsn: record.lsn, timestamp: record.timestamp, parked: BTreeMap::new() }
    }
}

struct Search<'a> {
    at: &'a At,
    format: Option<Format>,
    /// XA prepared and not yet ended, at the record looked at.
    parked: BTreeMap<String, Lsn>,
    found: Option<Place>,
    /// The first transaction that the set lacks.
    lacking: Option<String>,
    /// Of each origin (server and tag, or domain) the last transaction that the set has.
    last: BTreeMap<String, Gtid>,
    begun: bool,
    /// The log's first record, where it does not name the transaction before it.
    beginning: Option<Place>,
}

impl<'a> Search<'a> {
    fn new(at: &'a At) -> Search<'a> {
        let parked = BTreeMap::new();
        let last = BTreeMap::new();
        Search {
            at,
            format: None,
            parked,
            found: None,
            lacking: None,
            last,
            begun: false,
            beginning: None,
        }
    }

    fn none(&self, why: &str) -> Error {
        Error::NoSuchPlace { wanted: self.at.to_string(), why: why.to_owned() }
    }

    fn record(&mut self, record: &Record) -> Result<(), Error> {
        match &record.body {
            Body::Transaction(transaction) | Body::ChunkEnd(transaction) => {
                self.xa(record.lsn, transaction)?;
                let name = transaction.gtid.as_ref();
                match self.at {
                    At::Position(wanted) if *wanted == transaction.end => self.hit(record)?,
                    At::Position(_) => {}
                    At::Gtids(set) => {
                        let name = name.ok_or_else(|| self.none("the source has no GTIDs"))?;
                        match (set.contains(name), &self.lacking) {
                            (true, None) => {
                                self.last.insert(origin_of(name), name.clone());
                                self.place(record);
                            }
                            (true, Some(lacking)) => {
                                let why = format!(
                                    "it has {name} (record {}) but lacks {lacking} before it",
                                    record.lsn
                                );
                                return Err(self.none(&why));
                            }
                            (false, None) => {
                                self.lacking = Some(name.to_string());
                                self.at_the_beginning(name, set);
                            }
                            (false, Some(_)) => {}
                        }
                    }
                }
            }
            Body::EpochStart(start) => {
                self.format = Some(Format::new(record.lsn, start.format_description.clone())?);
                match self.at {
                    At::Position(wanted) if *wanted == start.position => self.hit(record)?,
                    At::Gtids(set) if !self.begun => match &start.last_gtid {
                        Some(last) if !set.contains(last) => {
                            let why = format!(
                                "the log begins after {last}, which it lacks: take a newer backup"
                            );
                            return Err(self.none(&why));
                        }
                        Some(_) => self.place(record),
                        None => self.beginning = Some(Place::of(record)),
                    },
                    _ => {}
                }
                self.begun = true;
            }
            Body::FormatDescription { event, .. } => {
                self.format = Some(Format::new(record.lsn, event.clone())?);
            }
            Body::Chunk(_) | Body::Heartbeat { .. } | Body::Membership(_) => {}
        }
        Ok(())
    }

    /// A position is in one place of the log, unless two sources used the same file names.
    fn hit(&mut self, record: &Record) -> Result<(), Error> {
        // The end of a transaction is where the next epoch of the same server starts.
        let same = matches!(record.body, Body::EpochStart(_));
        match &self.found {
            Some(found) if !same => {
                let why = format!("records {} and {} both end there", found.lsn, record.lsn);
                Err(self.none(&why))
            }
            Some(_) => Ok(()),
            None => {
                self.place(record);
                Ok(())
            }
        }
    }

    fn place(&mut self, record: &Record) {
        self.found = Some(Place { parked: self.parked.clone(), ..Place::of(record) });
    }

    /// A backup taken exactly where the log begins has none of its transactions. That nothing is
    /// missing between the two shows in the log's first one: the set has the one before it.
    fn at_the_beginning(&mut self, first: &Gtid, set: &GtidSet) {
        if self.found.is_none() && before(first).is_some_and(|before| set.contains(&before)) {
            self.found = self.beginning.take();
        }
    }

    fn xa(&mut self, lsn: Lsn, transaction: &wal::Transaction) -> Result<(), Error> {
        use TransactionClass as Class;
        if !matches!(transaction.class, Class::XaPrepare | Class::XaCommit | Class::XaRollback) {
            return Ok(());
        }
        let format = self.format.as_ref();
        let format =
            format.ok_or(Error::Malformed { what: "rows before any format description" })?;
        let limit = PacketLimit::new(usize::MAX / 2);
        let xid = changes::changes(transaction, format, limit)?.xid.unwrap_or_default();
        match transaction.class {
            Class::XaPrepare => drop(self.parked.insert(xid, lsn)),
            _ => drop(self.parked.remove(&xid)),
        }
        Ok(())
    }

    fn finish(self) -> Result<Place, Error> {
        if let At::Gtids(set) = self.at {
            // What is in the backup and not (committed) in the log would come twice.
            if let Some(beyond) = self.last.values().map(after).find(|next| set.contains(next)) {
                return Err(self.none(&format!("it has {beyond}, which the log has not (yet)")));
            }
        }
        let why = match self.at {
            At::Gtids(_) => {
                "the log holds none of it, or it is not committed yet; where the backup was taken at \
                 the place where the log begins, say FILE:POS, or wait for the first transaction"
            }
            At::Position(_) => "no transaction in the log ends there, or it is not committed yet",
        };
        let none = self.none(why);
        self.found.ok_or(none)
    }
}

fn origin_of(gtid: &Gtid) -> String {
    match gtid {
        Gtid::Mysql { uuid, tag, .. } => format!("{uuid:02x?}:{tag}"),
        Gtid::Mariadb { domain, .. } => domain.to_string(),
    }
}

/// The name that the origin's transaction before it has; `None` before the first.
fn before(gtid: &Gtid) -> Option<Gtid> {
    let less = |number: u64| number.checked_sub(1).filter(|&number| number > 0);
    Some(match gtid.clone() {
        Gtid::Mysql { uuid, tag, number } => Gtid::Mysql { uuid, tag, number: less(number)? },
        Gtid::Mariadb { domain, server, sequence } => {
            Gtid::Mariadb { domain, server, sequence: less(sequence)? }
        }
    })
}

/// The name that the origin's next transaction has.
fn after(gtid: &Gtid) -> Gtid {
    match gtid.clone() {
        Gtid::Mysql { uuid, tag, number } => Gtid::Mysql { uuid, tag, number: number + 1 },
        Gtid::Mariadb { domain, server, sequence } => {
            Gtid::Mariadb { domain, server, sequence: sequence + 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(lsn: u64, body: Body) -> Record {
        let timestamp = Timestamp::new(lsn, 0).unwrap();
        Record { lsn: Lsn::new(lsn).unwrap(), timestamp, body }
    }

    fn start() -> Record {
        // The file's magic, then its format description, whose header gives its length.
        let file = include_bytes!("../../tests/corpus/binlog/mariadb-10.11.bin");
        let length = u32::from_le_bytes(file[13..17].try_into().unwrap()) as usize;
        record(
            1,
            Body::EpochStart(wal::EpochStart {
                member: "s1".to_owned(),
                server_uuid: "u".to_owned(),
                server_version: "10.11".to_owned(),
                position: BinlogPosition::new("bin.000001", 400),
                last_gtid: None,
                end_crc: None,
                format_description: file[4..4 + length].to_vec().into(),
            }),
        )
    }

    fn transaction(lsn: u64, gtid: &str) -> Record {
        let position = |offset| BinlogPosition::new("bin.000001", offset);
        record(
            lsn,
            Body::Transaction(wal::Transaction {
                class: TransactionClass::Rows,
                start: position(lsn * 1000),
                end: position(lsn * 1000 + 500),
                gtid: gtid.parse().ok(),
                commit_micros: 0,
                end_crc: 0,
                events: bytes::Bytes::new(),
            }),
        )
    }

    /// The log begins behind 0-1-309.
    #[test]
    fn a_backup_stands_where_its_set_ends_in_the_log() {
        let log = [start(), transaction(2, "0-1-310"), transaction(3, "0-1-311")];
        for (set, stands) in [
            ("0-1-308", None),
            ("0-1-309", Some(1)),
            ("0-1-310", Some(2)),
            ("0-1-311", Some(3)),
            ("0-1-312", None),
            ("1-1-309", None),
        ] {
            let at: At = set.parse().unwrap();
            let mut search = Search::new(&at);
            log.iter().for_each(|record| search.record(record).unwrap());
            let found = search.finish().ok().map(|place| place.lsn.get());
            assert_eq!(found, stands, "{set}");
        }
    }

    #[test]
    fn places_are_told_apart() {
        for (text, at) in [
            ("bin.000001:1234", "position"),
            ("0-11-5", "gtids"),
            ("0-11-5,1-11-7", "gtids"),
            ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5", "gtids"),
        ] {
            let found = text.parse::<At>().unwrap();
            assert_eq!(matches!(found, At::Position(_)), at == "position", "{text}");
            assert_eq!(found.to_string(), text);
        }
        for bad in ["", "bin.000001", "bin.000001:x", "/var/lib/bin.1:4"] {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }
}
