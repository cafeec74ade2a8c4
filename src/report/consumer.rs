//! What agents and the coordinator say about named consumers of the change feed.

use serde::{Deserialize, Serialize};
use wal::Lsn;

use crate::cluster::ConsumerName;

/// A named consumer: how far it has acknowledged the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Its name.
    pub name: ConsumerName,
    /// It has everything up to this record, and needs everything behind; `None`: it needs all.
    pub acknowledged: Option<Lsn>,
    /// The token that it acknowledged; `None` before the first.
    pub token: Option<String>,
    /// When, by the coordinator's clock: microseconds since 1970 UTC. At first: when it was made.
    pub since: i64,
}

impl Consumer {
    /// The lowest record that it still needs.
    pub fn needs(&self) -> Lsn {
        self.acknowledged.map_or(Lsn::FIRST, Lsn::next)
    }
}

/// An agent's wish, on behalf of somebody at its HTTP. Answered by [`super::Reply::Consumers`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerAsk {
    /// All of them.
    List,
    /// This one; none if it is not there.
    Find {
        /// Whom.
        name: ConsumerName,
    },
    /// This one, made if it is not there.
    Open {
        /// Whom.
        name: ConsumerName,
        /// Where a new one begins: behind this record.
        behind: Option<Lsn>,
    },
    /// It has everything up to here. What lies before what it acknowledged already changes nothing.
    Acknowledge {
        /// Who.
        name: ConsumerName,
        /// The last record of it.
        lsn: Lsn,
        /// That record's token.
        token: String,
    },
    /// Nothing is kept for it any more.
    Remove {
        /// Whom.
        name: ConsumerName,
    },
}
