//! MariaDB: the last GTID of each replication domain.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use wal::Gtid;

use super::BadGtidSet;

/// `0-1-100,1-2-7`: everything up to these has happened, domain by domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MariadbGtidList {
    /// Domain to (server, sequence).
    last: BTreeMap<u32, (u32, u64)>,
}

impl MariadbGtidList {
    /// Nothing has happened.
    pub fn new() -> MariadbGtidList {
        MariadbGtidList::default()
    }

    /// No domain at all.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// The last GTID of `domain`.
    pub fn last(&self, domain: u32) -> Option<Gtid> {
        let &(server, sequence) = self.last.get(&domain)?;
        Some(Gtid::Mariadb { domain, server, sequence })
    }

    /// `true` if the domain's last sequence number reaches `gtid`.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match gtid {
            Gtid::Mariadb { domain, sequence, .. } => {
                self.last.get(domain).is_some_and(|&(_, last)| last >= *sequence)
            }
            Gtid::Mysql { .. } => false,
        }
    }

    /// Raises the domain's last GTID; never lowers it. `false` for a MySQL GTID.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        let &Gtid::Mariadb { domain, server, sequence } = gtid else {
            return false;
        };
        let last = self.last.entry(domain).or_insert((server, sequence));
        if last.1 < sequence {
            *last = (server, sequence);
        }
        true
    }

    /// Both: the later one of each domain.
    #[must_use]
    pub fn union(&self, other: &MariadbGtidList) -> MariadbGtidList {
        let mut union = self.clone();
        for gtid in other.iter() {
            union.add(&gtid);
        }
        union
    }

    /// Every domain of `self` is as far, or further, in `other`.
    pub fn is_subset(&self, other: &MariadbGtidList) -> bool {
        self.iter().all(|gtid| other.contains(&gtid))
    }

    /// The last GTIDs, by domain.
    pub fn iter(&self) -> impl Iterator<Item = Gtid> + '_ {
        self.last.iter().map(|(&domain, &(server, sequence))| Gtid::Mariadb {
            domain,
            server,
            sequence,
        })
    }
}

impl fmt::Display for MariadbGtidList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, gtid) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            gtid.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for MariadbGtidList {
    type Err = BadGtidSet;

    fn from_str(text: &str) -> Result<MariadbGtidList, BadGtidSet> {
        let bad = || BadGtidSet(text.to_owned());
        let mut list = MariadbGtidList::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let gtid: Gtid = part.parse().map_err(|_| bad())?;
            if !list.add(&gtid) {
                return Err(bad());
            }
        }
        Ok(list)
    }
}
