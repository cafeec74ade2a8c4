//! The types of events, by number and name.

use std::fmt;

/// Type code of an event. Any number may come; those with a name are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKind(pub u8);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl EventKind {
            $($(#[$doc])* pub const $name: EventKind = EventKind($code);)*

            /// Every type that has a name, by number.
            pub const ALL: &[EventKind] = &[$(EventKind::$name),*];

            /// The servers' own name of the type; `None` if unknown.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Binlogs before MySQL 5.0.
    START_V3 = 1;
    /// A statement: BEGIN, COMMIT, DDL, SAVEPOINT, XA …, or DML in statement format.
    QUERY = 2;
    /// The server ended in order; last event of a file.
    STOP = 3;
    /// The next file; real at the end of a file, artificial at the start of a dump.
    ROTATE = 4;
    /// Value of LAST_INSERT_ID or AUTO_INCREMENT for the statement that follows.
    INTVAR = 5;
    /// LOAD DATA of old servers.
    LOAD = 6;
    /// Not written by anyone.
    SLAVE = 7;
    /// LOAD DATA of old servers.
    CREATE_FILE = 8;
    /// A piece of a LOAD DATA file.
    APPEND_BLOCK = 9;
    /// LOAD DATA of old servers.
    EXEC_LOAD = 10;
    /// End of a LOAD DATA file that is not to be loaded.
    DELETE_FILE = 11;
    /// LOAD DATA of old servers.
    NEW_LOAD = 12;
    /// Seeds of RAND() for the statement that follows.
    RAND = 13;
    /// A user variable for the statement that follows.
    USER_VAR = 14;
    /// How the events of this file are laid out.
    FORMAT_DESCRIPTION = 15;
    /// Commit of a transaction in a transactional engine.
    XID = 16;
    /// First piece of a LOAD DATA file, statement format.
    BEGIN_LOAD_QUERY = 17;
    /// A LOAD DATA statement, statement format.
    EXECUTE_LOAD_QUERY = 18;
    /// Names the table that rows events speak of.
    TABLE_MAP = 19;
    /// Rows of MySQL 5.1 betas.
    PRE_GA_WRITE_ROWS = 20;
    /// Rows of MySQL 5.1 betas.
    PRE_GA_UPDATE_ROWS = 21;
    /// Rows of MySQL 5.1 betas.
    PRE_GA_DELETE_ROWS = 22;
    /// Inserted rows; MariaDB's usual.
    WRITE_ROWS_V1 = 23;
    /// Updated rows; MariaDB's usual.
    UPDATE_ROWS_V1 = 24;
    /// Deleted rows; MariaDB's usual.
    DELETE_ROWS_V1 = 25;
    /// Something happened that the binlog does not show.
    INCIDENT = 26;
    /// Nothing happened; position of the dump.
    HEARTBEAT = 27;
    /// May be ignored by who does not know it.
    IGNORABLE = 28;
    /// The statement behind row events, as a comment (MySQL).
    ROWS_QUERY = 29;
    /// Inserted rows; MySQL's usual.
    WRITE_ROWS = 30;
    /// Updated rows; MySQL's usual.
    UPDATE_ROWS = 31;
    /// Deleted rows; MySQL's usual.
    DELETE_ROWS = 32;
    /// Start of a transaction with its GTID (MySQL).
    GTID = 33;
    /// Start of a transaction without a GTID (MySQL).
    ANONYMOUS_GTID = 34;
    /// GTIDs of all files before (MySQL).
    PREVIOUS_GTIDS = 35;
    /// Group replication's own.
    TRANSACTION_CONTEXT = 36;
    /// Group replication's own.
    VIEW_CHANGE = 37;
    /// XA PREPARE, or XA COMMIT ONE PHASE.
    XA_PREPARE = 38;
    /// Updated rows with JSON differences.
    PARTIAL_UPDATE_ROWS = 39;
    /// A whole transaction, compressed (MySQL).
    TRANSACTION_PAYLOAD = 40;
    /// Heartbeat with a 64-bit position (MySQL).
    HEARTBEAT_V2 = 41;
    /// Start of a transaction whose GTID has a tag (MySQL 8.3 and later).
    GTID_TAGGED = 42;
    /// The statement behind row events, as a comment (MariaDB).
    ANNOTATE_ROWS = 160;
    /// Oldest file that recovery needs (MariaDB).
    BINLOG_CHECKPOINT = 161;
    /// Start of a transaction, with its flags (MariaDB).
    MARIADB_GTID = 162;
    /// GTIDs of all files before (MariaDB).
    GTID_LIST = 163;
    /// The events that follow are encrypted in the file (MariaDB).
    START_ENCRYPTION = 164;
    /// QUERY, compressed (MariaDB).
    QUERY_COMPRESSED = 165;
    /// WRITE_ROWS_V1, compressed (MariaDB).
    WRITE_ROWS_COMPRESSED_V1 = 166;
    /// UPDATE_ROWS_V1, compressed (MariaDB).
    UPDATE_ROWS_COMPRESSED_V1 = 167;
    /// DELETE_ROWS_V1, compressed (MariaDB).
    DELETE_ROWS_COMPRESSED_V1 = 168;
    /// WRITE_ROWS, compressed (MariaDB).
    WRITE_ROWS_COMPRESSED = 169;
    /// UPDATE_ROWS, compressed (MariaDB).
    UPDATE_ROWS_COMPRESSED = 170;
    /// DELETE_ROWS, compressed (MariaDB).
    DELETE_ROWS_COMPRESSED = 171;
}

impl EventKind {
    /// Rows inserted, updated or deleted; also compressed and partial ones.
    pub const fn is_rows(self) -> bool {
        matches!(self.0, 23..=25 | 30..=32 | 39 | 166..=171)
    }

    /// Rows with a before and an after image.
    pub const fn is_update_rows(self) -> bool {
        matches!(self.0, 24 | 31 | 39 | 167 | 170)
    }

    /// Rows with a before image only.
    pub const fn is_delete_rows(self) -> bool {
        matches!(self.0, 25 | 32 | 168 | 171)
    }

    /// The first event of a transaction, on every server that is supported; it may give its name.
    pub const fn begins_transaction(self) -> bool {
        matches!(self.0, 33 | 34 | 42 | 162)
    }

    /// Parts of a change in statement format: what row-based applying cannot do.
    pub const fn is_statement_part(self) -> bool {
        matches!(self.0, 5 | 6 | 8..=14 | 17 | 18)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name().unwrap_or("unknown"), self.0)
    }
}
