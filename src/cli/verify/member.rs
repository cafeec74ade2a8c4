//! One agent, as a verification speaks to it.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::cluster::causes;
use crate::explain::Code;
use crate::http::{Answer, Client};
use crate::verify::{
    Ask, Chunk, Nothing, Range, Reader, Refusal, Request, RowPrint, Rows, TableName,
};

/// A digest of a large table without a key is one request.
pub(super) const WITHIN: Duration = Duration::from_secs(3600 + 60);

/// What an agent answers out of its memory: one that does not hangs. Far less than a lease, so that
/// nobody else's runs out meanwhile.
const AT_ONCE: Duration = Duration::from_secs(4);

/// To hold an applier, it stops within seconds; to find a source's moment, it tries for some minutes
/// at most. Beyond what the question itself says.
const SOON: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_secs(300);

/// An agent and its server.
#[derive(Clone)]
pub(super) struct Member {
    pub name: String,
    http: String,
    id: String,
    client: Arc<Client>,
}

/// Why it did not do what was asked.
pub(super) type Failure = Refusal;

impl Member {
    pub fn new(name: String, http: String, id: String, client: Arc<Client>) -> Member {
        Member { name, http, id, client }
    }

    pub fn ask<A: DeserializeOwned>(&self, ask: Ask) -> Result<A, Failure> {
        let request = Request { id: self.id.clone(), ask };
        let within = within(&request.ask);
        let posted = self.client.post_within(&self.http, "/v1/verify", Some(&request), within);
        let Answer { status, text } = posted.map_err(|error| Refusal {
            error: format!("the agent of {}: {}", self.name, causes(&error)),
            code: Code::PEER_UNREACHABLE,
            again: false,
        })?;
        let not_understood = |error: String| Refusal {
            error: format!("what the agent of {} answers is not understood: {error}", self.name),
            code: Code::VERIFY_NOT_PROVEN,
            again: false,
        };
        if !(200..300).contains(&status) {
            let refusal = serde_json::from_str::<Refusal>(&text);
            return Err(refusal.unwrap_or_else(|_| not_understood(format!("{status}: {text}"))));
        }
        serde_json::from_str(&text).map_err(|error| not_understood(error.to_string()))
    }

    /// Keeps what it holds for this verification.
    pub fn renew(&self) {
        // If that is over, the next question says so.
        let _ = self.ask::<Nothing>(Ask::Renew);
    }

    /// Has it give everything back.
    pub fn end(&self) {
        // Its lease ends by itself too.
        let _ = self.ask::<Nothing>(Ask::End);
    }

    /// One of its tables.
    pub fn table<'a>(&'a self, table: &'a TableName) -> TableAt<'a> {
        TableAt { member: self, table }
    }
}

/// An agent that has not answered by then hangs.
fn within(ask: &Ask) -> Duration {
    match ask {
        Ask::Renew | Ask::End => AT_ONCE,
        Ask::Hold => SOON,
        Ask::SourceSnapshot { .. } => MOMENT,
        Ask::ReplicaSnapshot { wait_seconds, .. } => Duration::from_secs(*wait_seconds) + SOON,
        Ask::Catalog | Ask::Chunk { .. } | Ask::Rows { .. } => WITHIN,
    }
}

/// A table at one server.
pub(super) struct TableAt<'a> {
    member: &'a Member,
    table: &'a TableName,
}

impl Reader for TableAt<'_> {
    type Error = Failure;

    fn chunk(&mut self, range: &Range, rows: Option<u64>) -> Result<Chunk, Failure> {
        let (table, range) = (self.table.clone(), range.clone());
        self.member.ask(Ask::Chunk { table, range, rows })
    }

    fn rows(&mut self, range: &Range) -> Result<Vec<RowPrint>, Failure> {
        let (table, range) = (self.table.clone(), range.clone());
        let Rows { rows } = self.member.ask(Ask::Rows { table, range })?;
        Ok(rows)
    }
}
