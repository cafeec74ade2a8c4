//! A member's side of one connection.

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use wal::{Beginning, Lsn, Timestamp};

use super::Error;
use super::message::{self, Ask, Fetch, Report, Standing, kind};
use super::sender::{KEEP_ALIVE, patience};
use crate::cluster::{MemberName, Shipper, Voter};
use crate::log::{Append, LogHandle, Progress, Refusal};
use crate::wire::{self, Connection, Message};

/// What is applied on this member's server: the last record and its timestamp.
pub type AppliedPoint = Option<(Lsn, Timestamp)>;

/// Answers `connection` until it closes.
///
/// # Errors
/// Why it was closed from this side.
pub async fn serve(
    connection: Connection,
    me: &MemberName,
    log: LogHandle,
    mut applied: watch::Receiver<AppliedPoint>,
) -> Result<(), Error> {
    let peer = MemberName::new(connection.peer().name.clone()).unwrap_or_else(|_| me.clone());
    let (to, from) = connection.split();
    let to = to.with_deadline(patience(message::LIMIT));
    let mut from = from.with_limit(message::LIMIT);
    let (refusals, mut refused) = mpsc::channel(1);
    let voter = Voter { member: me.clone(), incarnation: log.incarnation() };
    let mut progress = log.progress();
    let mut member = Serving {
        to,
        peer,
        log,
        voter,
        refusals,
        attached: None,
        applied_at_once: false,
        reported: None,
    };
    let mut tick = interval(KEEP_ALIVE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = from.next() => {
                match message.map_err(|source| member.wire(source))? {
                    Some(message) => member.handle(message).await?,
                    None => return Ok(()),
                }
            }
            changed = progress.changed() => {
                changed.map_err(|_| crate::log::Error::Stopped)?;
                let now = progress.borrow_and_update().clone();
                if member.applied_at_once || member.has_flushed(&now) {
                    let applied = *applied.borrow();
                    member.report(&now, applied, false).await?;
                }
            }
            Ok(()) = applied.changed(), if member.applied_at_once => {
                let now = progress.borrow().clone();
                let applied = *applied.borrow_and_update();
                member.report(&now, applied, false).await?;
            }
            Some(refusal) = refused.recv() => member.refuse(refusal).await?,
            _ = tick.tick() => {
                let now = progress.borrow().clone();
                let applied = *applied.borrow();
                member.report(&now, applied, true).await?;
            }
        }
    }
}

struct Serving {
    to: wire::Sender,
    peer: MemberName,
    log: LogHandle,
    voter: Voter,
    refusals: mpsc::Sender<Refusal>,
    attached: Option<Shipper>,
    applied_at_once: bool,
    reported: Option<Report>,
}

impl Serving {
    fn wire(&self, source: wire::Error) -> Error {
        Error::Wire { member: self.peer.clone(), source }
    }

    fn bad(&self, kind: u8, reason: impl ToString) -> Error {
        Error::BadMessage { member: self.peer.clone(), kind, reason: reason.to_string() }
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message.kind {
            kind::PROMISE => {
                let ask = self.ask(&message)?;
                match self.log.promise(ask.shipper).await {
                    Ok(log) => self.stand(kind::PROMISED, log).await,
                    Err(crate::log::Error::Refused(refusal)) => self.refuse(refusal).await,
                    Err(error) => Err(error.into()),
                }
            }
            kind::ATTACH => {
                let ask = self.ask(&message)?;
                self.attached = Some(ask.shipper);
                self.applied_at_once = ask.applied_at_once;
                self.reported = None;
                let log = self.log.standing().await?;
                self.stand(kind::ATTACHED, log).await
            }
            kind::APPEND => self.append(message).await,
            kind::BEGIN => self.begin(&message).await,
            kind::FETCH => {
                let fetch: Fetch = serde_json::from_slice(&message.body)
                    .map_err(|error| self.bad(message.kind, error))?;
                self.fetch(fetch).await
            }
            other => Err(self.bad(other, "not a request to a member")),
        }
    }

    fn ask(&self, message: &Message) -> Result<Ask, Error> {
        serde_json::from_slice(&message.body).map_err(|error| self.bad(message.kind, error))
    }

    async fn stand(&mut self, kind: u8, log: crate::log::Standing) -> Result<(), Error> {
        let standing = Standing { voter: self.voter.clone(), tail: log.tail, epochs: log.epochs };
        self.to.send_json(kind, &standing).await.map_err(|source| self.wire(source))
    }

    async fn append(&mut self, message: Message) -> Result<(), Error> {
        let decoded = message::decode_append(message.body);
        let (head, frames) = decoded.map_err(|reason| self.bad(kind::APPEND, reason))?;
        if self.attached != Some(head.shipper) {
            return Err(self.bad(kind::APPEND, "its shipper has not attached"));
        }
        let append = Append {
            shipper: head.shipper,
            before: head.before,
            frames,
            commit: head.commit,
            refusals: self.refusals.clone(),
        };
        Ok(self.log.append(append).await?)
    }

    async fn begin(&mut self, message: &Message) -> Result<(), Error> {
        let Some(shipper) = self.attached else {
            return Err(self.bad(kind::BEGIN, "its shipper has not attached"));
        };
        let beginning = Beginning::decode(&message.body, self.log.cluster());
        let beginning = beginning.map_err(|error| self.bad(kind::BEGIN, error))?;
        match self.log.begin(shipper, beginning).await {
            Ok(()) => {
                let sent = self.to.send(kind::BEGUN, &[]).await;
                sent.map_err(|source| self.wire(source))
            }
            Err(crate::log::Error::Refused(refusal)) => self.refuse(refusal).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn fetch(&mut self, fetch: Fetch) -> Result<(), Error> {
        let mut cursor = self.log.reader().cursor(fetch.from)?;
        while let Some(frame) = cursor.next_frame(fetch.to)? {
            let sent = self.to.send(kind::FRAME, &[frame.bytes()]).await;
            sent.map_err(|source| self.wire(source))?;
            if frame.last().lsn >= fetch.to {
                break;
            }
        }
        self.to.send(kind::FETCHED, &[]).await.map_err(|source| self.wire(source))
    }

    /// Sends progress to the shipper it was made for, and to no other (I5): `progress` is one
    /// consistent view, so a promise to a newer reign silences this connection at once.
    async fn report(
        &mut self,
        progress: &Progress,
        applied: AppliedPoint,
        repeat: bool,
    ) -> Result<(), Error> {
        let Some(shipper) = self.attached.filter(|_| progress.promised == self.attached) else {
            return Ok(());
        };
        let report = Report {
            shipper,
            flushed: progress.reportable.map(|point| point.lsn),
            applied: applied.map(|(lsn, _)| lsn),
            applied_timestamp: applied.map(|(_, timestamp)| timestamp),
        };
        if !repeat && self.reported == Some(report) {
            return Ok(());
        }
        self.reported = Some(report);
        let sent = self.to.send(kind::REPORT, &[&report.encode()]).await;
        sent.map_err(|source| self.wire(source))
    }

    /// More than was reported? A new commit point alone is no news to the shipper.
    fn has_flushed(&self, progress: &Progress) -> bool {
        let flushed = progress.reportable.map(|point| point.lsn);
        self.reported.is_none_or(|reported| reported.flushed != flushed)
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), Error> {
        self.to.send_json(kind::REFUSED, &refusal).await.map_err(|source| self.wire(source))
    }
}
