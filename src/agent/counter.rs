//! The other half of a reign: reports in; commit point, ACKs and state out.
//!
//! A task of its own, so that an ACK does not wait behind transactions that are being read, nor behind a
//! large one that is being compressed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use wal::{BinlogPosition, Epoch, Lsn};

use super::state::{AppliedWatch, Released, Shared, Topic};
use super::{Error, Parts};
use crate::ack::{Acknowledger, Shipped};
use crate::cluster::{QuorumConfig, Shipper, Voter, causes};
use crate::explain::{Code, Coded};
use crate::log::Progress;
use crate::quorum::{Reported, Tracker};
use crate::ship::sender::PeerEvent;
use crate::tail::AckSender;

/// A quorum that lets COMMITs wait so long is worth an alarm.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the stamping half tells the counting half, in order.
pub(super) enum FromStamper {
    /// A frame goes to the log and the members.
    Shipped(Shipped),
    /// The tail is connected: acknowledge there from now on, what was released before too.
    Connection(AckSender),
    /// Commit needs these from now on (I6).
    Configs(Vec<QuorumConfig>),
    /// Say when everything up to here is committed.
    WhenCommitted(Lsn, oneshot::Sender<()>),
    /// Say when COMMITs up to here may return.
    WhenReleased(Lsn, oneshot::Sender<()>),
}

pub(super) struct Counter {
    pub shipper: Shipper,
    pub me: Voter,
    pub tracker: Tracker,
    /// `None` while the tail is not connected.
    ack: Option<AckSender>,
    pub shared: Shared,
    pub applied: AppliedWatch,
    pub commit: watch::Sender<Option<Lsn>>,
    acknowledger: Acknowledger,
    await_commit: Vec<(Lsn, oneshot::Sender<()>)>,
    await_release: Vec<(Lsn, oneshot::Sender<()>)>,
    tail: Option<Lsn>,
    repeat: bool,
    /// Frames by their last record, and when they were handed to the members.
    shipped_at: VecDeque<(Lsn, Instant)>,
    /// A verification takes it while nothing may become visible at the source.
    acks: Arc<Mutex<()>>,
    commit_seconds: metrics::Histogram,
}

impl Counter {
    pub fn new(
        parts: &Parts,
        shipper: Shipper,
        me: Voter,
        tracker: Tracker,
    ) -> (Counter, watch::Receiver<Option<Lsn>>) {
        let (commit, watched) = watch::channel(None);
        let counter = Counter {
            shipper,
            me,
            tracker,
            ack: None,
            shared: parts.shared.clone(),
            applied: parts.applied.clone(),
            commit,
            acknowledger: Acknowledger::default(),
            await_commit: Vec::new(),
            await_release: Vec::new(),
            tail: None,
            repeat: false,
            shipped_at: VecDeque::new(),
            acks: parts.acks.clone(),
            commit_seconds: metrics::histogram!(crate::metrics::COMMIT),
        };
        (counter, watched)
    }

    /// Counts until stopped.
    ///
    /// # Errors
    /// [`Error::Fenced`], or this agent's own log failed.
    pub async fn run(
        mut self,
        mut stamper: mpsc::Receiver<FromStamper>,
        mut peers: mpsc::Receiver<PeerEvent>,
        mut own: watch::Receiver<Progress>,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let mut look = tokio::time::interval(PATIENCE);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stuck_at = None;
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                Some(told) = stamper.recv() => self.told(told),
                Some(event) = peers.recv() => {
                    if let Err(error) = self.heard(event) {
                        break Err(error);
                    }
                }
                changed = own.changed() => {
                    if changed.is_err() {
                        break Err(crate::log::Error::Stopped.into());
                    }
                    let progress = own.borrow_and_update().clone();
                    if let Err(error) = self.flushed(&progress) {
                        break Err(error);
                    }
                }
                _ = look.tick() => {
                    stuck_at = self.look(stuck_at);
                    continue;
                }
            }
            if let Err(error) = self.count().await {
                break Err(error);
            }
        };
        // Whoever was fenced hands out no token and acknowledges nothing (I3, I4).
        self.acknowledger.fence();
        self.shared.let_go().released = None;
        ended
    }

    fn told(&mut self, told: FromStamper) {
        match told {
            FromStamper::Shipped(shipped) => {
                self.tail = Some(shipped.last);
                self.shipped_at.push_back((shipped.last, Instant::now()));
                self.acknowledger.shipped(shipped);
            }
            FromStamper::Connection(ack) => {
                // The last ACK may have been lost with the old connection, and what was released while
                // there was none was not told at all.
                self.ack = Some(ack);
                self.repeat = true;
            }
            FromStamper::Configs(configs) => self.tracker.set_configs(configs),
            FromStamper::WhenCommitted(lsn, done) => self.await_commit.push((lsn, done)),
            FromStamper::WhenReleased(lsn, done) => self.await_release.push((lsn, done)),
        }
    }

    fn heard(&mut self, event: PeerEvent) -> Result<(), Error> {
        match event {
            PeerEvent::Reported { voter, reported } => self.tracker.report(voter, reported),
            PeerEvent::Fenced { member, promised } => {
                tracing::warn!(code = %Code::FENCED, peer = %member, epoch = %promised.epoch,
                    "fenced by a newer reign");
                return Err(Error::Fenced { by: member.to_string() });
            }
            PeerEvent::State { member, trouble } => self.shared.change(|state| {
                match trouble {
                    Some(trouble) => state.peers.insert(member, trouble),
                    None => state.peers.remove(&member),
                };
            }),
            PeerEvent::Damaged { member, trouble } => {
                self.shared.damage_met();
                self.shared.change(|state| {
                    state.peers.insert(member, trouble);
                });
            }
            PeerEvent::Broken(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn flushed(&mut self, progress: &Progress) -> Result<(), Error> {
        if progress.promised != Some(self.shipper) {
            return Err(Error::Fenced { by: self.me.member.to_string() });
        }
        let flushed = progress.reportable.map(|point| point.lsn);
        self.tracker.report(self.me.clone(), Reported { flushed, applied: None });
        Ok(())
    }

    async fn count(&mut self) -> Result<(), Error> {
        let Some(commit) = self.tracker.commit() else { return Ok(()) };
        self.commit.send_if_modified(|now| {
            let more = *now < Some(commit);
            *now = (*now).max(Some(commit));
            more
        });
        reached(&mut self.await_commit, commit);
        let Some(release) = self.tracker.release() else { return Ok(()) };
        let acks = self.acks.clone();
        let _open = acks.lock().await;
        while let Some((_, since)) = self.shipped_at.pop_front_if(|(lsn, _)| *lsn <= release) {
            self.commit_seconds.record(since.elapsed());
        }
        let newest = self.acknowledger.release(release);
        if let Some((lsn, timestamp)) = self.acknowledger.released() {
            // Before the ACK: a token asked for after COMMIT returned has to cover it.
            let epoch: Epoch = self.shipper.epoch;
            self.shared.let_go().released = Some(Released { epoch, lsn, timestamp });
            self.applied.set(Some((lsn, timestamp)));
        }
        reached(&mut self.await_release, release);
        let repeated = || self.acknowledger.acknowledged().filter(|_| self.repeat).cloned();
        if let Some(position) = newest.or_else(repeated) {
            self.acknowledge(position).await;
        }
        Ok(())
    }

    /// Lets the master's COMMITs go up to `position`. What cannot be sent is sent on the next
    /// connection: the stamper learns from its own half that this one is lost.
    async fn acknowledge(&mut self, position: BinlogPosition) {
        self.repeat = true;
        let Some(ack) = &mut self.ack else { return };
        match ack.acknowledge(&position).await {
            Ok(()) => {
                self.repeat = false;
                self.shared.let_go().acknowledged = Some(position);
            }
            Err(error) => {
                tracing::warn!(code = %error.code(), error = causes(&error), "an ACK was not sent");
                self.ack = None;
            }
        }
    }

    /// Once a second: does anything wait for the quorum? An alarm names for whom.
    fn look(&self, stuck_at: Option<Lsn>) -> Option<Lsn> {
        let waiting = self.acknowledger.waiting() > 0;
        let tail = self.tail.filter(|_| waiting);
        let stuck = tail.is_some() && stuck_at.is_some() && self.tracker.release() < stuck_at;
        let behind = match tail {
            Some(tail) if stuck => self.tracker.behind(tail),
            _ => Vec::new(),
        };
        let names: Vec<_> = behind.into_iter().map(|voter| voter.member).collect();
        let alarm = (!names.is_empty()).then(|| {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let text = format!("COMMITs wait: the quorum lacks {}", names.join(", "));
            Coded::new(Code::QUORUM_LACKS, text)
        });
        self.shared.alarm(Topic::Quorum, alarm);
        self.shared.change(|state| state.waiting_for = names);
        tail
    }
}

fn reached(awaited: &mut Vec<(Lsn, oneshot::Sender<()>)>, now: Lsn) {
    for (_, done) in awaited.extract_if(.., |(lsn, _)| *lsn <= now) {
        // Who asked may be gone with its reign.
        let _ = done.send(());
    }
}
