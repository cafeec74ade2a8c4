//! What the operator's verb and an agent say to each other: JSON over the agent's HTTP.

use std::fmt;

use serde::{Deserialize, Serialize};
use wal::Lsn;

use super::key::{Key, KeyColumn, Range};
use crate::explain::Code;

/// One request of a verification. Each one renews its lease at the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The verification: random, made by who runs it.
    pub id: String,
    /// What is asked.
    #[serde(flatten)]
    pub ask: Ask,
}

/// What can be asked of an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Ask {
    /// A replica: apply nothing more for now. Begins a verification. Answer: [`Held`].
    Hold,
    /// The source: a snapshot whose place in the log is known, at or after `behind`. Begins a
    /// verification. Answer: [`Snapshot`].
    SourceSnapshot {
        /// The last record that any replica may have applied already.
        behind: Option<Lsn>,
    },
    /// A replica: apply up to `at`, open a snapshot there, go on applying. Answer: [`Snapshot`].
    ReplicaSnapshot {
        /// The record that the source's snapshot shows.
        at: Lsn,
        /// How long the replica may take to come there.
        wait_seconds: u64,
    },
    /// What exists. Answer: [`Catalog`].
    Catalog,
    /// The digest of a key range, or of its first `rows` rows. Answer: [`Chunk`].
    Chunk {
        /// Of the catalog.
        table: TableName,
        /// Which rows.
        range: Range,
        /// At most so many of them.
        rows: Option<u64>,
    },
    /// The rows of a small key range, each column digested by itself. Answer: [`Rows`].
    Rows {
        /// Of the catalog.
        table: TableName,
        /// Which rows.
        range: Range,
    },
    /// Keeps the lease. Answer: [`Nothing`].
    Renew,
    /// Gives everything back. Answer: [`Nothing`].
    End,
}

/// An answer without content.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Nothing {}

/// An applier is held.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Held {
    /// It applies nothing behind this record; it may not have come there yet.
    pub at: Option<Lsn>,
}

/// A snapshot is open.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Snapshot {
    /// It shows every transaction up to this record, and none behind it.
    pub at: Lsn,
}

/// Why an agent did not do what was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// For a person.
    pub error: String,
    /// What `plimsoll explain` knows it under.
    pub code: Code,
    /// A new snapshot may succeed: what was read changed behind this one.
    #[serde(default)]
    pub again: bool,
}

/// A table's full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// Its database.
    pub schema: String,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What exists at a server, system schemas and `plimsoll` left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// Everything that has a definition, tables too.
    pub objects: Vec<Object>,
    /// The tables, in the order of their names.
    pub tables: Vec<Table>,
}

/// Something with a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its full name.
    pub name: String,
    /// Its definition, without what may differ (counters of AUTO_INCREMENT, whether an event runs).
    pub definition: String,
}

/// Kinds of [`Object`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A schema.
    Database,
    /// A table.
    Table,
    /// MariaDB's.
    Sequence,
    /// A view.
    View,
    /// A procedure, function or package.
    Routine,
    /// A trigger.
    Trigger,
    /// An event of the scheduler.
    Event,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ObjectKind::Database => "database",
            ObjectKind::Table => "table",
            ObjectKind::Sequence => "sequence",
            ObjectKind::View => "view",
            ObjectKind::Routine => "routine",
            ObjectKind::Trigger => "trigger",
            ObjectKind::Event => "event",
        })
    }
}

/// A table whose rows can be digested.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// The server's estimate of its rows.
    pub estimate: u64,
    /// The columns of a unique key that gives chunks; empty where there is none, or none that does.
    pub key: Vec<KeyColumn>,
    /// The key is the primary one.
    pub primary: bool,
    /// The columns that are digested, also invisible ones.
    pub columns: Vec<Column>,
    /// Its engine reads from the snapshot.
    pub transactional: bool,
    /// Former rows are kept (system versioning), and digested too.
    pub versioned: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type's name, in small letters.
    pub data_type: String,
    /// Most bytes of a character or binary string.
    pub octets: Option<u64>,
}

/// A digested range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its rows.
    pub rows: u64,
    /// Equal for equal rows.
    pub digest: String,
    /// The last key, where a limit cut the range short.
    pub through: Option<Key>,
}

/// The rows of a range, as far as they were asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rows {
    /// In the order of their keys.
    pub rows: Vec<RowPrint>,
}

/// A row: its key in the clear, its columns digested, in the catalog's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowPrint {
    /// The key.
    pub key: Key,
    /// A digest of each column.
    pub columns: Vec<String>,
}
