//! Opens the tail where the log ends, and proves that the binlog goes on from there (I17).

use std::time::Duration;

use bytes::Bytes;
use wal::{BinlogPosition, Transaction};

use super::Error;
use super::resume::{Known, Resume};
use crate::binlog::GtidSet;
use crate::config::{AgentServer, StartAt as ConfiguredStart};
use crate::server::{self, Session};
use crate::tail::{self, AckSender, DumpRefusal, StartAt, Tail, TailOptions, Tailed};

/// Reading the last logged transaction once more, or a piece of it.
const VERIFY: Duration = Duration::from_secs(60);

/// A server opens its binlog at a position within milliseconds.
const ANSWER_BEGINS: Duration = Duration::from_secs(1);

/// Where a dump starts, and what must come first.
#[derive(Debug, Clone)]
pub(super) struct From {
    pub start: StartAt,
    /// The first transaction that comes must be this one; it is in the log, and skipped.
    pub known: Option<Known>,
}

impl From {
    /// Behind `last`.
    pub fn behind(last: &Transaction) -> From {
        let known = Known::of(last);
        From { start: StartAt::Position(last.start.clone()), known: Some(known) }
    }
}

/// A server whose binlog goes on where the log ends.
pub(super) struct Proved {
    pub from: From,
    /// Where the log ends in this binlog.
    pub position: BinlogPosition,
    /// The raw event in force there.
    pub format_description: Bytes,
}

/// How the agent reads this server's binlog.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub server: AgentServer,
    /// The server's identity, for errors.
    pub uuid: String,
    /// This agent's name there as a replica.
    pub replica_uuid: String,
    /// The `server_id` in place of the configured one, once that one was found stuck.
    other_id: Option<u32>,
}

impl Reader {
    pub fn new(server: AgentServer, uuid: String, replica_uuid: String) -> Reader {
        Reader { server, uuid, replica_uuid, other_id: None }
    }

    /// Looks, as an ordinary replica, whether the binlog goes on where the log ends.
    ///
    /// Not as a semi-synchronous one: both families take the position that such a replica asks for as
    /// an ACK of everything before it ("let's assume this replica has already received all binlog
    /// events before"), and nothing of this reign is committed yet (I3; seen on both).
    ///
    /// # Errors
    /// The server cannot be reached, or its binlog does not go on there.
    pub async fn prove(
        &mut self,
        session: &mut Session,
        resume: &Resume,
        end: Option<BinlogPosition>,
    ) -> Result<Proved, Error> {
        let from = match resume {
            Resume::Behind { from, known: Some(known), .. } => {
                From { start: StartAt::Position(from.clone()), known: Some(known.clone()) }
            }
            // Nothing was read yet of what a GTID start leaves out: it must be left out again.
            Resume::Behind { known: None, .. }
                if matches!(self.server.start, ConfiguredStart::Gtid(_)) =>
            {
                From { start: first(&self.server, session, end).await?, known: None }
            }
            Resume::Behind { from, known: None, .. } => {
                From { start: StartAt::Position(from.clone()), known: None }
            }
            Resume::First => From { start: first(&self.server, session, end).await?, known: None },
        };
        let (tail, _) = self.connect(&from, false).await?;
        let position = match (resume, &from.start) {
            (Resume::Behind { end, .. }, _) => end.clone(),
            (Resume::First, StartAt::Position(position)) => position.clone(),
            (Resume::First, StartAt::Gtid(_)) => tail.position().clone(),
        };
        Ok(Proved { from, position, format_description: tail.format_description().clone() })
    }

    /// Connects as the semi-synchronous replica. Only when everything before `from` is released: the
    /// server takes this as its ACK.
    ///
    /// # Errors
    /// As [`Reader::prove`].
    pub async fn open(&mut self, from: &From) -> Result<(Tail, AckSender), Error> {
        self.connect(from, true).await
    }

    /// Connects under the configured `server_id`; where the server does not begin to answer, under
    /// another one from then on.
    ///
    /// MariaDB first ends the dump that an id had before, and waits for that. A dump that ended right
    /// after it had begun never ends there (10.11: its `Ack_receiver` overlooks a replica that came
    /// and went while it slept), until a semi-synchronous replica of another id comes.
    async fn connect(&mut self, from: &From, semi_sync: bool) -> Result<(Tail, AckSender), Error> {
        let mut connected = Box::pin(Tail::connect(self.options(from, semi_sync))).await;
        if is_stuck(&connected) && self.other_id.is_none() {
            let other = *self.other_id.insert(rand::random_range(1 << 31..=u32::MAX));
            tracing::info!(server_id = other, "the dump does not begin; trying another id");
            connected = Box::pin(Tail::connect(self.options(from, semi_sync))).await;
        }
        let Some(known) = &from.known else { return Ok(connected?) };
        let gone = |error: tail::Error| match is_gone(&error) {
            true => known.lost(&self.uuid, format!("the server says: {error}")),
            false => Error::Tail(error),
        };
        let (mut tail, ack) = connected.map_err(gone)?;
        let ends = || known.lost(&self.uuid, "its binlog ends before that".to_owned());
        let found = first_transaction(&mut tail).await.map_err(gone)?.ok_or_else(ends)?;
        match known.differs(&found) {
            Some(difference) => Err(known.lost(&self.uuid, difference)),
            None => Ok((tail, ack)),
        }
    }

    fn options(&self, from: &From, semi_sync: bool) -> TailOptions {
        let server = &self.server;
        let (connection, start) = (server.connection.clone(), from.start.clone());
        let id = self.other_id.unwrap_or(server.server_id);
        let mut options = TailOptions::new(connection, id, &self.replica_uuid, start);
        options.semi_sync = semi_sync;
        options.heartbeat = server.heartbeat;
        options.silence = (server.heartbeat * 5).max(options.silence);
        options.max_transaction_bytes =
            usize::try_from(server.max_transaction_bytes).unwrap_or(usize::MAX);
        // A GTID is searched for through the whole file.
        if self.other_id.is_none() && matches!(options.start, StartAt::Position(_)) {
            options.find_start = ANSWER_BEGINS;
        }
        options
    }
}

fn is_stuck<T>(connected: &Result<T, tail::Error>) -> bool {
    matches!(connected, Err(tail::Error::Deadline { after, .. }) if *after == ANSWER_BEGINS)
}

/// The server has no binlog at the place where the log ends.
fn is_gone(error: &tail::Error) -> bool {
    matches!(
        error.refusal(),
        Some(DumpRefusal::FileMissing | DumpRefusal::BeyondEnd | DumpRefusal::NotAnEvent)
    )
}

/// The first transaction that comes; `None` if the server says first that there is nothing more, or
/// says nothing for long.
async fn first_transaction(tail: &mut Tail) -> Result<Option<Transaction>, tail::Error> {
    loop {
        match tokio::time::timeout(VERIFY, tail.next()).await {
            Ok(tailed) => match tailed? {
                Tailed::Transaction(transaction, _) | Tailed::Pieced(transaction, _) => {
                    return Ok(Some(transaction));
                }
                Tailed::Heartbeat { .. } => return Ok(None),
                Tailed::Piece(_) | Tailed::FormatDescription { .. } | Tailed::Rotated(_) => {}
            },
            Err(_) => return Ok(None),
        }
    }
}

/// Where the very first shipper of a cluster starts.
async fn first(
    server: &AgentServer,
    session: &mut Session,
    end: Option<BinlogPosition>,
) -> Result<StartAt, Error> {
    Ok(match &server.start {
        ConfiguredStart::Current => StartAt::Position(match end {
            Some(end) => end,
            None => server::binlog_end(session).await?,
        }),
        ConfiguredStart::Earliest => {
            let file = server::first_binlog_file(session).await?;
            StartAt::Position(BinlogPosition::new(file, BinlogPosition::FIRST_OFFSET))
        }
        ConfiguredStart::Position(position) => StartAt::Position(position.clone()),
        ConfiguredStart::Gtid(text) => StartAt::Gtid(text.parse::<GtidSet>()?),
    })
}
