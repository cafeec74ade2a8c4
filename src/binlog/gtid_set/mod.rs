//! Sets of transactions, as each family counts them.
//!
//! MySQL: intervals per server uuid and tag. MariaDB: the last GTID of each domain. Both are read and
//! written as the servers' own text. What cannot be said here: a MariaDB domain with holes.

mod mariadb;
mod mysql;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use mariadb::MariadbGtidList;
pub use mysql::{Interval, MysqlGtidSet};
use wal::Gtid;

/// A set of either family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GtidSet {
    /// `uuid[:tag]:1-5:7,…`
    Mysql(MysqlGtidSet),
    /// `domain-server-sequence,…`
    Mariadb(MariadbGtidList),
}

impl GtidSet {
    /// No transaction at all.
    pub fn is_empty(&self) -> bool {
        match self {
            GtidSet::Mysql(set) => set.is_empty(),
            GtidSet::Mariadb(list) => list.is_empty(),
        }
    }

    /// `true` if `gtid` is in it; never for a GTID of the other family.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match self {
            GtidSet::Mysql(set) => set.contains(gtid),
            GtidSet::Mariadb(list) => list.contains(gtid),
        }
    }

    /// Whether `other` has everything that this one has; never across the families, unless this one is
    /// empty.
    pub fn is_within(&self, other: &GtidSet) -> bool {
        match (self, other) {
            (GtidSet::Mysql(set), GtidSet::Mysql(other)) => set.is_subset(other),
            (GtidSet::Mariadb(list), GtidSet::Mariadb(other)) => list.is_subset(other),
            _ => self.is_empty(),
        }
    }

    /// Adds `gtid`; on MariaDB everything before it in its domain too. `false` if it is of the other
    /// family, and nothing was added.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        match self {
            GtidSet::Mysql(set) => set.add(gtid),
            GtidSet::Mariadb(list) => list.add(gtid),
        }
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GtidSet::Mysql(set) => set.fmt(f),
            GtidSet::Mariadb(list) => list.fmt(f),
        }
    }
}

impl FromStr for GtidSet {
    type Err = BadGtidSet;

    /// The empty text is MySQL's empty set, which stands for "nothing" on either family.
    fn from_str(text: &str) -> Result<GtidSet, BadGtidSet> {
        if text.contains(':') || text.trim().is_empty() {
            text.parse().map(GtidSet::Mysql)
        } else {
            text.parse().map(GtidSet::Mariadb)
        }
    }
}

/// A text that is no set of either family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither uuid[:tag]:1-5,… nor domain-server-sequence,…")]
pub struct BadGtidSet(String);
