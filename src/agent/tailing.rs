//! Opens the tail where the log ends, and proves that the binlog goes on from there (I17).

use std::time::Duration;

use wal::{BinlogPosition, Transaction};

use super::Error;
use super::resume::{Known, Resume};
use crate::binlog::GtidSet;
use crate::config::{AgentServer, StartAt as ConfiguredStart};
use crate::server::{self, Session};
use crate::tail::{AckSender, StartAt, Tail, TailOptions, Tailed};

/// Reading the last logged transaction once more.
const VERIFY: Duration = Duration::from_secs(60);

/// A tail that stands exactly behind the log.
pub(super) struct Opened {
    pub tail: Tail,
    pub ack: AckSender,
    /// Where it stands.
    pub position: BinlogPosition,
}

/// Connects as a semi-synchronous replica. Whatever the log has is skipped.
///
/// # Errors
/// The server cannot be reached, or its binlog does not go on where the log ends.
pub(super) async fn open(
    server: &AgentServer,
    session: &mut Session,
    uuid: &str,
    resume: &Resume,
) -> Result<Opened, Error> {
    let (start, known, position) = match resume {
        Resume::First => {
            let start = first(server, session).await?;
            let position = match &start {
                StartAt::Position(position) => Some(position.clone()),
                StartAt::Gtid(_) => None,
            };
            (start, None, position)
        }
        Resume::Behind { from, known, end } => {
            (StartAt::Position(from.clone()), known.as_ref(), Some(end.clone()))
        }
    };
    let options = TailOptions {
        server: server.connection.clone(),
        server_id: server.server_id,
        start,
        semi_sync: true,
        heartbeat: server.heartbeat,
        max_transaction_bytes: usize::try_from(server.max_transaction_bytes).unwrap_or(usize::MAX),
    };
    let (mut tail, ack) = match Tail::connect(options).await {
        Err(error) if known.is_some() && error.binlog_is_gone() => {
            return Err(lost(known, uuid, format!("the server says: {error}")));
        }
        opened => opened?,
    };
    if let Some(known) = known {
        let found = match tokio::time::timeout(VERIFY, first_transaction(&mut tail)).await {
            Ok(Err(Error::Tail(error))) if error.binlog_is_gone() => {
                return Err(lost(Some(known), uuid, format!("the server says: {error}")));
            }
            Ok(found) => found?,
            // The server sends nothing: its binlog ends before that transaction does.
            Err(_) => return Err(known.lost(uuid, "its binlog ends before that".to_owned())),
        };
        if let Some(difference) = found.as_ref().map_or(
            Some("its binlog ends before that".to_owned()),
            |found| known.differs(found),
        ) {
            return Err(known.lost(uuid, difference));
        }
    }
    let position = position.unwrap_or_else(|| tail.position().clone());
    Ok(Opened { tail, ack, position })
}

fn lost(known: Option<&Known>, uuid: &str, found: String) -> Error {
    match known {
        Some(known) => known.lost(uuid, found),
        None => Error::RoleTask,
    }
}

/// The first transaction that comes; `None` if the server says first that there is nothing more.
async fn first_transaction(tail: &mut Tail) -> Result<Option<Transaction>, Error> {
    loop {
        match tail.next().await? {
            Tailed::Transaction { transaction, .. } => return Ok(Some(transaction)),
            Tailed::Heartbeat { .. } => return Ok(None),
            Tailed::FormatDescription { .. } | Tailed::Rotated(_) => {}
        }
    }
}

/// Where the very first shipper of a cluster starts.
async fn first(server: &AgentServer, session: &mut Session) -> Result<StartAt, Error> {
    Ok(match &server.start {
        ConfiguredStart::Current => StartAt::Position(server::binlog_end(session).await?),
        ConfiguredStart::Earliest => {
            let file = server::first_binlog_file(session).await?;
            StartAt::Position(BinlogPosition::new(file, BinlogPosition::FIRST_OFFSET))
        }
        ConfiguredStart::Position(position) => StartAt::Position(position.clone()),
        ConfiguredStart::Gtid(text) => {
            StartAt::Gtid(text.parse::<GtidSet>()?)
        }
    })
}
