//! One agent, as a verification speaks to it.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::explain::Code;
use crate::verify::{
    Ask, Chunk, Nothing, Range, Reader, Refusal, Request, RowPrint, Rows, TableName,
};

/// A digest of a large table without a key is one request.
const WITHIN: Duration = Duration::from_secs(3600 + 60);
const CONNECT: Duration = Duration::from_secs(5);

/// A catalog of many tables is long; nothing else is.
const ANSWER_MAX: u64 = 256 << 20;

/// An agent and its server.
#[derive(Clone)]
pub(super) struct Member {
    pub name: String,
    http: String,
    id: String,
    client: ureq::Agent,
}

/// Why it did not do what was asked.
pub(super) type Failure = Refusal;

impl Member {
    pub fn new(name: String, http: String, id: String) -> Member {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(WITHIN))
            .timeout_connect(Some(CONNECT))
            .http_status_as_error(false)
            .build();
        Member { name, http, id, client: config.into() }
    }

    pub fn ask<A: DeserializeOwned>(&self, ask: Ask) -> Result<A, Failure> {
        let lost = |error: ureq::Error| Refusal {
            error: format!("the agent of {} at {}: {error}", self.name, self.http),
            code: Code::PEER_UNREACHABLE,
            again: false,
        };
        let request = Request { id: self.id.clone(), ask };
        let url = format!("http://{}/v1/verify", self.http);
        let mut answer = self.client.post(url).send_json(request).map_err(lost)?;
        let body = answer.body_mut().with_config().limit(ANSWER_MAX);
        let text = body.read_to_string().map_err(lost)?;
        if !answer.status().is_success() {
            let refusal = serde_json::from_str::<Refusal>(&text).unwrap_or_else(|_| Refusal {
                error: format!("{}: {text}", answer.status()),
                code: Code::VERIFY_NOT_PROVEN,
                again: false,
            });
            return Err(refusal);
        }
        serde_json::from_str(&text).map_err(|error| Refusal {
            error: format!("what the agent of {} answers is not understood: {error}", self.name),
            code: Code::VERIFY_NOT_PROVEN,
            again: false,
        })
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
