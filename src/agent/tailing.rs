//! Opens the tail where the log ends, and proves that the binlog goes on from there (I17).

use std::time::Duration;

use wal::{BinlogPosition, Transaction};

use super::Error;
use super::resume::{Known, Resume};
use crate::binlog::GtidSet;
use crate::config::{AgentServer, StartAt as ConfiguredStart};
use crate::server::{self, Session};
use crate::tail::{self, AckSender, DumpRefusal, StartAt, Tail, TailOptions, Tailed};

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
    replica_uuid: &str,
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
    let mut options =
        TailOptions::new(server.connection.clone(), server.server_id, replica_uuid, start);
    options.heartbeat = server.heartbeat;
    options.silence = (server.heartbeat * 5).max(options.silence);
    options.max_transaction_bytes =
        usize::try_from(server.max_transaction_bytes).unwrap_or(usize::MAX);
    let (mut tail, ack) = match (Box::pin(Tail::connect(options)).await, known) {
        (Err(error), Some(known)) if is_gone(&error) => return Err(lost(known, uuid, &error)),
        (opened, _) => opened?,
    };
    if let Some(known) = known {
        let found = match tokio::time::timeout(VERIFY, first_transaction(&mut tail)).await {
            Ok(Err(Error::Tail(error))) if is_gone(&error) => {
                return Err(lost(known, uuid, &error));
            }
            Ok(found) => found?,
            // The server sends nothing: its binlog ends before that transaction does.
            Err(_) => return Err(known.lost(uuid, "its binlog ends before that".to_owned())),
        };
        if let Some(difference) = found
            .as_ref()
            .map_or(Some("its binlog ends before that".to_owned()), |found| known.differs(found))
        {
            return Err(known.lost(uuid, difference));
        }
    }
    let position = position.unwrap_or_else(|| tail.position().clone());
    Ok(Opened { tail, ack, position })
}

/// The server has no binlog at the place where the log ends.
fn is_gone(error: &tail::Error) -> bool {
    matches!(
        error.refusal(),
        Some(DumpRefusal::FileMissing | DumpRefusal::BeyondEnd | DumpRefusal::NotAnEvent)
    )
}

fn lost(known: &Known, uuid: &str, error: &tail::Error) -> Error {
    known.lost(uuid, format!("the server says: {error}"))
}

/// The first transaction that comes; `None` if the server says first that there is nothing more.
async fn first_transaction(tail: &mut Tail) -> Result<Option<Transaction>, Error> {
    loop {
        match tail.next().await? {
            Tailed::Transaction(transaction, _) => return Ok(Some(transaction)),
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
        ConfiguredStart::Gtid(text) => StartAt::Gtid(text.parse::<GtidSet>()?),
    })
}
