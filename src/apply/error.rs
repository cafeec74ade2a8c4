//! Why applying stopped.

use std::fmt;

use wal::{BinlogPosition, Epoch, Gtid, Lsn, Timestamp};

use crate::cluster::ErrorClass;
use crate::explain::{Code, of_log};
use crate::{binlog, server};

/// Where in the log, and where at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Record.
    pub lsn: Lsn,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The source's name for it.
    pub gtid: Option<Gtid>,
    /// Where it starts at the source; a piece of a transaction does not say.
    pub position: Option<BinlogPosition>,
    /// Tables that it changes, `database.table`, as far as known.
    pub tables: Vec<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}, timestamp {}", self.lsn, self.timestamp)?;
        if let Some(gtid) = &self.gtid {
            write!(f, ", GTID {gtid}")?;
        }
        if let Some(position) = &self.position {
            write!(f, ", source position {position}")?;
        }
        if !self.tables.is_empty() {
            write!(f, ", table {}", self.tables.join(", "))?;
        }
        Ok(())
    }
}

/// Why a replica's applier stopped, or tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, or was lost.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Log(#[from] wal::Error),
    /// An event is not understood.
    #[error("an event of the source is not understood: {0}")]
    Binlog(#[from] binlog::Error),
    /// Something went wrong with one record.
    #[error("{place}: {source}")]
    At {
        /// Which.
        place: Box<Place>,
        /// What.
        #[source]
        source: Box<Error>,
    },
    /// The server refused a transaction made of several; they will be tried one by one.
    #[error(
        "the server refused a batch up to record {to}, which is tried again one by one: {source}"
    )]
    Joined {
        /// The batch's last record.
        to: Lsn,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// One row event does not fit in a packet.
    #[error(
        "a row event needs a packet of {bytes} bytes and max_allowed_packet here is {limit}: raise \
         it (SET GLOBAL max_allowed_packet, up to 1 GiB, and in the server's configuration)"
    )]
    EventTooLarge {
        /// Bytes of the packet.
        bytes: usize,
        /// The server's limit.
        limit: usize,
    },
    /// The source wrote a statement where rows are needed (I9).
    #[error(
        "the source logged a change as a statement ({what}), which may do something else here: set \
         binlog_format=ROW at the source (also in running sessions), then rebuild this replica or \
         make the change by hand and move it on with `plimsoll adopt`"
    )]
    StatementEvent {
        /// The event or the statement's beginning.
        what: String,
    },
    /// An event that cannot be applied yet (I9).
    #[error("{what} cannot be applied by this version of plimsoll")]
    NotApplicable {
        /// Which.
        what: String,
    },
    /// The events of a transaction do not make sense.
    #[error("the transaction's events are not understood: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// This server was a source, and its checkpoint says so (I8).
    #[error(
        "this server was source of epoch {epoch} from {position} on, and may have transactions that \
         the log has not: rejoining a former source comes later; rebuild it from a backup of \
         another server, then say where that stands with `plimsoll adopt --replica NAME --at \
         GTID|FILE:POS`"
    )]
    FormerSource {
        /// Of which epoch.
        epoch: String,
        /// Where that reign began in its binlog.
        position: String,
    },
    /// The server belongs to another cluster.
    #[error(
        "this server's checkpoint is of cluster {found}, the log is of {expected}: rebuild it from a \
         backup of a server of this cluster, then `plimsoll adopt --replica NAME --at GTID|FILE:POS`"
    )]
    OtherCluster {
        /// In the server.
        found: String,
        /// In the log.
        expected: String,
    },
    /// The server has data and no checkpoint: nobody knows where it stands.
    #[error(
        "this server has data ({example}) but no checkpoint: say where it stands with `plimsoll \
         adopt --replica NAME --at GTID|FILE:POS`, or empty it"
    )]
    Unplaced {
        /// One of its tables.
        example: String,
    },
    /// The log begins after what is needed next.
    #[error(
        "record {needed} is needed next and the log here begins at {first}: rebuild this server from a \
         backup that is not older than that, then `plimsoll adopt --replica NAME --at GTID|FILE:POS`"
    )]
    LogGone {
        /// Next record.
        needed: Lsn,
        /// First record in the log.
        first: Lsn,
    },
    /// Another session still applies, or holds what a lost one was doing.
    #[error("another session at this server is applying still; waiting for it to end")]
    Busy,
    /// An adoption of a replica that is applying.
    #[error(
        "this replica follows already and stands at record {lsn}, timestamp {timestamp}: it needs no \
         adoption. To place it elsewhere, stop its server, restore the backup, and adopt it then"
    )]
    Follows {
        /// The last applied record.
        lsn: Lsn,
        /// Its timestamp.
        timestamp: Timestamp,
    },
    /// A crash fell into something that leaves no trace by which to tell whether it was done.
    #[error(
        "a crash interrupted this transaction, which changes tables without transactions, and they \
         are not as they were before it: compare them with the source, finish it by hand, and move \
         this replica on with `plimsoll adopt`"
    )]
    Ambiguous,
    /// The intent does not belong to what comes next.
    #[error(
        "an unfinished step of record {intent} is noted in plimsoll.intent, but record {next} comes next"
    )]
    StrayIntent {
        /// Noted.
        intent: u64,
        /// Next.
        next: Lsn,
    },
    /// The checkpoint row was not there to be written.
    #[error(
        "the row of plimsoll.checkpoint is gone, or the server skipped the transaction (is its GTID in gtid_executed already?)"
    )]
    CheckpointLost,
    /// XA COMMIT of something that was never prepared in this log.
    #[error("XA transaction {xid} was prepared before this log (or this replica) began")]
    UnknownXa {
        /// Its id as the source writes it.
        xid: String,
    },
    /// A DDL failed at the source with an error that it does not fail with here.
    #[error("the statement failed at the source with error {expected} and here {found}")]
    ExpectedError {
        /// At the source.
        expected: u16,
        /// Here.
        found: String,
    },
    /// A row of our tables is not understood.
    #[error("plimsoll.{table} holds {found:?}, which is not understood")]
    BadRow {
        /// Which table.
        table: &'static str,
        /// What.
        found: String,
    },
    /// No record ends exactly there.
    #[error("no record of the log stands at {wanted}: {why}")]
    NoSuchPlace {
        /// What was asked for.
        wanted: String,
        /// What is there instead.
        why: String,
    },
    /// The place is neither GTIDs nor a position.
    #[error("{text:?} is neither a GTID set nor FILE:POS")]
    BadPlace {
        /// What was given.
        text: String,
    },
    /// The thread that reads the log ended without a word.
    #[error("the thread that reads the log ended")]
    ReaderGone,
}

/// The server's numbers that mean: rows or tables here are not as they were at the source. Unknown
/// database, table or column; it exists already; a duplicate or missing row; a foreign key or a check.
const DIFFERS: [u16; 20] = [
    1007, 1008, 1032, 1049, 1050, 1051, 1054, 1060, 1061, 1062, 1091, 1146, 1169, 1215, 1451, 1452,
    1535, 1677, 1755, 3819,
];

impl Error {
    /// What a supervisor does about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Server(error) => error.class(),
            Error::At { source, .. } => source.class(),
            // The session is in the middle of a transaction: a new one is clean.
            Error::Busy | Error::Joined { .. } => ErrorClass::Reconnect,
            // A cut of what is not committed, or a passing fault of the disk: read again.
            Error::Log(error) => match error.class() {
                wal::ErrorClass::Fatal => ErrorClass::Fatal,
                wal::ErrorClass::Retry | wal::ErrorClass::Reconnect => ErrorClass::Reconnect,
            },
            _ => ErrorClass::Fatal,
        }
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Server(error)
                if error.number().is_some_and(|number| DIFFERS.contains(&number)) =>
            {
                Code::REPLICA_DIFFERS
            }
            Error::Server(error) => error.code(),
            Error::Log(error) => of_log(error),
            Error::Binlog(error) => error.code(),
            Error::At { source, .. } | Error::Joined { source, .. } => source.code(),
            Error::EventTooLarge { .. } => Code::PACKET_TOO_SMALL,
            Error::StatementEvent { .. } => Code::STATEMENT_EVENT,
            Error::NotApplicable { .. } => Code::NOT_APPLICABLE,
            Error::Malformed { .. } => Code::TRANSACTION_MALFORMED,
            Error::FormerSource { .. } => Code::FORMER_SOURCE,
            Error::OtherCluster { .. } => Code::OTHER_CLUSTER,
            Error::Unplaced { .. } => Code::UNPLACED,
            Error::LogGone { .. } => Code::REPLICA_TOO_FAR_BEHIND,
            Error::Busy | Error::Follows { .. } => Code::APPLIER_BUSY,
            Error::Ambiguous => Code::AMBIGUOUS,
            Error::StrayIntent { .. } => Code::STRAY_INTENT,
            Error::CheckpointLost => Code::CHECKPOINT_LOST,
            Error::BadRow { .. } => Code::CHECKPOINT_UNREADABLE,
            Error::UnknownXa { .. } => Code::XA_UNKNOWN,
            Error::ExpectedError { .. } => Code::EXPECTED_ERROR,
            Error::NoSuchPlace { .. } | Error::BadPlace { .. } => Code::NO_SUCH_PLACE,
            Error::ReaderGone => Code::DEFECT,
        }
    }

    /// The same, with the record it happened at. What passes stays as it is.
    #[must_use]
    pub fn at(self, place: &Place) -> Error {
        match self {
            Error::At { .. } => self,
            source => Error::At { place: Box::new(place.clone()), source: Box::new(source) },
        }
    }
}

/// The epoch as text, for messages; 0 where none is known.
pub(super) fn epoch_text(epoch: Option<Epoch>) -> String {
    epoch.map_or("?".to_owned(), |epoch| epoch.to_string())
}
