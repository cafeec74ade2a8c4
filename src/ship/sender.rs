//! Keeps one member's log up to date: attach, find the common point, send, hear.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wal::{Frame, LogPoint, Lsn};

use super::message::{self, AppendHead, Ask, MESSAGE_BYTES, Report, Standing, kind};
use super::{Error, Window, adopt};
use crate::backoff::Backoff;
use crate::cluster::{
    AckWhen, ErrorClass, Grant, MemberAddress, MemberName, Shipper, Voter, causes,
};
use crate::log::{self, LogHandle, Refusal, history};
use crate::quorum::Reported;
use crate::wire::{self, Identity, Message, PeerRole};

/// Bytes sent to a member and not yet reported flushed: bounds what waits in its queues.
const IN_FLIGHT_BYTES: usize = 16 << 20;

/// An idle shipper says at least this often that it is there; a member answers as often.
pub const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// How long a commit point waits for a frame to go with. A replica shows a commit later by no more
/// than this (and the timer's millisecond), and only where commits follow each other as closely.
const COMPANY: Duration = Duration::from_millis(1);

/// A member that says nothing for so long is connected to anew.
const SILENCE: Duration = Duration::from_secs(10);

/// Pauses between attempts to reach a member.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a sender tells its reign.
#[derive(Debug)]
pub enum PeerEvent {
    /// A member's progress with this shipper.
    Reported {
        /// Who, under which log folder.
        voter: Voter,
        /// How far.
        reported: Reported,
    },
    /// The member has promised another reign.
    Fenced {
        /// Who.
        member: MemberName,
        /// To whom.
        promised: Shipper,
    },
    /// A connection came or went, or a member does not count: for status.
    State {
        /// Who.
        member: MemberName,
        /// `None`: in order.
        trouble: Option<String>,
    },
    /// This agent's own log is damaged where the member needs it: tried again, once it is mended.
    Damaged {
        /// Who.
        member: MemberName,
        /// Where.
        trouble: String,
    },
    /// This agent's own log cannot be read: the reign is over.
    Broken(Error),
}

/// What all senders of a reign share.
#[derive(Debug, Clone)]
pub struct SenderContext {
    /// This agent, to the others.
    pub identity: Identity,
    /// The reign.
    pub grant: Arc<Grant>,
    /// This member's own log.
    pub log: LogHandle,
    /// The newest frames.
    pub window: Arc<Window>,
    /// The commit point.
    pub commit: watch::Receiver<Option<Lsn>>,
    /// To the reign. Bounded: a reign that is busy counting slows its senders down.
    pub events: mpsc::Sender<PeerEvent>,
}

/// Keeps `member` up to date until stopped or fenced; connects again as often as it takes.
pub async fn keep(member: MemberAddress, context: SenderContext, stop: CancellationToken) {
    let mut pause = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut reached: Option<(Voter, LogPoint)> = None;
    loop {
        let mut sender = Sender {
            member: &member,
            context: &context,
            next: Lsn::FIRST,
            before: None,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            commit_sent: None,
            frames_sent: Instant::now(),
            pace: SILENCE,
            hold: None,
            begins: None,
            reached: &mut reached,
        };
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = sender.session(&mut pause) => ended,
        };
        let Err(error) = ended;
        let member = member.member.clone();
        tracing::debug!(peer = %member, error = %causes(&error), "sender paused");
        let event = match error {
            Error::Fenced { promised, .. } => PeerEvent::Fenced { member, promised },
            error @ Error::Read(wal::Error::Damaged { .. }) => {
                PeerEvent::Damaged { member, trouble: causes(&error) }
            }
            error @ (Error::Read(_) | Error::Log(_)) if error.class() == ErrorClass::Fatal => {
                PeerEvent::Broken(error)
            }
            error => PeerEvent::State { member, trouble: Some(causes(&error)) },
        };
        if context.events.send(event).await.is_err() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause.wait() => {}
        }
    }
}

/// How long a message of so many bytes may take: a large transaction on a slow link is no dead peer.
/// 1 MiB/s at the least.
pub(super) fn patience(bytes: usize) -> Duration {
    SILENCE + Duration::from_secs((bytes >> 20) as u64)
}

/// Never returned: a session ends only by an error.
enum Never {}

struct Sender<'a> {
    member: &'a MemberAddress,
    context: &'a SenderContext,
    next: Lsn,
    before: Option<LogPoint>,
    in_flight: VecDeque<(Lsn, usize)>,
    in_flight_bytes: usize,
    commit_sent: Option<Lsn>,
    /// When a frame was sent last, and how long after the one before it.
    frames_sent: Instant,
    pace: Duration,
    /// Until when the commit point is held.
    hold: Option<Instant>,
    /// To be told to a member whose log is empty.
    begins: Option<Arc<wal::Beginning>>,
    /// What this member reported in this reign: its log must still hold that when it comes back.
    reached: &'a mut Option<(Voter, LogPoint)>,
}

impl Sender<'_> {
    fn wire(&self, source: wire::Error) -> Error {
        Error::Wire { member: self.member.member.clone(), source }
    }

    async fn session(&mut self, pause: &mut Backoff) -> Result<Never, Error> {
        let (to, mut from) =
            super::fence::connect(self.member, &self.context.identity).await?.split();
        let mut to = to.with_deadline(patience(message::LIMIT));
        let applied_at_once = self.context.grant.ack == AckWhen::Applied;
        let standing = super::fence::ask(
            self.member,
            &mut to,
            &mut from,
            kind::ATTACH,
            kind::ATTACHED,
            Ask { shipper: self.context.grant.shipper, applied_at_once },
        )
        .await?;
        let voter = standing.voter.clone();
        let counted = self.start_behind_common(&standing).await?;
        self.begin(&mut to, &mut from).await?;
        pause.reset();
        self.tell(PeerEvent::State { member: voter.member.clone(), trouble: counted.clone() })
            .await;
        let mut end = self.context.window.end();
        let mut commit = self.context.commit.clone();
        let mut written = self.context.log.progress();
        let mut tick = interval(KEEP_ALIVE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut cursor = None;
        loop {
            let frames = self.collect(&mut cursor).await?;
            let untold = *commit.borrow() > self.commit_sent;
            let held = self.held(untold).filter(|_| frames.is_empty());
            let ready = !frames.is_empty() || (untold && held.is_none());
            if ready {
                let now = *commit.borrow_and_update();
                self.send(&mut to, frames, now).await?;
            }
            let more = ready && self.lags() && self.in_flight_bytes < IN_FLIGHT_BYTES;
            if more {
                // Hear what has come meanwhile, without waiting for it.
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                message = from.next() => {
                    heard = Instant::now();
                    let message = message.map_err(|error| self.wire(error))?;
                    let message = message.ok_or_else(|| self.closed())?;
                    self.hear(message, &voter, counted.is_none()).await?;
                }
                () = std::future::ready(()), if more => {}
                _ = end.changed() => {}
                _ = commit.changed() => {}
                () = sleep_until(held.unwrap_or(heard)), if held.is_some() => {}
                // Frames that left the window are looked for on disk once they are written there.
                _ = written.changed(), if self.lags() => {}
                _ = tick.tick() => {
                    // What is on its way is neither flushed nor reported at once either.
                    if heard.elapsed() > patience(self.in_flight_bytes) {
                        return Err(self.silent());
                    }
                    let now = *commit.borrow_and_update();
                    self.send(&mut to, Vec::new(), now).await?;
                }
            }
        }
    }

    /// Where the two logs part; what speaks against counting the member, if anything (I16).
    async fn start_behind_common(&mut self, standing: &Standing) -> Result<Option<String>, Error> {
        let ours = self.context.log.standing().await?;
        self.before = history::last_common(&ours.epochs, &standing.epochs);
        self.next = Lsn::after(self.before.map(|point| point.lsn));
        self.check_begins(standing)?;
        let shortened = match self.reached {
            Some((voter, point)) if *voter == standing.voter => {
                (!history::holds(&standing.epochs, *point)).then(|| adopt::NotCounted::Shortened {
                    member: voter.member.clone(),
                    reached: *point,
                })
            }
            _ => None,
        };
        // Another incarnation is shipped to and heard: the tracker tells voters apart, and a joint
        // change may count it in meanwhile. A shortened log of the same one must not be counted.
        let granted = match adopt::counts(&self.context.grant, standing) {
            Err(reason @ adopt::NotCounted::Shortened { .. }) => Some(reason),
            _ => None,
        };
        Ok(granted.or(shortened).map(|reason| reason.to_string()))
    }

    /// Does this log still have what the member needs next? An empty one can begin where this one
    /// does.
    fn check_begins(&mut self, standing: &Standing) -> Result<(), Error> {
        let Some(beginning) = self.context.log.reader().beginning() else { return Ok(()) };
        let first = beginning.last().lsn.next();
        if self.next >= first {
            return Ok(());
        }
        if standing.tail.is_some() {
            let member = self.member.member.clone();
            return Err(Error::Removed { member, needed: self.next, first });
        }
        (self.before, self.next) = (Some(beginning.last()), first);
        self.begins = Some(beginning);
        Ok(())
    }

    /// Lets an empty log begin where this one does.
    async fn begin(
        &mut self,
        to: &mut wire::Sender,
        from: &mut wire::Receiver,
    ) -> Result<(), Error> {
        let Some(beginning) = self.begins.take() else { return Ok(()) };
        let sent = to.send(kind::BEGIN, &[&beginning.encode()]).await;
        sent.map_err(|error| self.wire(error))?;
        loop {
            let message = timeout(SILENCE, from.next()).await.map_err(|_| self.silent())?;
            let message = message.map_err(|error| self.wire(error))?;
            match message.ok_or_else(|| self.closed())? {
                message if message.kind == kind::BEGUN => return Ok(()),
                message if message.kind == kind::REFUSED => return Err(self.refused(&message)),
                // Of before.
                message if message.kind == kind::REPORT => {}
                message => return Err(self.bad(message.kind, "expected begun".to_owned())),
            }
        }
    }

    /// Until when a commit point that nothing else goes with waits for the next frame. Where frames
    /// follow each other closely, each takes the commit point of those before it along: else every
    /// commit would cost the member two messages.
    fn held(&mut self, untold: bool) -> Option<Instant> {
        if !untold {
            self.hold = None;
            return None;
        }
        let now = Instant::now();
        // Where COMMITs wait for the appliers, the commit point is on their way.
        let flushed = self.context.grant.ack == AckWhen::Flushed;
        let close = flushed && self.pace < COMPANY && now < self.frames_sent + COMPANY;
        let until = *self.hold.get_or_insert(if close { now + COMPANY } else { now });
        (now < until).then_some(until)
    }

    fn lags(&self) -> bool {
        self.context.window.end().borrow().is_some_and(|end| end.lsn >= self.next)
    }

    /// The next frames, from memory or disk, as far as the window of this member allows.
    async fn collect(&mut self, cursor: &mut Option<wal::Cursor>) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        let end = self.context.window.end().borrow().map(|end| end.lsn);
        while Some(self.next) <= end
            && bytes < MESSAGE_BYTES
            && self.in_flight_bytes < IN_FLIGHT_BYTES
        {
            let frame = match self.context.window.frame(self.next) {
                Some(frame) => {
                    *cursor = None;
                    frame
                }
                None => match self.read(cursor, end).await? {
                    Some(frame) => frame,
                    None => break,
                },
            };
            let len = frame.bytes().len();
            bytes += len;
            self.in_flight.push_back((frame.last().lsn, len));
            self.in_flight_bytes += len;
            self.next = frame.last().lsn.next();
            frames.push(frame);
        }
        Ok(frames)
    }

    /// From the disk, on a thread that may wait for it: ACKs do not wait for a member that lags.
    async fn read(
        &self,
        cursor: &mut Option<wal::Cursor>,
        end: Option<Lsn>,
    ) -> Result<Option<Frame>, Error> {
        let written = self.context.log.progress().borrow().written.map(|point| point.lsn);
        let Some(up_to) = written.min(end).filter(|&up_to| up_to >= self.next) else {
            return Ok(None);
        };
        let (reader, next, begun) = (self.context.log.reader().clone(), self.next, cursor.take());
        let reading = tokio::task::spawn_blocking(move || -> Result<_, wal::Error> {
            let mut cursor = match begun {
                Some(cursor) => cursor,
                None => reader.cursor(next)?,
            };
            let frame = cursor.next_frame(up_to)?;
            Ok((cursor, frame))
        });
        let (read, frame) = reading.await.map_err(|_| log::Error::Stopped)??;
        *cursor = Some(read);
        Ok(frame)
    }

    async fn send(
        &mut self,
        to: &mut wire::Sender,
        frames: Vec<Frame>,
        commit: Option<Lsn>,
    ) -> Result<(), Error> {
        let head = AppendHead { shipper: self.context.grant.shipper, commit, before: self.before }
            .encode();
        let mut parts: Vec<&[u8]> = Vec::with_capacity(1 + frames.len());
        parts.push(&head);
        parts.extend(frames.iter().map(|frame| &frame.bytes()[..]));
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        match timeout(patience(bytes), to.send(kind::APPEND, &parts)).await {
            Ok(sent) => sent.map_err(|error| self.wire(error))?,
            Err(_) => return Err(self.silent()),
        }
        self.commit_sent = commit;
        if let Some(last) = frames.last() {
            self.before = Some(last.last());
            let now = Instant::now();
            self.pace = now - self.frames_sent;
            self.frames_sent = now;
        }
        Ok(())
    }

    async fn hear(&mut self, message: Message, voter: &Voter, counted: bool) -> Result<(), Error> {
        match message.kind {
            kind::REPORT => {
                let report = Report::decode(message.body)
                    .map_err(|reason| self.bad(kind::REPORT, reason))?;
                if report.shipper == self.context.grant.shipper {
                    self.reported(report, voter, counted).await;
                }
                Ok(())
            }
            kind::REFUSED => Err(self.refused(&message)),
            other => Err(self.bad(other, "not expected from a member".to_owned())),
        }
    }

    async fn reported(&mut self, report: Report, voter: &Voter, counted: bool) {
        while let Some(&(last, bytes)) = self.in_flight.front() {
            if Some(last) > report.flushed {
                break;
            }
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
        }
        if !counted {
            return;
        }
        if let Some(lsn) = report.flushed {
            let history = self.context.log.reader().point_at(lsn).ok().flatten();
            if let Some(point) = history {
                *self.reached = Some((voter.clone(), point));
            }
        }
        let reported = Reported { flushed: report.flushed, applied: report.applied };
        self.tell(PeerEvent::Reported { voter: voter.clone(), reported }).await;
    }

    async fn tell(&self, event: PeerEvent) {
        // The reign has ended when nobody listens; `stop` will say so.
        let _ = self.context.events.send(event).await;
    }

    fn refused(&self, message: &Message) -> Error {
        refusal(&self.member.member, message)
    }

    fn bad(&self, kind: u8, reason: String) -> Error {
        Error::BadMessage { member: self.member.member.clone(), kind, reason }
    }

    fn closed(&self) -> Error {
        Error::Closed { member: self.member.member.clone() }
    }

    fn silent(&self) -> Error {
        Error::Silent { member: self.member.member.clone(), seconds: SILENCE.as_secs() }
    }
}

/// A REFUSED message as an error.
pub(super) fn refusal(member: &MemberName, message: &Message) -> Error {
    let member = member.clone();
    match serde_json::from_slice::<Refusal>(&message.body) {
        Ok(Refusal::Fenced { promised }) => Error::Fenced { member, promised },
        Ok(refusal) => Error::Log(crate::log::Error::Refused(refusal)),
        Err(error) => {
            Error::BadMessage { member, kind: message::kind::REFUSED, reason: error.to_string() }
        }
    }
}

/// The role under which members meet.
pub(super) const PEER: PeerRole = PeerRole::Member;
