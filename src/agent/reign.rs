//! A reign: the tail's transactions stamped, logged and shipped, until something ends it.
//!
//! Three kinds of tasks: this one (tail, stamp, hand to log and window), the counter (reports, commit
//! point, ACKs), and one sender a member. Facts flow back as channels: the commit point as a watch,
//! the end of any of them as the end of the reign.

mod change;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wal::{Body, Codec, EpochStart, Lsn, Timestamp};

use super::attach::{Opening, open_tail, opened};
use super::counter::{Counter, FromStamper};
use super::intake::Intake;
use super::persist::persist;
use super::source::Sessions;
use super::state::Topic;
use super::tailing::{From, Reader};
use super::{Error, Parts, opener};
use crate::backoff::Backoff;
use crate::cluster::{ErrorClass, Grant, LogFormat, MemberName, QuorumConfig, Voter, causes};
use crate::explain::Coded;
use crate::log::{Append, Refusal, Standing};
use crate::quorum::Tracker;
use crate::server::Session;
use crate::ship::Window;
use crate::ship::sender::{self, SenderContext};
use crate::stamp::{self, Stamped, Stamper};
use crate::tail::Tailed;
use crate::timestamp::TimestampClient;

/// Frames shipped and not yet seen by the counter.
const SHIPPED_QUEUE: usize = 1024;

/// Reports not yet counted, of all members.
const REPORT_QUEUE: usize = 256;

/// An idle source writes a heartbeat as often: it shows that a commit still finds its quorum.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Transactions that are stamped together: they were waiting already (I1, I11).
const BATCH_BYTES: usize = 1 << 20;
const BATCH_COUNT: usize = 1024;

/// While the server waits to be opened, how often is looked how far the tail has been read.
const LOOK: Duration = Duration::from_millis(5);

/// Pauses while the timestamp servers do not answer.
const TIMESTAMP_PAUSE_MIN: Duration = Duration::from_millis(5);
const TIMESTAMP_PAUSE_MAX: Duration = Duration::from_millis(500);

/// What a reign begins with.
pub(super) struct Begun {
    pub grant: Grant,
    pub standing: Standing,
    pub start: EpochStart,
    pub reader: Reader,
    pub from: From,
}

/// Runs the reign; gives the sessions back, for the next one.
pub(super) async fn run(
    parts: &Parts,
    timestamps: &TimestampClient,
    begun: Begun,
    sessions: Sessions,
    stop: &CancellationToken,
) -> (Option<Sessions>, Result<(), Error>) {
    let term = stop.child_token();
    let Begun { grant, standing, start, reader, from } = begun;
    let Sessions { control, guard } = sessions;
    let me = Voter { member: parts.config.name.clone(), incarnation: parts.log.incarnation() };
    let first = Lsn::after(standing.tail.map(|tail| tail.lsn));
    let tracker = Tracker::new(grant.commit.clone(), first, me.member.clone(), grant.ack);
    let (counter, commit) = Counter::new(parts, grant.shipper, me, tracker);
    let (to_counter, from_stamper) = mpsc::channel(SHIPPED_QUEUE);
    let (events, heard) = mpsc::channel(REPORT_QUEUE);
    let window = Arc::new(Window::new(standing.tail));
    let own = parts.log.progress();
    let mut counting = tokio::spawn(counter.run(from_stamper, heard, own, term.clone()));
    let guarding = guard.map(|guard| {
        let server = reader.server.connection.clone();
        tokio::spawn(guard.run(server, parts.shared.clone(), term.clone()))
    });
    let grant = Arc::new(grant);
    let context = SenderContext {
        identity: parts.identity.clone(),
        grant: grant.clone(),
        log: parts.log.clone(),
        window: window.clone(),
        commit: commit.clone(),
        events,
    };
    let mut senders = send_to_all(context, &parts.config.name, &term);
    let (refusals, refused) = mpsc::channel(1);
    let mut reign = Reign {
        parts,
        timestamps,
        grant: &grant,
        term: term.clone(),
        stamper: Some(stamper(&grant, &standing)),
        window,
        commit,
        to_counter,
        refusals,
        refused,
        before: standing.tail,
        reader,
        from,
        whole: None,
        control: Some(control),
        intake: Intake::default(),
        opening: None,
        configs: grant.commit.clone(),
        reached: watch::Sender::new(None),
        duties: JoinSet::new(),
    };
    let mut counted = None;
    let ended = tokio::select! {
        ended = reign.run(start) => ended,
        done = &mut counting => {
            counted = Some(done.unwrap_or(Err(Error::RoleTask)));
            Ok(())
        }
        () = stop.cancelled() => Ok(()),
    };
    term.cancel();
    let control = reign.give_back().await;
    drop(reign);
    let ended = cause(counted, counting, ended).await;
    while senders.join_next().await.is_some() {}
    let guard = match guarding {
        Some(guarding) => guarding.await.ok(),
        None => None,
    };
    (control.map(|control| Sessions { control, guard }), ended)
}

/// Goes on behind the adopted log.
fn stamper(grant: &Grant, standing: &Standing) -> Stamper {
    let Standing { tail, chain, last_timestamp, .. } = standing;
    Stamper::new(grant.shipper.epoch, *tail, *chain, *last_timestamp)
}

/// What ended the reign. A counter that ends leaves the stamper nobody to tell: where both have an
/// error, the counter's is the cause. `counted` is its end, where that has been seen already.
async fn cause(
    counted: Option<Result<(), Error>>,
    counting: JoinHandle<Result<(), Error>>,
    ended: Result<(), Error>,
) -> Result<(), Error> {
    let counted = match counted {
        Some(counted) => counted,
        None => counting.await.unwrap_or(Err(Error::RoleTask)),
    };
    counted.and(ended)
}

fn send_to_all(context: SenderContext, me: &MemberName, term: &CancellationToken) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for member in context.grant.members.iter().filter(|member| member.member != *me) {
        senders.spawn(sender::keep(member.clone(), context.clone(), term.clone()));
    }
    senders
}

struct Reign<'a> {
    parts: &'a Parts,
    timestamps: &'a TimestampClient,
    grant: &'a Grant,
    term: CancellationToken,
    /// Here while it does not stamp a large transaction elsewhere.
    stamper: Option<Stamper>,
    window: Arc<Window>,
    commit: watch::Receiver<Option<Lsn>>,
    to_counter: mpsc::Sender<FromStamper>,
    refusals: mpsc::Sender<Refusal>,
    refused: mpsc::Receiver<Refusal>,
    before: Option<wal::LogPoint>,
    reader: Reader,
    /// Where a lost tail connection would go on.
    from: From,
    /// The last record before the pieces of a transaction whose end has not come; `None` between
    /// transactions.
    whole: Option<Lsn>,
    /// Here while the tail is open; with the task that opens it meanwhile.
    control: Option<Session>,
    intake: Intake,
    opening: Option<JoinHandle<Opening>>,
    /// The rules that commit needs, as last told to the counter.
    configs: Vec<QuorumConfig>,
    /// To the opener: where the tail stands, and the record shipped last.
    reached: watch::Sender<opener::Reached>,
    /// What is told to the coordinator once something is committed.
    duties: JoinSet<Result<(), Error>>,
}

impl Reign<'_> {
    async fn run(&mut self, start: EpochStart) -> Result<(), Error> {
        let position = start.position.clone();
        let first = self.ship(vec![Body::EpochStart(start)]).await?;
        self.complete_when_committed(first).await?;
        self.open_when_released(first).await?;
        self.duties.spawn(opener::open(
            self.parts.clone(),
            self.reader.server.connection.clone(),
            (self.grant.shipper.epoch, position),
            self.reached.subscribe(),
            self.to_counter.clone(),
        ));
        if self.configs.len() > 1 {
            // The change began before this reign, or the one before did not finish it.
            self.change(self.configs.clone()).await?;
        }
        let mut view = self.parts.view.clone();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        loop {
            tokio::select! {
                tailed = self.intake.next() => match tailed {
                    Ok(tailed) => {
                        // The server's own heartbeats come as often: they must not hold ours up.
                        if self.take_batch(tailed).await? {
                            heartbeat.reset();
                        }
                    }
                    Err(error) => self.tail_lost(error.into()).await?,
                },
                opened = opened(&mut self.opening) => self.opened(opened?).await?,
                Some(refusal) = self.refused.recv() => return Err(self.refusal(refusal)),
                Some(done) = self.duties.join_next() => done.unwrap_or(Err(Error::RoleTask))?,
                Ok(()) = view.changed() => {
                    let view = view.borrow_and_update().clone();
                    self.follow_change(view).await?;
                }
                _ = heartbeat.tick() => {
                    // The stamper fills in the timestamp that it closes.
                    let closed = Timestamp::from_bits(1).ok_or(Error::RoleTask)?;
                    self.ship(vec![Body::Heartbeat { closed }]).await?;
                }
                () = tokio::time::sleep(LOOK), if self.reached.receiver_count() > 0 => {}
            }
            self.tell_opener();
        }
    }

    /// Stamps and ships `first` and whatever else has arrived already, as one run; says whether there
    /// was anything to ship.
    async fn take_batch(&mut self, first: Tailed) -> Result<bool, Error> {
        let mut bodies = Vec::new();
        let (mut bytes, mut next) = (0, Some(first));
        while let Some(tailed) = next.take() {
            match tailed {
                Tailed::Transaction(transaction, _) => {
                    bytes += transaction.events.len();
                    self.from = From::behind(&transaction);
                    bodies.push(Body::Transaction(transaction));
                }
                Tailed::Piece(events) => {
                    bytes += events.len();
                    let before = self.before.map_or(Lsn::FIRST, |point| point.lsn);
                    self.whole.get_or_insert(before.plus(bodies.len() as u64));
                    bodies.push(Body::Chunk(events));
                }
                Tailed::Pieced(transaction, _) => {
                    bytes += transaction.events.len();
                    self.from = From::behind(&transaction);
                    self.whole = None;
                    bodies.push(Body::ChunkEnd(transaction));
                }
                Tailed::FormatDescription { position, event } => {
                    bodies.push(Body::FormatDescription { position, event });
                }
                Tailed::Heartbeat { .. } | Tailed::Rotated(_) => {}
            }
            if bytes < BATCH_BYTES && bodies.len() < BATCH_COUNT {
                next = self.intake.try_next();
            }
        }
        if bodies.is_empty() {
            return Ok(false);
        }
        self.ship(bodies).await?;
        Ok(true)
    }

    /// Stamps `bodies` and hands them to the log and to every member; gives the last one's number.
    async fn ship(&mut self, bodies: Vec<Body>) -> Result<Lsn, Error> {
        let timestamps = self.take_timestamps(bodies.len()).await?;
        let shipper = self.grant.shipper;
        let mut last = self.before.map_or(Lsn::FIRST, |point| point.lsn);
        for Stamped { frame, shipped } in self.stamp(bodies, timestamps).await? {
            last = shipped.last;
            self.tell(FromStamper::Shipped(shipped)).await?;
            let before = self.before.replace(frame.last());
            self.window.push(frame.clone());
            let commit = *self.commit.borrow();
            let (frames, refusals) = (vec![frame], self.refusals.clone());
            self.parts.log.append(Append { shipper, before, frames, commit, refusals }).await?;
        }
        let mut progress = self.parts.log.progress();
        while !self.window.shrink(progress.borrow_and_update().written) {
            tokio::select! {
                changed = progress.changed() => {
                    changed.map_err(|_| crate::log::Error::Stopped)?;
                }
                // A full disk: the log writes nothing more of this reign.
                Some(refusal) = self.refused.recv() => return Err(self.refusal(refusal)),
            }
        }
        Ok(last)
    }

    /// A large run is stamped and compressed on another thread: nothing else waits for that, least of
    /// all the ACKs of what came before it, and the next run is read meanwhile.
    async fn stamp(
        &mut self,
        bodies: Vec<Body>,
        timestamps: Vec<Timestamp>,
    ) -> Result<Vec<Stamped>, Error> {
        let mut stamper = self.stamper.take().ok_or(Error::RoleTask)?;
        let bulk = bodies.iter().map(stamp::size).sum::<usize>() > BATCH_BYTES;
        let codec = if bulk { self.bulk_codec() } else { Codec::Lz4 };
        let stamping = move || {
            stamper.set_codec(codec);
            let stamped = stamper.stamp(bodies, timestamps);
            (stamper, stamped)
        };
        let (stamper, stamped) = match bulk {
            true => {
                let stamping = self.intake.beside(spawn_blocking(stamping));
                stamping.await.map_err(|_| Error::RoleTask)?
            }
            false => stamping(),
        };
        self.stamper = Some(stamper);
        Ok(stamped?)
    }

    /// What comes in bulk is compressed more: then the disk and the network are what it waits for, and
    /// no COMMIT waits for the difference. Only once every member reads such frames.
    fn bulk_codec(&self) -> Codec {
        let view = self.parts.view.borrow();
        let format = view.as_ref().map(|view| view.log_format).unwrap_or_default();
        if format >= LogFormat::ZSTD { Codec::Zstd } else { Codec::Lz4 }
    }

    async fn take_timestamps(&self, count: usize) -> Result<Vec<Timestamp>, Error> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let mut pause = Backoff::new(TIMESTAMP_PAUSE_MIN, TIMESTAMP_PAUSE_MAX);
        let mut alarmed = false;
        loop {
            let error = match self.timestamps.take(count).await {
                Ok(run) => {
                    if alarmed {
                        self.parts.shared.alarm(Topic::Timestamps, None);
                    }
                    return Ok(run.iter().collect());
                }
                Err(error) => error,
            };
            if error.class() == ErrorClass::Fatal {
                return Err(error.into());
            }
            alarmed = true;
            let text = format!("COMMITs wait: no timestamps: {}", causes(&error));
            let alarm = Coded::new(error.code(), text);
            self.parts.shared.alarm(Topic::Timestamps, Some(alarm));
            pause.wait().await;
        }
    }

    async fn tell(&self, told: FromStamper) -> Result<(), Error> {
        // The counter ends only with an error of its own, which `run` reports.
        self.to_counter.send(told).await.map_err(|_| Error::RoleTask)
    }

    async fn when_committed(&self, lsn: Lsn) -> Result<oneshot::Receiver<()>, Error> {
        let (done, committed) = oneshot::channel();
        self.tell(FromStamper::WhenCommitted(lsn, done)).await?;
        Ok(committed)
    }

    /// The store learns that this epoch is complete: later fences need not satisfy older rules (I6).
    async fn complete_when_committed(&mut self, lsn: Lsn) -> Result<(), Error> {
        let committed = self.when_committed(lsn).await?;
        let (link, shipper) = (self.parts.link.clone(), self.grant.shipper);
        let shared = self.parts.shared.clone();
        self.duties.spawn(async move {
            if committed.await.is_err() {
                return Ok(());
            }
            tracing::info!(epoch = %shipper.epoch, %lsn, "epoch start committed");
            persist(&shared, Topic::Completion, || link.epoch_complete(shipper, lsn)).await
        });
        Ok(())
    }

    fn refusal(&self, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Fenced { .. } => Error::Fenced { by: self.parts.config.name.to_string() },
            other => Error::Log(crate::log::Error::Refused(other)),
        }
    }

    /// A lost connection to the same server process is made anew, where the log ends.
    async fn tail_lost(&mut self, error: Error) -> Result<(), Error> {
        self.intake.detach();
        self.parts.shared.protect(|shield| shield.attached = false);
        if error.class() == ErrorClass::Fatal {
            return Err(error);
        }
        tracing::warn!(code = %error.code(), error = causes(&error), "the tail was lost");
        // The pieces of a transaction whose end is still to come are applied nowhere, so with
        // `ack = "applied"` never released; the dump begins in front of them anyway.
        let last = self.before.map_or(Lsn::FIRST, |point| point.lsn);
        let whole = self.whole.take().unwrap_or(last);
        self.open_when_released(whole).await
    }

    /// Connects as the semi-synchronous replica, once everything up to `lsn` is released: the server
    /// takes the position that is asked for as our ACK (I3).
    async fn open_when_released(&mut self, lsn: Lsn) -> Result<(), Error> {
        let (done, released) = oneshot::channel();
        self.tell(FromStamper::WhenReleased(lsn, done)).await?;
        let control = self.control.take().ok_or(Error::RoleTask)?;
        let (reader, from, term) = (self.reader.clone(), self.from.clone(), self.term.clone());
        self.opening = Some(tokio::spawn(open_tail(control, reader, from, released, term)));
        Ok(())
    }

    async fn opened(&mut self, (control, opened): Opening) -> Result<(), Error> {
        self.opening = None;
        self.control = Some(control);
        let (tail, ack) = opened?;
        tracing::info!(position = %tail.position(), "tailing");
        self.parts.shared.protect(|shield| {
            shield.attached = true;
            // It has not seen the server since: somebody else may have attached meanwhile.
            shield.looked = false;
        });
        self.intake.attach(tail);
        self.tell(FromStamper::Connection(ack)).await
    }

    /// The session, for the next reign. `term` is cancelled: a task that holds it returns it.
    async fn give_back(&mut self) -> Option<Session> {
        match self.opening.take() {
            Some(opening) => opening.await.ok().map(|(control, _)| control),
            None => self.control.take(),
        }
    }

    /// Tells the opener how far the tail has been read, and which record that is.
    fn tell_opener(&self) {
        let Some(tail) = self.intake.in_step() else { return };
        if self.reached.receiver_count() > 0 {
            let last = self.before.map_or(Lsn::FIRST, |point| point.lsn);
            self.reached.send_replace(Some((tail.position().clone(), last)));
        }
    }
}
