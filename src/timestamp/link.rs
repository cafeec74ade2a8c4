//! A client's standing connection to one timestamp server.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use wal::Timestamp;

use super::client_core::{Ask, ClientCore};
use super::message::{Answer, BYTES_MAX, Tick, decode_welcome};
use super::{Error, SilentServer};
use crate::cluster::causes;
use crate::wire::{self, Identity, Message, PeerRole, Receiver, Sender};

/// Requests that wait for this link. Each session has at most one at a time, and sessions are bounded
/// to fewer; a full queue counts as no answer.
pub(super) const QUEUE: usize = 256;
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// An answer takes a round trip, at worst with one disk write. A server silent for longer is left,
/// and connected to anew.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
const SEND_DEADLINE: Duration = Duration::from_secs(1);
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// What a session is told: the server's index, and the last value of its run, or that there is none.
pub(super) type Told = (usize, Option<Timestamp>);

/// A session's request. Its session is told exactly once, also if the request is lost on the way.
#[derive(Debug)]
pub(super) struct Request {
    ask: Ask,
    to: mpsc::Sender<Told>,
    told: bool,
}

impl Request {
    pub fn new(ask: Ask, to: mpsc::Sender<Told>) -> Request {
        Request { ask, to, told: false }
    }

    fn tell(&mut self, value: Option<Timestamp>) {
        self.told = true;
        // Fails only if the session is over: its channel has room for one word of each server.
        let _ = self.to.try_send((self.ask.server, value));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.told {
            self.tell(None);
        }
    }
}

/// What the takers see of a link.
#[derive(Debug)]
pub(super) struct Status {
    address: String,
    up: AtomicBool,
    reason: Mutex<Option<Arc<Error>>>,
}

impl Status {
    pub fn new(address: String) -> Status {
        Status { address, up: AtomicBool::new(false), reason: Mutex::new(None) }
    }

    /// Worth asking now.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// For an error's text.
    pub fn silent(&self) -> SilentServer {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        SilentServer { address: self.address.clone(), reason }
    }

    fn note(&self, error: Option<Error>) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = error.map(Arc::new);
    }
}

/// The task behind one address.
pub(super) struct Link {
    pub index: usize,
    pub me: Identity,
    pub core: Arc<Mutex<ClientCore>>,
    pub status: Arc<Status>,
    /// Counts up whenever some link comes up, and when it is time to ask again.
    pub changes: Arc<watch::Sender<u64>>,
    pub requests: mpsc::Receiver<Request>,
    pub numbers: Arc<AtomicU64>,
}

/// Sent and not answered; the oldest first.
type Pending = VecDeque<(u64, Instant, Request)>;

impl Link {
    /// Connects, serves, and after every loss connects again; ends when no client is left.
    pub async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let up_since = Instant::now();
            let Err(error) = self.connect_and_serve().await else {
                return;
            };
            let served = self.status.up.swap(false, Ordering::AcqRel);
            // Told once, not at each further try.
            if served || self.status.silent().reason.is_none() {
                tracing::warn!(code = %error.code(), server = self.status.address,
                    error = causes(&error), "timestamp server lost");
            }
            self.status.note(Some(error));
            // A connection that held for a while earns a quick return.
            if served && up_since.elapsed() > BACKOFF_MAX {
                backoff = BACKOFF_MIN;
            }
            // Dropping a request tells its session.
            while self.requests.try_recv().is_ok() {}
            let jitter = rand::random_range(0.5..1.5);
            tokio::time::sleep(backoff.mul_f64(jitter)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn connect_and_serve(&mut self) -> Result<(), Error> {
        let address = &self.status.address;
        let connecting = wire::connect(address, &self.me, PeerRole::Timestamp, CONNECT_DEADLINE);
        let (sender, receiver) = connecting.await?.split();
        let mut sender = sender.with_deadline(SEND_DEADLINE);
        let mut receiver = receiver.with_limit(BYTES_MAX);
        let welcome = tokio::time::timeout(ANSWER_DEADLINE, receiver.next()).await;
        let welcome = welcome.map_err(|_| Error::Silent(ANSWER_DEADLINE))??;
        let protocol = || Error::Protocol(address.clone());
        let life = welcome.and_then(|Message { kind, body }| decode_welcome(kind, &body));
        let life = life.ok_or_else(protocol)?;
        let met = self.core.lock().unwrap_or_else(PoisonError::into_inner).meet(self.index, life);
        met.map_err(Error::NotCounted)?;
        self.status.note(None);
        self.status.up.store(true, Ordering::Release);
        self.changes.send_modify(|changes| *changes += 1);
        tracing::info!(server = address, id = life.0, "timestamp server there");
        self.serve(&mut sender, &mut receiver, life.0).await
    }

    async fn serve(
        &mut self,
        sender: &mut Sender,
        receiver: &mut Receiver,
        id: u8,
    ) -> Result<(), Error> {
        let mut pending = Pending::new();
        loop {
            let oldest = pending.front().map(|(_, sent, _)| *sent + ANSWER_DEADLINE);
            let late = async {
                match oldest {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = self.requests.recv() => {
                    let Some(request) = request else { return Ok(()) };
                    let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                    let Ask { above, count, .. } = request.ask;
                    let tick = Tick { request: number, above, count };
                    pending.push_back((number, Instant::now(), request));
                    sender.send(super::message::TICK, &[&tick.encode()]).await?;
                }
                message = receiver.next() => {
                    let protocol = || Error::Protocol(self.status.address.clone());
                    let Message { kind, body } = message?.ok_or_else(protocol)?;
                    let answer = Answer::decode(kind, &body).ok_or_else(protocol)?;
                    self.deliver(&mut pending, answer, id)?;
                }
                () = late => return Err(Error::Silent(ANSWER_DEADLINE)),
            }
        }
    }

    /// Answers come in the order of the requests.
    fn deliver(&self, pending: &mut Pending, answer: Answer, id: u8) -> Result<(), Error> {
        let protocol = || Error::Protocol(self.status.address.clone());
        let (number, _, mut request) = pending.pop_front().ok_or_else(protocol)?;
        if number != answer.request {
            return Err(protocol());
        }
        let Ask { above, count, .. } = request.ask;
        match answer.result {
            Ok(last) => {
                let first = (last.counter() + 1).saturating_sub(u64::from(count));
                if last.server() != id || first <= above.map_or(0, Timestamp::counter) {
                    return Err(protocol());
                }
                self.status.note(None);
                // Before its session knows, and before this link can meet another life of the server.
                self.core.lock().unwrap_or_else(PoisonError::into_inner).heard(self.index);
                request.tell(Some(last));
            }
            Err(refusal) => self.status.note(Some(refusal.into())),
        }
        Ok(())
    }
}
