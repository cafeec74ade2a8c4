//! What was seen of one server. Plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::server::{Family, Variables};

/// What the server is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes writes; its binlog is shipped.
    Source,
    /// Its agent applies.
    Replica,
}

/// A server as its settings and sessions show it: what an agent looks at before each reign.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it is to be.
    pub role: Role,
    /// Family.
    pub family: Family,
    /// `@@version`.
    pub version: String,
    /// Running values.
    pub variables: Variables,
    /// Status counters of semi-sync.
    pub status: Variables,
    /// By variable, what a restart of the server makes of it.
    pub after_restart: BTreeMap<String, AfterRestart>,
    /// Sessions that read the binlog.
    pub readers: Vec<Reader>,
    /// How many acknowledging replicas are ours (0 or 1).
    pub own_clients: u32,
}

/// A variable's value after the server's next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterRestart {
    /// This value: it is persisted, in an option file, on the command line or built in.
    Value(String),
    /// It was set at run time, and what the option file says cannot be seen from here.
    Unknown,
}

/// A session that reads the server's binlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Its account's name.
    pub user: String,
    /// From where, with the port.
    pub host: String,
    /// It logged in as our account.
    pub ours: bool,
}

/// What only `plimsoll doctor` looks at, because it takes time.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Who we are there.
    pub account: Account,
    /// The port that is configured for when all connections are in use.
    pub fallback_port: Option<u16>,
    /// Base tables without a primary key.
    pub without_key: Listing,
    /// Base tables of an engine without transactions.
    pub not_transactional: Listing,
    /// Enabled events of definers whom `read_only` does not stop.
    pub privileged_events: Listing,
    /// Accounts, besides ours and the server's own, whom `read_only` does not stop.
    pub writers: Listing,
    /// Native replication that runs at this server: where from. `None`: we may not ask.
    pub native_sources: Option<Listing>,
}

/// Our account and what it may, also through the roles that a session of ours has.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// As the server quotes it: `'user'@'host'`.
    pub grantee: String,
    /// Privileges on `*.*`, upper case.
    pub global: Vec<String>,
    /// Privileges on `plimsoll.*`, upper case.
    pub schema: Vec<String>,
    /// It may grant them.
    pub grant_option: bool,
}

impl Account {
    /// Whether it has this privilege on `*.*`.
    pub fn may(&self, privilege: &str) -> bool {
        has(&self.global, privilege)
    }

    /// Whether it has this privilege on `plimsoll.*`.
    pub fn may_here(&self, privilege: &str) -> bool {
        has(&self.global, privilege) || has(&self.schema, privilege)
    }
}

fn has(privileges: &[String], wanted: &str) -> bool {
    privileges.iter().any(|privilege| privilege == wanted || privilege == ALL)
}

/// As MariaDB shows all of them.
const ALL: &str = "ALL PRIVILEGES";

/// How many there are, and the names of the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// All of them.
    pub count: usize,
    /// The first, by name.
    pub first: Vec<String>,
}

/// Names that are shown of a [`Listing`].
const SHOWN: usize = 10;

impl Listing {
    /// Of all names.
    pub fn of(names: Vec<String>) -> Listing {
        let count = names.len();
        Listing { count, first: names.into_iter().take(SHOWN).collect() }
    }

    /// `3: a, b, c`
    pub fn text(&self) -> String {
        let more = if self.count > self.first.len() { ", …" } else { "" };
        format!("{}: {}{more}", self.count, self.first.join(", "))
    }
}
