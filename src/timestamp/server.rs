//! A timestamp server: connections and the disk around `server_core`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::Error;
use super::message::{Answer, BYTES_MAX, Refusal, Tick, WELCOME, encode_welcome};
use super::server_core::{NotIssued, ServerCore};
use super::state::State;
use crate::cluster::{ErrorClass, causes};
use crate::config::TimestampConfig;
use crate::explain::Code;
use crate::wire::{Identity, Incoming, Listener, PeerRole, Receiver, Sender};

/// Clients at once. A cluster has a few dozen; each costs a task and some kilobytes.
const CLIENTS_MAX: usize = 512;
/// A client that does not take its answers holds its place no longer than this.
const SEND_DEADLINE: Duration = Duration::from_secs(5);
/// Pause before a write is tried again that the disk had refused (mostly: full).
const SAVE_PAUSE: Duration = Duration::from_millis(500);

/// Runs a timestamp server until `stop`.
///
/// # Errors
/// It cannot start, or its disk failed.
pub async fn run(config: TimestampConfig, stop: CancellationToken) -> anyhow::Result<()> {
    let server = Server::bind(&config).await?;
    info!(id = config.id, address = %server.local_addr(), "timestamp server ready");
    server.serve(stop).await?;
    Ok(())
}

/// A server that has its state and its port.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    state: State,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    core: Mutex<ServerCore>,
    welcome: [u8; 17],
    /// The greatest limit that somebody wants durable.
    wanted: watch::Sender<u64>,
    /// What the disk has said so far.
    disk: watch::Sender<Disk>,
}

/// Outcomes of writes, the newest.
#[derive(Debug, Clone, Copy, Default)]
struct Disk {
    limit: u64,
    failures: u64,
}

impl Server {
    /// Opens the state (makes it at the very first start) and the port. Blocks for a moment.
    ///
    /// # Errors
    /// State missing, damaged, of another server or in use; port taken; TLS files.
    pub async fn bind(config: &TimestampConfig) -> Result<Server, Error> {
        let state = State::open(&config.data_dir, config.id)?;
        let name = format!("timestamp-{}", config.id);
        let me = Identity::new(&config.cluster, PeerRole::Timestamp, &name)?;
        let listener = Listener::bind(&config.listen, me).await?;
        Ok(Server { listener, state })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Answers until `stop`.
    ///
    /// # Errors
    /// A write was not confirmed by the disk ([`Error::Sync`]): the process must end.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), Error> {
        let Server { listener, state } = self;
        let (id, _) = state.life();
        let limit = state.limit();
        let shared = Arc::new(Shared {
            core: Mutex::new(ServerCore::start(id, limit)),
            welcome: encode_welcome(state.life()),
            wanted: watch::Sender::new(limit),
            disk: watch::Sender::new(Disk { limit, failures: 0 }),
        });
        shared.reserve_ahead();
        tokio::select! {
            ended = keep_limit(state, &shared, &stop) => ended,
            error = accept(listener, &shared) => Err(error),
        }
    }
}

/// Makes wanted limits durable, one after another, until `stop`; never leaves a write half-way. Fails
/// only on a disk that cannot be trusted.
async fn keep_limit(
    mut state: State,
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut wanted = shared.wanted.subscribe();
    loop {
        let limit = *wanted.borrow_and_update();
        if limit <= state.limit() {
            tokio::select! {
                changed = wanted.changed() => changed.expect("`shared` holds the sender"),
                () = stop.cancelled() => return Ok(()),
            }
            continue;
        }
        let saving = tokio::task::spawn_blocking(move || {
            let saved = state.save(limit);
            (state, saved)
        });
        let saved;
        (state, saved) = saving.await.expect("saving does not panic and is not cancelled");
        match saved {
            Ok(()) => {
                shared.core().reserved(limit);
                shared.disk.send_modify(|disk| disk.limit = limit);
                debug!(limit, "limit is durable");
            }
            Err(failure) if failure.class() == ErrorClass::Fatal => return Err(failure),
            Err(failure) => {
                let error = causes(&failure);
                error!(code = %failure.code(), error, "no new limit on disk; timestamps will run out");
                shared.disk.send_modify(|disk| disk.failures += 1);
                tokio::select! {
                    () = tokio::time::sleep(SAVE_PAUSE) => {}
                    () = stop.cancelled() => return Ok(()),
                }
            }
        }
    }
}

async fn accept(listener: Listener, shared: &Arc<Shared>) -> Error {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    // Dropped with this future: aborts them all.
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let place = places.clone().acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok(incoming) => {
                let shared = shared.clone();
                clients.spawn(async move {
                    let address = incoming.address();
                    if let Err(error) = serve_client(incoming, &shared).await {
                        warn!(code = %Code::TIMESTAMP_CLIENT, %address, error = causes(&error),
                            "connection to a client ended");
                    }
                    drop(place);
                });
            }
            Err(error) => return error.into(),
        }
    }
}

async fn serve_client(incoming: Incoming, shared: &Shared) -> Result<(), Error> {
    let connection = incoming.handshake().await?;
    let peer = connection.peer().clone();
    debug!(peer = peer.name, role = %peer.role, "client connected");
    let (sender, receiver) = connection.split();
    let mut sender: Sender = sender.with_deadline(SEND_DEADLINE);
    let mut receiver: Receiver = receiver.with_limit(BYTES_MAX);
    sender.send(WELCOME, &[&shared.welcome]).await?;
    while let Some(message) = receiver.next().await? {
        let tick = Tick::decode(message.kind, &message.body)
            .ok_or_else(|| Error::Protocol(peer.name.clone()))?;
        let result = shared.issue(tick).await;
        let (kind, body) = Answer { request: tick.request, result }.encode();
        sender.send(kind, &[&body]).await?;
    }
    Ok(())
}

impl Shared {
    fn core(&self) -> std::sync::MutexGuard<'_, ServerCore> {
        // A panic in the core leaves no half-done change: every change is its last statement.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(&self, limit: u64) {
        self.wanted.send_if_modified(|wanted| {
            let more = limit > *wanted;
            *wanted = limit.max(*wanted);
            more
        });
    }

    fn reserve_ahead(&self) {
        let ahead = self.core().ahead();
        if let Some(limit) = ahead {
            self.want(limit);
        }
    }

    /// Issues now, or after the limit that it needs is durable, or says why not.
    async fn issue(&self, tick: Tick) -> Result<wal::Timestamp, Refusal> {
        let mut disk = self.disk.subscribe();
        let failures = disk.borrow().failures;
        loop {
            let issued = self.core().tick(tick.above, tick.count);
            let limit = match issued {
                Ok(last) => {
                    self.reserve_ahead();
                    return Ok(last);
                }
                Err(NotIssued::Reserve(limit)) => limit,
                Err(NotIssued::Exhausted) => return Err(Refusal::Exhausted),
                Err(NotIssued::TooFar) => return Err(Refusal::TooFar),
                Err(NotIssued::BadCount) => return Err(Refusal::BadCount),
            };
            self.want(limit);
            let moved = disk.wait_for(|disk| disk.limit >= limit || disk.failures > failures).await;
            match moved {
                Ok(disk) if disk.limit >= limit => {}
                _ => return Err(Refusal::NotDurable),
            }
        }
    }
}
