//! The member's log: opened or made, and served to the others.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wal::{Incarnation, Log, LogOptions};

use super::Parts;
use crate::cluster::{LogFormats, causes};
use crate::config::AgentConfig;
use crate::explain::Code;
use crate::log::{Error, LogHandle, LogService, Progress};
use crate::report::{CoordinatorLink, Handle, LogIdentity, Registration, ServerAddress, View};
use crate::ship::serve;
use crate::wire::{Connection, Identity, Listener};

/// Connections of members that have proved the secret, at once: each costs a task and its buffers.
const CONNECTIONS: usize = 256;

/// Binds the member port.
pub(super) async fn bind(listen: &str, identity: Identity) -> anyhow::Result<Listener> {
    Listener::bind(listen, identity).await.context("agent.listen")
}

/// What this agent says of itself; `log` once it is open.
fn registration(config: &AgentConfig, log: Option<(LogIdentity, &Progress)>) -> Registration {
    let server = config.server.as_ref().map(|server| ServerAddress {
        host: server.connection.host.clone(),
        port: server.connection.port,
        family: None,
        uuid: None,
    });
    let progress = log.map(|(_, progress)| progress);
    Registration {
        member: config.name.clone(),
        log: log.map(|(identity, _)| identity),
        listen: config.listen.clone(),
        http: config.http.clone(),
        server,
        tail: progress.and_then(|progress| progress.flushed),
        promised: progress.and_then(|progress| progress.promised).map(|shipper| shipper.epoch),
        log_formats: LogFormats::OURS,
    }
}

/// The link to the coordinators, running from here on.
pub(super) fn link(
    config: &AgentConfig,
    identity: &Identity,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> (Handle, watch::Receiver<Option<View>>) {
    let (link, handle, view) = CoordinatorLink::new(
        config.coordinators.clone(),
        identity.clone(),
        registration(config, None),
    );
    tasks.spawn(link.run(stop.clone()));
    (handle, view)
}

/// Opens the log, or makes it once the coordinator has said for which cluster (I16).
pub(super) async fn open(
    config: &AgentConfig,
    mut view: watch::Receiver<Option<View>>,
) -> anyhow::Result<Log> {
    let folder = config.log_dir();
    let options = LogOptions { segment_bytes: config.segment_bytes };
    let made = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    let log = if made {
        Log::open(&folder, options)
            .with_context(|| format!("opening the log in {}", folder.display()))?
    } else {
        let cluster = loop {
            let known = view.borrow_and_update().as_ref().map(|view| view.cluster);
            if let Some(cluster) = known {
                break cluster;
            }
            view.changed().await.map_err(|_| crate::report::Error::Stopped)?;
        };
        fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("making agent.data_dir = {}", config.data_dir.display()))?;
        let incarnation = Incarnation::from_bytes(rand::random());
        tracing::info!(%cluster, %incarnation, "making a new log");
        Log::create(&folder, cluster, incarnation, options)
            .with_context(|| format!("making the log in {}", folder.display()))?
    };
    Ok(log)
}

/// Starts the log's thread and registers its incarnation.
pub(super) fn start_log(
    config: &AgentConfig,
    log: Log,
    link: &Handle,
) -> anyhow::Result<(LogHandle, oneshot::Receiver<Result<(), Error>>)> {
    let (handle, thread) = LogService::start(&config.log_dir(), log)?;
    let identity = LogIdentity { cluster: handle.cluster(), incarnation: handle.incarnation() };
    link.register(registration(config, Some((identity, &handle.progress().borrow()))));
    let (ended, watch) = oneshot::channel();
    std::thread::Builder::new()
        .name("log-watch".to_owned())
        .spawn(move || {
            if let Ok(result) = thread.join() {
                let _ = ended.send(result);
            }
        })
        .context("starting a thread")?;
    Ok((handle, watch))
}

/// Answers other members until stopped. Strangers prove themselves on the process's common threads:
/// whoever knocks, and however often, takes no time of the log's. Only a member that has done so goes
/// over to the log's thread (see [`Connection::hand_to`] for TLS).
pub(super) async fn serve(listener: Listener, parts: Parts, stop: CancellationToken) {
    let room = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let incoming = match accepted {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::warn!(code = %Code::ACCEPT_FAILED, error = %causes(&error), "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = room.clone().acquire_owned().await else { break };
        let (parts, stop) = (parts.clone(), stop.clone());
        let answered = tasks.clone();
        tasks.spawn(async move {
            let met = stop.run_until_cancelled(incoming.handshake()).await;
            let met = met.map(|met| met.and_then(|peer| peer.hand_to(parts.log.runtime())));
            match met {
                Some(Ok((connection, runtime))) => {
                    let answering = answer(connection, place, parts, stop);
                    answered.spawn_on(answering, &runtime);
                }
                Some(Err(error)) => {
                    tracing::info!(error = %causes(&error), "a connection was refused");
                }
                None => {}
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn answer(
    connection: Connection,
    _place: OwnedSemaphorePermit,
    parts: Parts,
    stop: CancellationToken,
) {
    let applied = parts.applied.watch();
    let serving = serve::serve(connection, &parts.config.name, parts.log.clone(), applied);
    if let Some(Err(error)) = stop.run_until_cancelled(serving).await {
        if error.code() == Code::LOG_DAMAGED {
            parts.shared.damage_met();
        }
        tracing::info!(error = %causes(&error), "a member's connection ended");
    }
}
