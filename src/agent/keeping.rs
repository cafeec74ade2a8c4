//! Looks after the log's files, away from the log's thread: no COMMIT waits for it. Writes indexes,
//! and removes what `retention` says may go.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wal::{LogReader, Lsn};

use super::Parts;
use super::retention::{self, Decision, Facts, Holder, Kind, Sealed};
use super::state::Topic;
use crate::apply;
use crate::cluster::causes;
use crate::config::Keep;
use crate::explain::{Code, Coded, of_log};
use crate::report::{Consumer, LinkState, MemberRole};

/// How often. A segment takes longer to fill on most disks, and a quarter of a second to read.
const EVERY: Duration = Duration::from_secs(1);

/// What keeps the log from becoming shorter, for status and metrics.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Held {
    /// Who, the one that needs most first.
    pub held_by: Vec<Holder>,
    /// Bytes that would have gone without them.
    pub held_bytes: u64,
    /// Age of the oldest of those.
    pub held_seconds: u64,
}

/// [`Held`], shared.
#[derive(Clone, Default)]
pub(super) struct HeldNow(Arc<Mutex<Held>>);

impl HeldNow {
    /// Looked at, never held.
    pub fn lock(&self) -> MutexGuard<'_, Held> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until stopped: writes the index of each sealed segment that has none, one at a time, and removes
/// the segments that may go.
pub(super) async fn keep(parts: Parts, stop: CancellationToken) {
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {}
        }
        let done = async { index(&parts).await.and(trim(&parts).await) };
        let failed = tokio::select! {
            () = stop.cancelled() => return,
            done = done => done.err(),
        };
        // Once for each reason: it is tried again every second.
        if let Some(failed) = failed.as_ref().filter(|_| said != failed) {
            tracing::warn!(code = %failed.code, error = failed.text, "the log's files are not in order");
        }
        said = failed;
    }
}

/// Without its index, `find` reads a segment: nothing but time depends on it.
async fn index(parts: &Parts) -> Result<(), Coded> {
    let reader = parts.log.reader().clone();
    blocking(move || reader.index_sealed(1)).await.map(|_| ())
}

/// File work, on a thread that may wait for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, wal::Error> + Send + 'static,
) -> Result<T, Coded> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Coded::new(of_log(&error), causes(&error))),
        Err(error) => Err(Coded::new(Code::DEFECT, error.to_string())),
    }
}

async fn trim(parts: &Parts) -> Result<(), Coded> {
    let limits = parts.config.keep;
    if limits == Keep::default() {
        return Ok(());
    }
    let reader = parts.log.reader().clone();
    let mut facts = blocking(move || look(&reader, limits)).await?;
    facts.holders = holders(parts);
    // Asks the server only where it matters.
    if retention::decide(&facts).remove > 0 {
        facts.holders.extend(own_needs(parts).await?);
    }
    let decision = retention::decide(&facts);
    tell(parts, &decision);
    let Some(last) = decision.remove.checked_sub(1).and_then(|index| facts.sealed.get(index))
    else {
        return Ok(());
    };
    let failed = |error: crate::log::Error| Coded::new(error.code(), causes(&error));
    let removal = parts.log.remove_before(last.last.next()).await.map_err(failed)?;
    let (segments, bytes) = (removal.segments(), removal.bytes());
    blocking(move || removal.finish()).await?;
    tracing::info!(segments, bytes, through = %last.last, "old segments removed");
    Ok(())
}

/// The log as its files are.
fn look(reader: &LogReader, limits: Keep) -> Result<Facts, wal::Error> {
    let mut sealed = Vec::new();
    let mut newest_bytes = 0;
    let segments = reader.segments();
    for (index, segment) in segments.iter().enumerate() {
        match segment.last_lsn.filter(|_| index + 1 < segments.len()) {
            Some(last) => {
                sealed.push(Sealed { last, bytes: segment.bytes, age: age(&segment.path) });
            }
            None => newest_bytes = segment.bytes,
        }
    }
    let free = wal::free_bytes(reader.dir()).ok();
    let first = reader.first_lsn();
    Ok(Facts { first, sealed, newest_bytes, limits, holders: Vec::new(), free })
}

/// Since it was last written. A clock that was set back makes it young: it is kept longer.
fn age(path: &Path) -> Duration {
    let written = std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let age = written.and_then(|written| SystemTime::now().duration_since(written).ok());
    age.unwrap_or_default()
}

/// Who needs the log from where on, as far as this process knows it by itself.
fn holders(parts: &Parts) -> Vec<Holder> {
    let me = parts.config.name.to_string();
    let visible = parts.log.progress().borrow().visible;
    let mut holders = vec![Holder { kind: Kind::Visible, name: me.clone(), lsn: visible }];
    if parts.config.server.is_some() && parts.shared.now().role == MemberRole::Replica {
        let applied = parts.applied.now().map(|(lsn, _)| lsn.next());
        holders.push(Holder { kind: Kind::Applier, name: me, lsn: applied });
    }
    holders.extend(members(parts));
    holders.extend(consumers(parts));
    holders
}

/// The other members, connected to the coordinator or not. What it says is old where it cannot be
/// reached, and they have more by now: that only keeps more.
fn members(parts: &Parts) -> Vec<Holder> {
    let unknown = |name: &str| Holder { kind: Kind::Member, name: name.to_owned(), lsn: None };
    let view = parts.view.borrow();
    let Some(view) = view.as_ref() else {
        return vec![unknown("all")];
    };
    let registered = matches!(parts.link.state(), LinkState::Registered { .. });
    let others = view.members.iter().filter(|member| member.member != parts.config.name);
    let holder = |member: &crate::report::MemberView| Holder {
        kind: Kind::Member,
        name: member.member.to_string(),
        // A view from before the coordinator was lost may name a log folder that was replaced since.
        lsn: member.reached.filter(|_| registered).map(Lsn::next),
    };
    others.map(holder).collect()
}

/// Named consumers, wherever they read: the next one may ask this member.
fn consumers(parts: &Parts) -> Vec<Holder> {
    let view = parts.view.borrow();
    let known = view.iter().flat_map(|view| &view.consumers);
    let holder = |consumer: &Consumer| Holder {
        kind: Kind::Consumer,
        name: consumer.name.to_string(),
        lsn: Some(consumer.needs()),
    };
    known.map(holder).collect()
}

/// What this member's own server will ask of the log again.
async fn own_needs(parts: &Parts) -> Result<Vec<Holder>, Coded> {
    let mut holders = Vec::new();
    let me = parts.config.name.to_string();
    let standing = parts.log.standing().await;
    let standing = standing.map_err(|error| Coded::new(error.code(), causes(&error)))?;
    let last = standing.context.and_then(|context| context.last_transaction);
    if let Some((lsn, _)) = last {
        holders.push(Holder { kind: Kind::Resume, name: me.clone(), lsn: Some(lsn) });
    }
    if let Some(server) = &parts.config.server {
        match apply::needs(&server.connection).await {
            Ok(needs) => {
                let kinds = [(Kind::Prepared, needs.prepared), (Kind::Applier, needs.next)];
                let there = kinds.into_iter().filter(|(_, lsn)| lsn.is_some());
                holders.extend(there.map(|(kind, lsn)| Holder { kind, name: me.clone(), lsn }));
            }
            // A server that is away may have parked anything.
            Err(_) => holders.push(Holder { kind: Kind::Prepared, name: me, lsn: None }),
        }
    }
    Ok(holders)
}

/// To status, metrics and alarms.
fn tell(parts: &Parts, decision: &Decision) {
    *parts.held.lock() = Held {
        held_by: decision.held_by.clone(),
        held_bytes: decision.held_bytes,
        held_seconds: decision.held_age.as_secs(),
    };
    let name = |holder: &Holder| holder.name.clone();
    if !decision.given_up.is_empty() {
        let names: Vec<String> = decision.given_up.iter().map(name).collect();
        tracing::error!(code = %Code::LOG_DISK_LOW, names = names.join(", "),
            "the log's disk is nearly full: records that somebody needs are removed");
    }
    let alarm = decision.too_full.then(|| {
        let names: Vec<String> = decision.held_by.iter().map(name).collect();
        let text = format!(
            "less than agent.keep_free is free on the log's disk, and nothing more may go (held by {}): \
             make room",
            if names.is_empty() { "its newest segment".to_owned() } else { names.join(", ") }
        );
        Coded::new(Code::LOG_DISK_LOW, text)
    });
    parts.shared.alarm(Topic::Room, alarm);
}
