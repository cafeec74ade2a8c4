//! The engine's task: one event after the other, each command carried out before the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::board::Board;
use super::engine::{Asker, Command, Engine, Event, Finalizing, Replacing, Settings};
use super::picture::Picture;
use super::store::{Error, Revision, Store};
use crate::cluster::{GrantId, MemberName};
use crate::explain::Code;
use crate::report::{Ask, Reply};

/// Requests that wait for the store's fsync. Each agent has one at a time, operators a few: more would
/// only wait at their own end.
const INBOX: usize = 64;

/// How often the points that logs have reached are written. A log shortened by less than this goes
/// unnoticed by the coordinator (its shipper still sees it).
const REACHED_EVERY: Duration = Duration::from_secs(1);

/// The board, shared between the connections that write it and those who read it.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedBoard(Arc<Mutex<Board>>);

impl SharedBoard {
    /// Never held across an await. A panic elsewhere leaves at worst an older report.
    pub(super) fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request to the engine, with the way back.
#[derive(Debug)]
pub(super) enum Wish {
    Agent { ask: Ask, answer: oneshot::Sender<Reply> },
    Replace { member: MemberName, answer: oneshot::Sender<Replacing> },
    Finalize { answer: oneshot::Sender<Finalizing> },
}

/// What the connections and HTTP hold.
#[derive(Debug, Clone)]
pub(super) struct CoreHandle {
    wishes: mpsc::Sender<Wish>,
    picture: watch::Receiver<Arc<Picture>>,
}

impl CoreHandle {
    /// `None` when the coordinator is stopping.
    pub(super) async fn ask(&self, ask: Ask) -> Option<Reply> {
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wish::Agent { ask, answer }).await.ok()?;
        answered.await.ok()
    }

    /// `None` when the coordinator is stopping.
    pub(super) async fn replace(&self, member: MemberName) -> Option<Replacing> {
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wish::Replace { member, answer }).await.ok()?;
        answered.await.ok()
    }

    /// `None` when the coordinator is stopping.
    pub(super) async fn finalize(&self) -> Option<Finalizing> {
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wish::Finalize { answer }).await.ok()?;
        answered.await.ok()
    }

    /// Changes with every view.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<Picture>> {
        self.picture.clone()
    }

    pub(super) fn picture(&self) -> Arc<Picture> {
        self.picture.borrow().clone()
    }
}

enum Answering {
    Agent(oneshot::Sender<Reply>),
    Replacer(oneshot::Sender<Replacing>),
    Finalizer(oneshot::Sender<Finalizing>),
    Nobody,
}

/// Engine and store together.
pub(super) struct Core<S> {
    engine: Engine,
    store: S,
    revision: Option<Revision>,
    board: SharedBoard,
    wishes: mpsc::Receiver<Wish>,
    picture: watch::Sender<Arc<Picture>>,
}

impl<S: Store> Core<S> {
    /// Loads or makes the cluster.
    pub(super) async fn start(
        store: S,
        settings: &Settings,
        board: SharedBoard,
    ) -> Result<(Core<S>, CoreHandle), Error> {
        let (revision, stored) = store.load().await?.unzip();
        let fresh = wal::ClusterId::from_bytes(rand::random());
        let (engine, commands) = Engine::start(stored, settings, fresh);
        for difference in engine.differences() {
            warn!(code = %Code::CONFIG_DIFFERS, %difference,
                "the configuration file is not what the cluster has");
        }
        let picture = Arc::new(Picture::of(&engine, revision.unwrap_or(0)));
        let (picture, picture_receiver) = watch::channel(picture);
        let (sender, wishes) = mpsc::channel(INBOX);
        let mut core = Core { engine, store, revision, board, wishes, picture };
        core.carry_out(commands, Answering::Nobody).await?;
        core.publish();
        let epoch = core.engine.state().epoch().map(wal::Epoch::get);
        info!(cluster = %core.engine.state().cluster, epoch, revision = core.revision, "ready");
        Ok((core, CoreHandle { wishes: sender, picture: picture_receiver }))
    }

    /// Until `stop`, or until the store fails: then nothing more may be answered.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut reached = tokio::time::interval(REACHED_EVERY);
        reached.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wish = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                wish = self.wishes.recv() => wish,
                _ = reached.tick() => {
                    self.note_reached().await?;
                    continue;
                }
            };
            match wish {
                None => return Ok(()),
                // Who gave up asks again; carrying it out now would at best be of no use.
                Some(Wish::Agent { answer, .. }) if answer.is_closed() => {}
                Some(Wish::Agent { ask, answer }) => self.agent(ask, answer).await?,
                Some(Wish::Replace { member, answer }) => {
                    let event = Event::AsksReplace { asker: Asker(0), member };
                    self.handle(event, Answering::Replacer(answer)).await?;
                }
                Some(Wish::Finalize { answer }) => {
                    let event = Event::AsksFinalize { asker: Asker(0) };
                    self.handle(event, Answering::Finalizer(answer)).await?;
                }
            }
        }
    }

    async fn agent(&mut self, ask: Ask, answer: oneshot::Sender<Reply>) -> Result<(), Error> {
        let asker = Asker(0);
        let event = match ask {
            Ask::Register(registration) => Event::Registers { asker, registration },
            Ask::Grant { member, incarnation } => {
                // The new shipper is told of every point that was ever reported (I16).
                self.note_reached().await?;
                let fresh = GrantId(rand::random());
                Event::AsksGrant { asker, member, incarnation, fresh }
            }
            Ask::EpochComplete { shipper, lsn } => Event::EpochComplete { asker, shipper, lsn },
            Ask::ConfigCommitted { shipper, generation } => {
                Event::ConfigCommitted { asker, shipper, generation }
            }
        };
        self.handle(event, Answering::Agent(answer)).await
    }

    async fn note_reached(&mut self) -> Result<(), Error> {
        let points = self.board.lock().reached();
        self.handle(Event::Reached(points), Answering::Nobody).await
    }

    async fn handle(&mut self, event: Event, answering: Answering) -> Result<(), Error> {
        let commands = self.engine.handle(event);
        self.carry_out(commands, answering).await
    }

    /// In order; the first failure ends everything, with nothing told that is not durable.
    async fn carry_out(
        &mut self,
        commands: Vec<Command>,
        mut answering: Answering,
    ) -> Result<(), Error> {
        for command in commands {
            match command {
                Command::Save(state) => {
                    self.revision = Some(self.store.compare_and_set(self.revision, &state).await?);
                }
                Command::Publish => self.publish(),
                Command::Answer(_, reply) => {
                    note(&reply);
                    if let Answering::Agent(to) =
                        std::mem::replace(&mut answering, Answering::Nobody)
                    {
                        // Gone: its connection ended.
                        let _ = to.send(reply);
                    }
                }
                Command::Replacing(_, outcome) => {
                    info!(?outcome, "a member is to be replaced");
                    if let Answering::Replacer(to) =
                        std::mem::replace(&mut answering, Answering::Nobody)
                    {
                        // Gone: the operator broke off.
                        let _ = to.send(outcome);
                    }
                }
                Command::Finalizing(_, outcome) => {
                    info!(?outcome, "the log's format is to be raised");
                    if let Answering::Finalizer(to) =
                        std::mem::replace(&mut answering, Answering::Nobody)
                    {
                        // Gone: the operator broke off.
                        let _ = to.send(outcome);
                    }
                }
            }
        }
        Ok(())
    }

    fn publish(&self) {
        let revision = self.revision.unwrap_or(0);
        self.picture.send_replace(Arc::new(Picture::of(&self.engine, revision)));
    }
}

fn note(reply: &Reply) {
    match reply {
        Reply::Granted(grant) => info!(
            epoch = grant.shipper.epoch.get(),
            commit = grant.commit.len(),
            fence = grant.fence.len(),
            "epoch granted"
        ),
        Reply::Fenced => info!("told a shipper that it is over"),
        Reply::Refused { code, reason } => info!(%code, %reason, "refused"),
        Reply::Registered { .. } | Reply::Noted => {}
    }
}
