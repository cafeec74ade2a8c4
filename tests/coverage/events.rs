//! Every type of event that `src/binlog/kind.rs` knows, and what becomes of it.

use plimsoll::binlog::EventKind;

use crate::support::Family;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// What it changes is changed at the replicas.
    Applied,
    /// In the log as it came; the replicas' servers need nothing of it.
    Whole,
    /// Read and checked at the source; it changes no data.
    Checked,
    /// The replicas stop with this in their alarm.
    Stops(&'static str),
    /// The whole stream stops with this.
    StopsStream(&'static str),
    /// A server of this family does not write it.
    Never,
}

pub struct Row {
    pub kind: EventKind,
    pub mariadb: Fate,
    pub mysql: Fate,
    /// Where it is shown, if not by a case.
    pub elsewhere: &'static str,
}

impl Row {
    pub fn fate(&self, family: Family) -> Fate {
        match family {
            Family::Mariadb => self.mariadb,
            Family::Mysql => self.mysql,
        }
    }

    const fn shown_in(self, elsewhere: &'static str) -> Row {
        Row { elsewhere, ..self }
    }
}

const fn row(kind: EventKind, mariadb: Fate, mysql: Fate) -> Row {
    Row { kind, mariadb, mysql, elsewhere: "" }
}

const STATEMENT: Fate = Fate::Stops("PLM503");

/// Of servers of old, of Group Replication, or of nobody; `tests` has each made, and refused.
const fn foreign(kind: EventKind) -> Row {
    row(kind, Fate::Never, Fate::Never).shown_in("refused_by_name")
}

pub const ROWS: &[Row] = {
    use Fate::{Applied, Checked, Never, StopsStream, Whole};
    &[
        foreign(EventKind::START_V3),
        row(EventKind::QUERY, Applied, Applied),
        row(EventKind::STOP, Checked, Checked).shown_in("an_orderly_restart"),
        row(EventKind::ROTATE, Checked, Checked),
        row(EventKind::INTVAR, STATEMENT, STATEMENT),
        foreign(EventKind::LOAD),
        foreign(EventKind::SLAVE),
        foreign(EventKind::CREATE_FILE),
        row(EventKind::APPEND_BLOCK, STATEMENT, STATEMENT),
        foreign(EventKind::EXEC_LOAD),
        foreign(EventKind::DELETE_FILE),
        foreign(EventKind::NEW_LOAD),
        row(EventKind::RAND, STATEMENT, STATEMENT),
        row(EventKind::USER_VAR, STATEMENT, STATEMENT),
        row(EventKind::FORMAT_DESCRIPTION, Checked, Checked),
        row(EventKind::XID, Applied, Applied),
        row(EventKind::BEGIN_LOAD_QUERY, STATEMENT, STATEMENT),
        row(EventKind::EXECUTE_LOAD_QUERY, STATEMENT, STATEMENT),
        row(EventKind::TABLE_MAP, Applied, Applied),
        foreign(EventKind::PRE_GA_WRITE_ROWS),
        foreign(EventKind::PRE_GA_UPDATE_ROWS),
        foreign(EventKind::PRE_GA_DELETE_ROWS),
        row(EventKind::WRITE_ROWS_V1, Applied, Never),
        row(EventKind::UPDATE_ROWS_V1, Applied, Never),
        row(EventKind::DELETE_ROWS_V1, Applied, Never),
        row(
            EventKind::INCIDENT,
            StopsStream("the server lost events here"),
            StopsStream("the server lost events here"),
        )
        .shown_in("refused_by_name"),
        row(EventKind::HEARTBEAT, Checked, Never).shown_in("the_replication_client"),
        foreign(EventKind::IGNORABLE),
        row(EventKind::ROWS_QUERY, Never, Whole),
        row(EventKind::WRITE_ROWS, Never, Applied),
        row(EventKind::UPDATE_ROWS, Never, Applied),
        row(EventKind::DELETE_ROWS, Never, Applied),
        row(EventKind::GTID, Never, Applied),
        row(EventKind::ANONYMOUS_GTID, Never, Applied),
        row(EventKind::PREVIOUS_GTIDS, Never, Checked),
        foreign(EventKind::TRANSACTION_CONTEXT),
        foreign(EventKind::VIEW_CHANGE),
        row(EventKind::XA_PREPARE, Applied, Applied),
        row(EventKind::PARTIAL_UPDATE_ROWS, Never, Applied),
        row(EventKind::TRANSACTION_PAYLOAD, Never, Applied),
        row(EventKind::HEARTBEAT_V2, Never, Checked).shown_in("the_replication_client"),
        row(EventKind::GTID_TAGGED, Never, Applied),
        row(EventKind::ANNOTATE_ROWS, Whole, Never),
        row(EventKind::BINLOG_CHECKPOINT, Checked, Never),
        row(EventKind::MARIADB_GTID, Applied, Never),
        row(EventKind::GTID_LIST, Checked, Never),
        row(EventKind::START_ENCRYPTION, Checked, Never).shown_in("an_orderly_restart"),
        row(EventKind::QUERY_COMPRESSED, Applied, Never),
        row(EventKind::WRITE_ROWS_COMPRESSED_V1, Applied, Never),
        row(EventKind::UPDATE_ROWS_COMPRESSED_V1, Applied, Never),
        row(EventKind::DELETE_ROWS_COMPRESSED_V1, Applied, Never),
        row(EventKind::WRITE_ROWS_COMPRESSED, Never, Never),
        row(EventKind::UPDATE_ROWS_COMPRESSED, Never, Never),
        row(EventKind::DELETE_ROWS_COMPRESSED, Never, Never),
    ]
};
