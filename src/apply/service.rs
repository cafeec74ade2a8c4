//! The applier as a service: sessions one after another, until stopped or stuck.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wal::{LogReader, Lsn, Timestamp};

use super::Error;
use super::schedule::{Limits, Mark};
use super::worker::{Parts, Standing};
use crate::cluster::{ErrorClass, MemberName};
use crate::config::ServerConfig;
use crate::explain::Coded;

/// First pause before a new session; doubles up to [`PAUSE_MAX`], and half of it is random, so that
/// replicas of one source do not come back in step.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What an applier is told.
#[derive(Debug, Clone)]
pub struct ApplierOptions {
    /// This member, for the checkpoint.
    pub member: MemberName,
    /// The server to apply to.
    pub server: ServerConfig,
    /// The server writes its own binlog, under the source's GTIDs; one server transaction each.
    /// Default: false, its binlog does not know what was applied.
    pub replica_binlog: bool,
    /// How much one server transaction may hold.
    pub limits: Limits,
}

/// How far a replica's server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The last record applied: durable at the server up to the last transaction, in memory beyond
    /// (control records). `None`: nothing yet, or not known yet.
    pub lsn: Option<Lsn>,
    /// Its timestamp: everything up to it is readable here.
    pub timestamp: Option<Timestamp>,
    /// Whether it goes on.
    pub state: ApplierState,
}

impl Applied {
    /// Before anything is known.
    pub fn unknown() -> Applied {
        Applied { lsn: None, timestamp: None, state: ApplierState::Running }
    }
}

/// Whether an applier goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplierState {
    /// It does.
    Running,
    /// The server is away, or held up; it tries again by itself.
    Retrying(Coded),
    /// It does not: a person must act, as the text says.
    Stopped(Coded),
}

/// How [`Applier::run`] ended.
#[derive(Debug)]
pub enum Exit {
    /// As asked.
    Stopped,
    /// It cannot go on by itself. The watch says the same.
    Failed(Error),
}

/// The applier of one replica.
pub struct Applier {
    parts: Parts,
    applied: watch::Sender<Applied>,
}

impl Applier {
    /// `visible` is the last record that may be applied: committed, and flushed and matched here
    /// (I4, I15). `applied` hears of every step.
    pub fn new(
        options: ApplierOptions,
        reader: LogReader,
        visible: watch::Receiver<Option<Lsn>>,
        applied: watch::Sender<Applied>,
    ) -> Applier {
        Applier { parts: Parts { options, reader, visible }, applied }
    }

    /// Applies until `cancel`. A statement that is under way is then abandoned; the server ends it,
    /// whole or not at all, and the next start finds out which (I8).
    pub async fn run(self, cancel: CancellationToken) -> Exit {
        let mut pause = PAUSE;
        // Up to here one by one: the server refused them together.
        let mut singly = None;
        loop {
            let before = self.applied.borrow().lsn;
            let done = tokio::select! {
                done = self.session(singly, &cancel) => done,
                () = cancel.cancelled() => return Exit::Stopped,
            };
            let error = match done {
                Ok(()) => return Exit::Stopped,
                Err(error) => error,
            };
            if error.class() == ErrorClass::Fatal {
                tracing::error!(code = %error.code(), %error, member = %self.parts.options.member,
                    "applying stopped");
                self.say(ApplierState::Stopped(Coded::new(error.code(), error.to_string())));
                return Exit::Failed(error);
            }
            if let Error::Joined { to, .. } = error {
                singly = Some(to);
            }
            tracing::warn!(code = %error.code(), %error, member = %self.parts.options.member,
                "applying is held up");
            self.say(ApplierState::Retrying(Coded::new(error.code(), error.to_string())));
            if self.applied.borrow().lsn != before {
                pause = PAUSE;
            }
            let jitter = pause.mul_f64(rand::random_range(0.5..1.0));
            tokio::select! {
                () = tokio::time::sleep(jitter) => {}
                () = cancel.cancelled() => return Exit::Stopped,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn session(&self, singly: Option<Lsn>, cancel: &CancellationToken) -> Result<(), Error> {
        let standing = Standing::of(&self.parts).await?;
        let at = standing.applied;
        self.applied.send_modify(|applied| {
            // Control records behind the checkpoint may be known already: never step back.
            if applied.lsn < at.map(|(lsn, _)| lsn) {
                applied.lsn = at.map(|(lsn, _)| lsn);
                applied.timestamp = at.map(|(_, timestamp)| timestamp);
            }
            applied.state = ApplierState::Running;
        });
        let reached = |mark: Mark| {
            self.applied.send_if_modified(|applied| {
                let ahead = applied.lsn < Some(mark.lsn);
                if ahead {
                    (applied.lsn, applied.timestamp) = (Some(mark.lsn), Some(mark.timestamp));
                }
                ahead
            });
        };
        standing.work(&self.parts, singly, &reached, cancel).await
    }

    fn say(&self, state: ApplierState) {
        self.applied.send_modify(|applied| applied.state = state);
    }
}
