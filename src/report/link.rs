//! The connection to a coordinator: made again for ever, one session after another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::handle::{Asking, Handle, LinkState};
use super::message::{
    ANSWER, Answer, Ask, MAX_BODY, MemberRole, REPORT, REQUEST, Registration, Reply, Report,
    Request, VIEW, View,
};
use crate::backoff::Backoff;
use crate::explain::Code;
use crate::wire::{self, Identity, PeerRole};

/// A handshake that takes longer is tried elsewhere.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// The coordinator pushes a view each second: without a word for so long, it is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Reports are at least so far apart: enough for routing, and 50 a second cost the coordinator nothing.
const REPORT_EVERY_AT_MOST: Duration = Duration::from_millis(20);
/// And at most so far: this is how the coordinator knows that the member lives.
const REPORT_EVERY_AT_LEAST: Duration = Duration::from_millis(200);
/// Pauses between attempts, each at the next coordinator of the list.
const PAUSE_AT_LEAST: Duration = Duration::from_millis(50);
/// A coordinator that is back is found within this.
const PAUSE_AT_MOST: Duration = Duration::from_secs(2);
/// One shipper asks one thing at a time; more would only wait here instead of at the asker.
const ASKS: usize = 8;

/// The link of one agent.
#[derive(Debug)]
pub struct CoordinatorLink {
    coordinators: Arc<[String]>,
    identity: Identity,
    asks: mpsc::Receiver<Asking>,
    report: watch::Receiver<Option<Report>>,
    registration: watch::Receiver<Registration>,
    view: watch::Sender<Option<View>>,
    state: watch::Sender<LinkState>,
}

/// Why a session is over.
enum End {
    Stopped,
    Lost(String),
    Refused(Code, String),
}

impl CoordinatorLink {
    /// The link, the handle to it, and the newest view (`None` before the first; the last one stays
    /// while no coordinator is there). `coordinators` are `host:port`, tried in turn.
    pub fn new(
        coordinators: Vec<String>,
        identity: Identity,
        registration: Registration,
    ) -> (CoordinatorLink, Handle, watch::Receiver<Option<View>>) {
        let coordinators: Arc<[String]> = coordinators.into();
        let member = registration.member.clone();
        let (ask_sender, asks) = mpsc::channel(ASKS);
        let (report_sender, report) = watch::channel(None);
        let (registration_sender, registration) = watch::channel(registration);
        let (view, view_receiver) = watch::channel(None);
        let (state, state_receiver) = watch::channel(LinkState::Connecting { why: String::new() });
        let handle = Handle {
            member,
            coordinators: coordinators.clone(),
            asks: ask_sender,
            report: report_sender,
            registration: registration_sender,
            state: state_receiver,
        };
        let link =
            CoordinatorLink { coordinators, identity, asks, report, registration, view, state };
        (link, handle, view_receiver)
    }

    /// As [`CoordinatorLink::new`], running in a task of its own that ends with the last handle.
    pub fn start(
        coordinators: Vec<String>,
        identity: Identity,
        registration: Registration,
    ) -> (Handle, watch::Receiver<Option<View>>) {
        let (link, handle, view) = CoordinatorLink::new(coordinators, identity, registration);
        // Not joined: it holds nothing that has to be closed in order, and ends with its handles.
        tokio::spawn(link.run(CancellationToken::new()));
        (handle, view)
    }

    /// Connects, registers, and keeps at it until `stop` or until the last handle is gone.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(PAUSE_AT_LEAST, PAUSE_AT_MOST);
        let mut failures = 0u64;
        for attempt in 0usize.. {
            let Some(address) = self.coordinators.get(attempt % self.coordinators.len().max(1))
            else {
                return;
            };
            let address = address.clone();
            let end = tokio::select! {
                () = stop.cancelled() => End::Stopped,
                end = self.session(&address) => end,
            };
            let was_registered = matches!(*self.state.borrow(), LinkState::Registered { .. });
            if was_registered {
                backoff.reset();
                failures = 0;
            }
            match end {
                End::Stopped => return,
                End::Lost(why) => {
                    if failures == 0 {
                        warn!(code = %Code::NO_COORDINATOR, coordinator = %address, %why,
                            "no coordinator; going on without");
                    } else {
                        debug!(coordinator = %address, %why, "no coordinator");
                    }
                    self.state.send_replace(LinkState::Connecting { why });
                }
                End::Refused(code, reason) => {
                    if failures == 0 {
                        warn!(%code, coordinator = %address, %reason,
                            "the coordinator refuses this member");
                    }
                    self.state.send_replace(LinkState::Refused { reason });
                }
            }
            failures += 1;
            tokio::select! {
                () = stop.cancelled() => return,
                () = backoff.wait() => {}
                () = self.handles_gone() => return,
            }
        }
    }

    /// Returns when nobody holds a handle any more.
    async fn handles_gone(&mut self) {
        let mut registration = self.registration.clone();
        while registration.changed().await.is_ok() {}
    }

    async fn session(&mut self, address: &str) -> End {
        let connection =
            wire::connect(address, &self.identity, PeerRole::Coordinator, CONNECT_WITHIN).await;
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => return End::Lost(error.to_string()),
        };
        let (sender, receiver) = connection.split();
        let session = Session {
            address,
            sender: sender.with_deadline(SILENCE),
            receiver: receiver.with_limit(MAX_BODY),
            waiting: BTreeMap::new(),
            last_id: 0,
            registered: false,
        };
        match session.run(self).await {
            Ok(end) => end,
            Err(why) => End::Lost(why),
        }
    }

    /// The registration of now: a log that has grown since the start says so, or it would look as if
    /// it had been shortened (I16).
    fn registration(&mut self) -> Registration {
        let mut registration = self.registration.borrow_and_update().clone();
        if let Some(report) = &*self.report.borrow() {
            registration.tail = registration.tail.max(report.flushed);
        }
        registration
    }

    /// What the agent last said; before that, that it is starting.
    fn newest_report(&self) -> Report {
        let told = self.report.borrow().clone();
        told.unwrap_or_else(|| {
            let has_server = self.registration.borrow().server.is_some();
            let role = if has_server { MemberRole::Replica } else { MemberRole::Witness };
            Report::starting(role)
        })
    }

    /// Keeps the view; wakes nobody for a sign of life that says nothing new.
    fn keep_view(&self, view: View) {
        self.view.send_if_modified(|known| {
            let revision = view.revision;
            let same =
                known.as_ref().is_some_and(|known| View { revision, ..known.clone() } == view);
            *known = Some(view);
            !same
        });
    }
}

/// Whose answer is awaited.
enum Waiting {
    Registration,
    Asker(oneshot::Sender<Reply>),
}

struct Session<'a> {
    address: &'a str,
    sender: wire::Sender,
    receiver: wire::Receiver,
    waiting: BTreeMap<u64, Waiting>,
    last_id: u64,
    registered: bool,
}

impl Session<'_> {
    /// Until the connection is lost (`Err` says how), refused, or nobody wants it any more.
    async fn run(mut self, link: &mut CoordinatorLink) -> Result<End, String> {
        let registration = link.registration();
        self.ask(Ask::Register(registration), Waiting::Registration).await?;
        let mut silent_at = Instant::now() + SILENCE;
        let mut sent_at = Instant::now();
        let mut report_at = sent_at;
        loop {
            // `next`, `recv` and `changed` lose nothing when another arm wins.
            tokio::select! {
                message = self.receiver.next() => {
                    let message = message.map_err(|error| error.to_string())?;
                    let message = message.ok_or("the coordinator closed the connection")?;
                    silent_at = Instant::now() + SILENCE;
                    if let Some(end) = self.take(&message, link)? {
                        return Ok(end);
                    }
                }
                asking = link.asks.recv(), if self.registered => {
                    let Some(Asking { ask, answer }) = asking else { return Ok(End::Stopped) };
                    // Whoever gave up waiting asks again: carrying it out late would only fence.
                    if !answer.is_closed() {
                        self.ask(ask, Waiting::Asker(answer)).await?;
                    }
                }
                changed = link.registration.changed() => {
                    if changed.is_err() {
                        return Ok(End::Stopped);
                    }
                    let registration = link.registration();
                    self.ask(Ask::Register(registration), Waiting::Registration).await?;
                }
                changed = link.report.changed(), if self.registered => {
                    if changed.is_err() {
                        return Ok(End::Stopped);
                    }
                    report_at = report_at.min(sent_at + REPORT_EVERY_AT_MOST);
                }
                () = sleep_until(report_at), if self.registered => {
                    let report = link.newest_report();
                    self.send(REPORT, &report).await?;
                    sent_at = Instant::now();
                    report_at = sent_at + REPORT_EVERY_AT_LEAST;
                }
                () = sleep_until(silent_at) => {
                    return Err(format!("nothing heard for {} s", SILENCE.as_secs()));
                }
            }
        }
    }

    fn take(
        &mut self,
        message: &wire::Message,
        link: &mut CoordinatorLink,
    ) -> Result<Option<End>, String> {
        match message.kind {
            VIEW => {
                link.keep_view(message.json().map_err(|error| error.to_string())?);
                Ok(None)
            }
            ANSWER => {
                let answer: Answer = message.json().map_err(|error| error.to_string())?;
                Ok(self.answered(answer, link))
            }
            other => Err(format!("message of unknown kind {other}")),
        }
    }

    fn answered(&mut self, answer: Answer, link: &CoordinatorLink) -> Option<End> {
        match (self.waiting.remove(&answer.id)?, answer.reply) {
            (Waiting::Asker(asker), reply) => {
                // Gone: it gave up waiting.
                let _ = asker.send(reply);
                None
            }
            (Waiting::Registration, Reply::Registered { cluster }) => {
                if !self.registered {
                    info!(coordinator = %self.address, %cluster, "registered");
                }
                self.registered = true;
                let coordinator = self.address.to_owned();
                link.state.send_replace(LinkState::Registered { coordinator, cluster });
                None
            }
            (Waiting::Registration, Reply::Refused { code, reason }) => {
                Some(End::Refused(code, reason))
            }
            (Waiting::Registration, _) => Some(End::Lost("no answer to a registration".to_owned())),
        }
    }

    async fn ask(&mut self, ask: Ask, waiting: Waiting) -> Result<(), String> {
        self.last_id += 1;
        let id = self.last_id;
        self.waiting.retain(|_, waiting| match waiting {
            Waiting::Registration => true,
            Waiting::Asker(asker) => !asker.is_closed(),
        });
        self.waiting.insert(id, waiting);
        self.send(REQUEST, &Request { id, ask }).await
    }

    async fn send<T: serde::Serialize>(&mut self, kind: u8, body: &T) -> Result<(), String> {
        self.sender.send_json(kind, body).await.map_err(|error| error.to_string())
    }
}
