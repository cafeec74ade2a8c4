//! The composition root of a member: builds the parts and joins their channels.
//!
//! In: the agent's options. Out: a running member. Beside a server it is *source* or *replica*, as the
//! coordinator's view says; without one it is a *witness*. Its log answers other members in every
//! role, also when its server is down or its applier has stopped.
//!
//! `member` opens the log and serves it; `keeping` looks after its files, by what `retention`
//! decides; `source` makes a reign and `reign` runs it; `replica` runs the applier; `state` is what all
//! of them tell, and `http` and the coordinator link show.
//!
//! Decides nothing about data: who may append is `log`'s, what is committed `quorum`'s, what is
//! acknowledged `ack`'s.

mod attach;
mod counter;
mod error;
mod feed_http;
mod guard;
mod hold;
mod http;
mod intake;
mod keeping;
mod member;
mod mending;
mod metrics;
mod opener;
mod persist;
mod protection;
mod recompression;
mod reign;
mod replica;
mod retention;
mod resume;
mod source;
mod state;
mod tailing;
#[cfg(test)]
mod tests;
mod throttle;
mod verification;
mod verify_http;

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::Error;

use crate::config::AgentConfig;
use crate::feed::Feeds;
use crate::http::Door;
use crate::log::LogHandle;
use crate::metrics::Exporter;
use crate::renewal::{Doors, Renewals};
use crate::report::{Handle, MemberRole, View};
use crate::wire::{Identity, PeerRole};
use hold::Hold;
use keeping::HeldNow;
use state::{AppliedWatch, Shared};
use throttle::Committed;
use verification::Verifications;

/// What every part of an agent is handed.
#[derive(Clone)]
struct Parts {
    config: Arc<AgentConfig>,
    identity: Identity,
    doors: Doors,
    log: LogHandle,
    link: Handle,
    view: watch::Receiver<Option<View>>,
    exporter: Exporter,
    shared: Shared,
    applied: AppliedWatch,
    committed: Committed,
    /// What keeps the log from becoming shorter.
    held: HeldNow,
    /// Somebody has declared where the replica stands: a stopped applier begins anew.
    adopted: Arc<Notify>,
    /// Who holds it, holds the ACKs back: for milliseconds only.
    acks: Arc<tokio::sync::Mutex<()>>,
    /// Holds the applier back.
    hold: Hold,
    verifications: Verifications,
    feeds: Feeds,
}

impl Parts {
    /// Nothing that a role has told or held outlives it: as source, this member would hand out tokens
    /// for what a successor has never released; as replica, an alarm would stay that nobody clears.
    fn role_over(&self) {
        self.verifications.end_all(&self.hold);
        self.shared.role_over();
        self.applied.set(None);
    }

    /// This agent's name to its server as a replica: no two log folders have the same.
    fn replica_uuid(&self) -> String {
        let hex = self.log.incarnation().to_string();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
        parts.join("-")
    }
}

/// Runs a member until `stop`. Ends by itself only where going on would risk data.
///
/// # Errors
/// The reason, for a person: what, where, what to do.
pub async fn run(
    config: AgentConfig,
    renewals: Renewals,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let identity = Identity::new(&config.cluster, PeerRole::Member, config.name.as_str())?;
    let exporter = Exporter::install()?;
    let shared = Shared::new(&config);
    let tasks = TaskTracker::new();
    // The doors open before the log is there: an address that is taken ends the start at once.
    let door = Door::new(&config.access)?;
    let http = http::bind(&config.http, door.clone()).await?;
    let listener = member::bind(&config.listen, identity.clone()).await?;
    let doors = Doors { identity: identity.clone(), http: Some(door.clone()) };
    let (link, view) = member::link(&config, &identity, &tasks, &stop);
    let opened = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        opened = member::open(&config, view.clone()) => opened?,
    };
    let (log, log_ended) = member::start_log(&config, opened, &link)?;
    let applied = AppliedWatch::default();
    let parts = Parts {
        config,
        identity,
        doors,
        log,
        link,
        view,
        exporter,
        shared,
        applied,
        committed: Committed::default(),
        held: HeldNow::default(),
        adopted: Arc::default(),
        acks: Arc::default(),
        hold: Hold::default(),
        verifications: Verifications::default(),
        feeds: Feeds::new(stop.clone()),
    };
    tasks.spawn(parts.committed.clone().follow(parts.log.progress(), stop.clone()));
    tasks.spawn(parts.doors.clone().follow(renewals, stop.clone()));
    tasks.spawn(http::serve(http, door, parts.clone(), stop.clone()));
    tasks.spawn(member::serve(listener, parts.clone(), stop.clone()));
    recompression::start(&parts, &tasks, &stop);
    tasks.spawn(mending::run(parts.clone(), stop.clone()));
    tasks.spawn(state::tell_coordinator(parts.clone(), stop.clone()));
    tasks.spawn(keeping::keep(parts.clone(), stop.clone()));
    let role = tokio::spawn(play_role(parts, stop.clone()));
    let ended = tokio::select! {
        ended = log_ended => Some(ended),
        role = role => {
            role.context("the agent's main task failed")??;
            None
        }
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    match ended {
        Some(Ok(Err(error))) => {
            Err(error).context("the log has stopped; this member acknowledges nothing")
        }
        Some(Err(_)) => Err(Error::RoleTask).context("the log's thread ended without a word"),
        Some(Ok(Ok(()))) | None => Ok(()),
    }
}

/// Source, replica or witness, as the coordinator says.
async fn play_role(parts: Parts, stop: CancellationToken) -> Result<(), Error> {
    let Some(server) = parts.config.server.clone() else {
        parts.shared.phase(MemberRole::Witness, "keeping the log");
        stop.cancelled().await;
        return Ok(());
    };
    let mut view = parts.view.clone();
    loop {
        let source = view.borrow_and_update().as_ref().map(|view| view.source.clone());
        let term = stop.child_token();
        let mut playing = match source.as_ref() {
            None => tokio::spawn(wait_for(term.clone())),
            Some(source) if *source == parts.config.name => {
                on_own_thread(source::run(parts.clone(), server.clone(), term.clone()))
            }
            Some(_) => on_own_thread(replica::run(parts.clone(), server.clone(), term.clone())),
        };
        let moved = async {
            let now = parts.view.borrow().as_ref().map(|view| view.source.clone());
            if now != source {
                return;
            }
            while view.changed().await.is_ok() {
                if view.borrow_and_update().as_ref().map(|view| view.source.clone()) != source {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = moved => {}
            // A role ends by itself only where this member cannot go on.
            ended = &mut playing => return ended.unwrap_or(Err(Error::RoleTask)),
        }
        term.cancel();
        // With its thread every task of it has ended: nobody tells anything of it any more.
        playing.await.unwrap_or(Err(Error::RoleTask))?;
        parts.role_over();
        if stop.is_cancelled() {
            return Ok(());
        }
    }
}

/// Runs a role on one thread: its tasks hand each commit on from one to the next, many times, and
/// waking another thread for that costs more than what is done there.
fn on_own_thread(
    role: impl Future<Output = Result<(), Error>> + Send + 'static,
) -> JoinHandle<Result<(), Error>> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Runtime)?;
        // As a task: what `block_on` itself runs is woken by a system call.
        let role = runtime.spawn(role);
        runtime.block_on(role).unwrap_or(Err(Error::RoleTask))
    })
}

/// The coordinator has not said yet what to play.
async fn wait_for(term: CancellationToken) -> Result<(), Error> {
    term.cancelled().await;
    Ok(())
}
