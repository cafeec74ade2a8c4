//! The agents' side of the wire: one task per connection, requests in turn, views pushed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::board::ConnectionId;
use super::core::{CoreHandle, SharedBoard};
use super::picture::Picture;
use crate::cluster::MemberName;
use crate::explain::Code;
use crate::report::{
    ANSWER, Answer, Ask, MAX_BODY, REPORT, REQUEST, Registration, Reply, Report, Request, VIEW,
};
use crate::wire::{Incoming, Listener, Message, PeerRole, Receiver, Sender};

/// Connections at a time; each member has one, and its last one while it reconnects.
const CONNECTIONS: usize = 512;
/// Agents report at least each 200 ms: without a word for so long, one is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// How often a view is pushed though nothing changed, as a sign of life.
const VIEW_EVERY: Duration = Duration::from_secs(1);

/// Serves agents until `stop`.
pub(super) async fn serve(
    listener: Listener,
    core: CoreHandle,
    board: SharedBoard,
    stop: CancellationToken,
) -> Result<(), crate::wire::Error> {
    let mut connections = JoinSet::new();
    let mut last = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            incoming = listener.accept(), if connections.len() < CONNECTIONS => {
                last += 1;
                let (core, board) = (core.clone(), board.clone());
                connections.spawn(connection(incoming?, ConnectionId(last), core, board));
            }
        }
    }
    // Agents take a lost connection as it comes; nothing is owed to them.
    connections.shutdown().await;
    Ok(())
}

async fn connection(incoming: Incoming, id: ConnectionId, core: CoreHandle, board: SharedBoard) {
    let address = incoming.address();
    let connection = match Box::pin(incoming.handshake()).await {
        Ok(connection) => connection,
        Err(error) => {
            info!(peer = %address, %error, "no handshake");
            return;
        }
    };
    let peer = connection.peer().clone();
    let member = MemberName::new(peer.name.clone()).ok().filter(|_| peer.role == PeerRole::Member);
    let Some(member) = member else {
        info!(peer = %address, role = %peer.role, "only agents are served here");
        return;
    };
    let (sender, receiver) = connection.split();
    let mut session = Session {
        member,
        id,
        sender: sender.with_deadline(SILENCE),
        view: core.watch(),
        core,
        board,
    };
    let why = session.run(receiver.with_limit(MAX_BODY)).await;
    session.board.lock().gone(&session.member, id);
    info!(member = %session.member, peer = %address, %why, "agent gone");
}

struct Session {
    member: MemberName,
    id: ConnectionId,
    sender: Sender,
    core: CoreHandle,
    board: SharedBoard,
    view: watch::Receiver<Arc<Picture>>,
}

impl Session {
    /// Until the connection is over; says why.
    async fn run(&mut self, mut receiver: Receiver) -> String {
        let mut sign_of_life = tokio::time::interval(VIEW_EVERY);
        sign_of_life.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut registered = false;
        let mut heard = Instant::now();
        loop {
            // `next` and `changed` lose nothing when another arm wins.
            let done = tokio::select! {
                message = receiver.next() => {
                    heard = Instant::now();
                    match message {
                        Ok(Some(message)) => self.take(message, &mut registered).await,
                        Ok(None) => Err("closed".to_owned()),
                        Err(error) => Err(error.to_string()),
                    }
                }
                changed = self.view.changed(), if registered => match changed {
                    Ok(()) => self.push_view().await,
                    Err(_) => Err("stopping".to_owned()),
                },
                _ = sign_of_life.tick(), if registered => self.push_view().await,
                () = sleep_until((heard + SILENCE).into()) => {
                    Err(format!("nothing heard for {} s", SILENCE.as_secs()))
                }
            };
            if let Err(why) = done {
                return why;
            }
        }
    }

    async fn take(&mut self, message: Message, registered: &mut bool) -> Result<(), String> {
        match message.kind {
            REPORT => {
                let report: Report = message.json().map_err(|error| error.to_string())?;
                self.board.lock().report(&self.member, self.id, report, Instant::now());
                Ok(())
            }
            REQUEST => {
                let Request { id, ask } = message.json().map_err(|error| error.to_string())?;
                self.request(id, ask, registered).await
            }
            other => Err(format!("message of unknown kind {other}")),
        }
    }

    async fn request(&mut self, id: u64, ask: Ask, registered: &mut bool) -> Result<(), String> {
        let reply = match self.why_not(&ask, *registered) {
            Some(reason) => Reply::Refused { code: Code::COORDINATOR_ANSWER, reason },
            None => {
                let registration = match &ask {
                    Ask::Register(registration) => Some(registration.clone()),
                    _ => None,
                };
                let reply = self.core.ask(ask).await.ok_or("stopping")?;
                if let (Some(registration), Reply::Registered { .. }) = (registration, &reply) {
                    self.registered(&registration, registered);
                }
                reply
            }
        };
        self.send(ANSWER, &Answer { id, reply }).await
    }

    fn registered(&self, registration: &Registration, registered: &mut bool) {
        let incarnation = registration.log.map(|log| log.incarnation);
        self.board.lock().connected(self.member.clone(), self.id, incarnation);
        if !*registered {
            info!(member = %self.member, tail = ?registration.tail, "agent registered");
        }
        *registered = true;
    }

    /// The name was proven in the handshake; nobody speaks for another.
    fn why_not(&self, ask: &Ask, registered: bool) -> Option<String> {
        let speaks_for = match ask {
            Ask::Register(registration) => &registration.member,
            Ask::Grant { member, .. } => member,
            Ask::EpochComplete { .. } | Ask::ConfigCommitted { .. } | Ask::Consumer(_) => {
                &self.member
            }
        };
        if *speaks_for != self.member {
            return Some(format!("{} cannot speak for {speaks_for}", self.member));
        }
        let first = matches!(ask, Ask::Register(_)) || registered;
        (!first).then(|| "register first".to_owned())
    }

    async fn push_view(&mut self) -> Result<(), String> {
        let mut view = self.view.borrow_and_update().view.clone();
        {
            let board = self.board.lock();
            for member in &mut view.members {
                member.reached = board.has(&member.member, member.has_server);
            }
        }
        self.send(VIEW, &view).await
    }

    async fn send<T: serde::Serialize>(&mut self, kind: u8, body: &T) -> Result<(), String> {
        self.sender.send_json(kind, body).await.map_err(|error| error.to_string())
    }
}
