//! What the other parts of an agent hold: ask, report, and see how the link is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use wal::{ClusterId, Incarnation, Lsn};

use super::message::{Ask, Registration, Reply, Report};
use super::{Consumer, ConsumerAsk, Error};
use crate::cluster::{Grant, MemberName, Shipper};

/// How long a request waits for its answer, the time to reach a coordinator included.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How the link to the coordinator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Not connected (yet, or any more), and why.
    Connecting {
        /// The last failure; empty before the first attempt.
        why: String,
    },
    /// Registered.
    Registered {
        /// `host:port` of the coordinator.
        coordinator: String,
        /// The cluster it has.
        cluster: ClusterId,
    },
    /// The coordinator does not take this member; the link goes on trying.
    Refused {
        /// In its words.
        reason: String,
    },
}

/// A question on its way to the link's task.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) ask: Ask,
    pub(super) answer: oneshot::Sender<Reply>,
}

/// Cheap to clone; the link ends when the last one is gone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) member: MemberName,
    pub(super) coordinators: Arc<[String]>,
    pub(super) asks: mpsc::Sender<Asking>,
    pub(super) report: watch::Sender<Option<Report>>,
    pub(super) registration: watch::Sender<Registration>,
    pub(super) state: watch::Receiver<LinkState>,
}

impl Handle {
    /// Takes a new epoch for this member's shipper. Every call that succeeds takes another one.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason (not the source, bootstrap, excluded), [`Error::NoAnswer`].
    pub async fn grant(&self, incarnation: Incarnation) -> Result<Grant, Error> {
        let ask = Ask::Grant { member: self.member.clone(), incarnation };
        match self.ask(ask).await? {
            Reply::Granted(grant) => Ok(grant),
            other => Err(unexpected("an epoch", other)),
        }
    }

    /// Tells that this shipper's EpochStart is committed under all of its rules. May be repeated; is
    /// durable at the coordinator when it returns.
    ///
    /// # Errors
    /// [`Error::Fenced`] if a newer grant exists, [`Error::NoAnswer`]: try again.
    pub async fn epoch_complete(&self, shipper: Shipper, lsn: Lsn) -> Result<(), Error> {
        noted("a note of its epoch", self.ask(Ask::EpochComplete { shipper, lsn }).await?)
    }

    /// Tells that the Membership record of `generation` is committed under the old rule and the new.
    /// May be repeated; is durable at the coordinator when it returns.
    ///
    /// # Errors
    /// [`Error::Fenced`] if a newer grant exists, [`Error::Refused`] if no such change is under way,
    /// [`Error::NoAnswer`]: try again.
    pub async fn config_committed(&self, shipper: Shipper, generation: u64) -> Result<(), Error> {
        let ask = Ask::ConfigCommitted { shipper, generation };
        noted("a note of its change", self.ask(ask).await?)
    }

    /// Asks for named consumers, or changes one. What changed is durable at the coordinator when it
    /// returns; each may be repeated.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason, [`Error::NoAnswer`].
    pub async fn consumer(&self, ask: ConsumerAsk) -> Result<Vec<Consumer>, Error> {
        match self.ask(Ask::Consumer(ask)).await? {
            Reply::Consumers(consumers) => Ok(consumers),
            other => Err(unexpected("consumers", other)),
        }
    }

    /// Leaves the newest report for the link to send; never waits, overwrites the one before.
    pub fn report(&self, report: Report) {
        self.report.send_replace(Some(report));
    }

    /// Registers again, as after the log folder was made. The name stays the one of the handshake.
    pub fn register(&self, registration: Registration) {
        self.registration.send_replace(registration);
    }

    /// How the link is, for status texts.
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// A watch on [`Handle::state`].
    pub fn watch_state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, Error> {
        let no_answer = || Error::NoAnswer { coordinators: self.coordinators.to_vec() };
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.asks.send(Asking { ask, answer }).await.map_err(|_| Error::Stopped)?;
            // Dropped without an answer: the connection was lost meanwhile.
            answered.await.map_err(|_| no_answer())
        };
        tokio::time::timeout(ANSWER_WITHIN, asking).await.map_err(|_| no_answer())?
    }
}

fn noted(asked: &'static str, reply: Reply) -> Result<(), Error> {
    match reply {
        Reply::Noted => Ok(()),
        other => Err(unexpected(asked, other)),
    }
}

fn unexpected(asked: &'static str, reply: Reply) -> Error {
    let got = match reply {
        Reply::Refused { code, reason } => return Error::Refused { code, reason },
        Reply::Fenced => return Error::Fenced,
        Reply::Registered { .. } => "a registration",
        Reply::Granted(_) => "an epoch",
        Reply::Noted => "a note",
        Reply::Consumers(_) => "consumers",
    };
    Error::Unexpected { asked, got }
}
