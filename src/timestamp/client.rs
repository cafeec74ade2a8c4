//! Taking timestamps: links, clocks and patience around `client_core`.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wal::Timestamp;

use super::client_core::{Ask, ClientCore, Session, Step};
use super::link::{Link, QUEUE, Request, Status, Told};
use super::{Error, RUN_COUNT_MAX, RunOfTimestamps};
use crate::wire::Identity;

/// Takes at once; more wait. Below a link's queue, so that no request is ever turned away.
const TAKES_MAX: usize = 64;
const _: () = assert!(TAKES_MAX * 2 <= QUEUE);
/// How long a take waits, unless told otherwise. Within it servers are asked again and again.
const TAKE_DEADLINE: Duration = Duration::from_secs(3);
/// A server that has not answered by then is done without, if M others have: several round trips in
/// one machine room, far less than a lost server's deadline.
const PATIENCE: Duration = Duration::from_millis(3);
/// How often a server that refused is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A client of all timestamp servers of the cluster. Share it in an `Arc`; keeps one connection to
/// each server and makes it anew by itself, for ever.
#[derive(Debug)]
pub struct TimestampClient {
    core: Arc<Mutex<ClientCore>>,
    links: Vec<(mpsc::Sender<Request>, Arc<Status>)>,
    changes: Arc<watch::Sender<u64>>,
    takes: Semaphore,
    /// The greatest timestamp returned.
    last: Mutex<Option<Timestamp>>,
    deadline: Duration,
    /// Aborted when the client is dropped.
    _tasks: JoinSet<()>,
}

impl TimestampClient {
    /// A client of `servers` (`host:port` each), which must be all of the cluster's: N decides what is
    /// safe. Connects in the background; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The number of servers is not odd.
    pub fn new(servers: Vec<String>, me: Identity) -> Result<TimestampClient, Error> {
        if servers.len().is_multiple_of(2) {
            return Err(Error::ServerCount(servers.len()));
        }
        let core = Arc::new(Mutex::new(ClientCore::new(servers.len())));
        let changes = Arc::new(watch::Sender::new(0));
        let numbers = Arc::new(AtomicU64::new(1));
        let mut tasks = JoinSet::new();
        let mut links = Vec::new();
        for (index, address) in servers.into_iter().enumerate() {
            let status = Arc::new(Status::new(address));
            let (queue, requests) = mpsc::channel(QUEUE);
            links.push((queue, status.clone()));
            let (me, core) = (me.clone(), core.clone());
            let (changes, numbers) = (changes.clone(), numbers.clone());
            let link = Link { index, me, core, status, changes, requests, numbers };
            tasks.spawn(link.run());
        }
        tasks.spawn(ask_again(changes.clone()));
        Ok(TimestampClient {
            core,
            links,
            changes,
            takes: Semaphore::new(TAKES_MAX),
            last: Mutex::new(None),
            deadline: TAKE_DEADLINE,
            _tasks: tasks,
        })
    }

    /// Gives each take this long, instead of 3 s.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> TimestampClient {
        self.deadline = deadline;
        self
    }

    /// `count` consecutive timestamps, all greater than whatever any client was given before this
    /// call began (I10). Cancel-safe: what was reserved is lost, which is harmless. With all servers up
    /// it takes one round trip to the farthest, else two to the M-th nearest.
    ///
    /// # Errors
    /// [`Error::Unavailable`] says who does not answer; try again. [`Error::Backwards`] is for a
    /// person.
    pub async fn take(&self, count: u32) -> Result<RunOfTimestamps, Error> {
        if count == 0 || count > RUN_COUNT_MAX {
            return Err(Error::RunCount(count));
        }
        let deadline = Instant::now() + self.deadline;
        let taking = async {
            let _place = self.takes.acquire().await.expect("the semaphore is never closed");
            let floor = *self.last();
            (self.session(count).await, floor)
        };
        let taken = tokio::time::timeout_at(deadline, taking).await;
        let (run, floor) = taken.map_err(|_| self.unavailable())?;
        if Some(run.first()) <= floor {
            return Err(Error::Backwards);
        }
        let mut last = self.last();
        *last = (*last).max(Some(run.last()));
        Ok(run)
    }

    /// One session; ends only with its run.
    async fn session(&self, count: u32) -> RunOfTimestamps {
        let mut session = self.core().begin(count);
        let mut changes = self.changes.subscribe();
        // Each server has one request under way at most, and tells one word of it.
        let (to, mut answers) = mpsc::channel(self.links.len());
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        // There is nobody to do without among one.
        let mut patient = self.links.len() > 1;
        let mut step = self.ask_all(&mut session, &to);
        loop {
            if let Step::Done(run) = step {
                return run;
            }
            step = tokio::select! {
                answer = answers.recv() => {
                    let (server, last) = answer.expect("this session holds a sender");
                    match last {
                        Some(last) => self.core().answered(&mut session, server, last),
                        None => self.core().failed(&mut session, server),
                    }
                }
                () = &mut patience, if patient => {
                    patient = false;
                    self.core().impatient(&mut session)
                }
                _ = changes.changed() => self.ask_all(&mut session, &to),
            };
            if let Step::Ask(asks) = &step {
                self.send(asks, &to);
            }
        }
    }

    /// Asks every server that is up and not being asked.
    fn ask_all(&self, session: &mut Session, to: &mpsc::Sender<Told>) -> Step {
        for (server, (_, status)) in self.links.iter().enumerate() {
            if !status.is_up() {
                continue;
            }
            let step = self.core().reachable(session, server);
            match step {
                Step::Ask(asks) => self.send(&asks, to),
                Step::Done(run) => return Step::Done(run),
                Step::Wait => {}
            }
        }
        Step::Wait
    }

    /// Hands requests to the links. A link that cannot take its one drops it, which tells the session.
    fn send(&self, asks: &[Ask], to: &mpsc::Sender<Told>) {
        for ask in asks {
            let _ = self.links[ask.server].0.try_send(Request::new(*ask, to.clone()));
        }
    }

    fn unavailable(&self) -> Error {
        let down =
            |(_, status): &&(_, Arc<Status>)| !status.is_up() || status.silent().reason.is_some();
        let silent = self.links.iter().filter(down).map(|(_, status)| status.silent()).collect();
        let needed = self.core().needed();
        Error::Unavailable { waited: self.deadline, needed, servers: self.links.len(), silent }
    }

    fn core(&self) -> MutexGuard<'_, ClientCore> {
        // Knowledge only grows, one assignment at a time: a panic leaves nothing half-done.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has every session ask again those that refused. One timer for all: one of each session's own would
/// be set and taken back with each commit, at the cost of two system calls.
async fn ask_again(changes: Arc<watch::Sender<u64>>) {
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        changes.send_modify(|changes| *changes += 1);
    }
}
