//! What an agent tells of itself: one value, watched by HTTP and the coordinator link.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wal::{BinlogPosition, Epoch, Lsn, Timestamp};

use super::Parts;
use crate::cluster::MemberName;
use crate::config::AgentConfig;
use crate::explain::{Code, Coded};
use crate::report::{Mark, MemberRole, Protection, Report};
use crate::ship::serve::AppliedPoint;

/// The phase of a member that has not been told its role.
const UNDECIDED: &str = "waiting for the coordinator";

/// Why something needs a person, by topic: a topic has one alarm at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Topic {
    /// Somebody other than our quorum can let COMMITs go (I3).
    Protection,
    /// The source cannot be shipped.
    Source,
    /// The source's binlog does not go on as it must.
    Binlog,
    /// The quorum is not there.
    Quorum,
    /// No timestamps.
    Timestamps,
    /// The coordinator does not take note that the epoch is complete.
    Completion,
    /// The coordinator does not take note that a change of members is committed.
    Change,
    /// The applier has stopped.
    Applier,
    /// The log is damaged, and being mended.
    Log,
    /// The log's disk is nearly full.
    Room,
}

impl Topic {
    /// All, for metrics.
    pub const ALL: [Topic; 10] = [
        Topic::Protection,
        Topic::Source,
        Topic::Binlog,
        Topic::Quorum,
        Topic::Completion,
        Topic::Change,
        Topic::Timestamps,
        Topic::Applier,
        Topic::Log,
        Topic::Room,
    ];

    /// Of the log: whoever raises them goes on through every role.
    const OF_THE_LOG: [Topic; 2] = [Topic::Log, Topic::Room];

    /// Who raises them, and would clear them, lives no longer than a reign.
    const OF_A_REIGN: [Topic; 6] = [
        Topic::Protection,
        Topic::Binlog,
        Topic::Quorum,
        Topic::Completion,
        Topic::Change,
        Topic::Timestamps,
    ];

    /// As in `/v1/status`.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Protection => "protection",
            Topic::Source => "source",
            Topic::Binlog => "binlog",
            Topic::Quorum => "quorum",
            Topic::Completion => "completion",
            Topic::Change => "change",
            Topic::Timestamps => "timestamps",
            Topic::Applier => "applier",
            Topic::Log => "log",
            Topic::Room => "room",
        }
    }
}

/// The state of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AgentState {
    pub name: MemberName,
    pub role: MemberRole,
    /// One short phrase.
    pub phase: String,
    pub alarms: BTreeMap<Topic, Coded>,
    /// Members that the quorum waits for, while a commit waits.
    pub waiting_for: Vec<MemberName>,
    /// Members whose connection is not in order.
    pub peers: BTreeMap<MemberName, String>,
    /// The server answers, and may serve reads.
    pub serving: bool,
    /// At the source: what is known of its COMMITs' protection.
    #[serde(skip)]
    pub shield: Shield,
}

/// What stands between a COMMIT and a return without the quorum (I3), in this reign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shield {
    /// We are attached as the semi-synchronous replica.
    pub attached: bool,
    /// The guard has looked at the server.
    pub looked: bool,
    /// What the guard found.
    pub reasons: Vec<Coded>,
}

impl AgentState {
    /// Whether COMMITs at this member's server depend on the quorum alone, and why not; `None` where
    /// it takes no writes.
    pub fn protection(&self) -> Option<(Protection, Vec<Coded>)> {
        if self.role != MemberRole::Source {
            return None;
        }
        let Shield { attached, looked, reasons } = &self.shield;
        let mut reasons = reasons.clone();
        if !attached {
            let text =
                "the agent is not attached to the server as its semi-synchronous replica yet";
            let text = format!("{text}: {}", self.phase);
            reasons.insert(0, Coded::new(Code::UNPROTECTED_UNKNOWN, text));
        } else if !looked {
            let text = "the guard has not looked at the server yet";
            reasons.push(Coded::new(Code::UNPROTECTED_UNKNOWN, text));
        }
        let protection =
            if reasons.is_empty() { Protection::Protected } else { Protection::Unprotected };
        Some((protection, reasons))
    }
}

/// What the source has let go. Changes with every ACK: looked at, never waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct LetGo {
    /// While the epoch is not fenced: the newest released record. What a token covers.
    pub released: Option<Released>,
    /// The last binlog position that was acknowledged.
    #[serde(serialize_with = "as_text")]
    pub acknowledged: Option<BinlogPosition>,
}

/// A released record of the present reign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Released {
    pub epoch: Epoch,
    pub lsn: Lsn,
    pub timestamp: Timestamp,
}

fn as_text<S: Serializer>(position: &Option<BinlogPosition>, to: S) -> Result<S::Ok, S::Error> {
    position.as_ref().map(BinlogPosition::to_string).serialize(to)
}

/// The state, shared by the parts.
#[derive(Clone)]
pub(super) struct Shared {
    state: watch::Sender<AgentState>,
    let_go: Arc<Mutex<LetGo>>,
    damage: Arc<Notify>,
}

impl Shared {
    pub fn new(config: &AgentConfig) -> Shared {
        let role = match config.server {
            None => MemberRole::Witness,
            Some(_) => MemberRole::Replica,
        };
        Shared::of_member(config.name.clone(), role)
    }

    /// Of a member with a server, for tests.
    #[cfg(test)]
    pub fn of(name: &str) -> Shared {
        Shared::of_member(MemberName::new(name).unwrap(), MemberRole::Replica)
    }

    fn of_member(name: MemberName, role: MemberRole) -> Shared {
        let state = watch::Sender::new(AgentState {
            name,
            role,
            phase: UNDECIDED.to_owned(),
            alarms: BTreeMap::new(),
            waiting_for: Vec::new(),
            peers: BTreeMap::new(),
            serving: false,
            shield: Shield::default(),
        });
        Shared { state, let_go: Arc::default(), damage: Arc::default() }
    }

    pub fn watch(&self) -> watch::Receiver<AgentState> {
        self.state.subscribe()
    }

    pub fn now(&self) -> AgentState {
        self.state.borrow().clone()
    }

    /// What the source has let go so far.
    pub fn let_go(&self) -> MutexGuard<'_, LetGo> {
        // No code that can panic runs under the lock.
        self.let_go.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody met damage in the log.
    pub fn damage_met(&self) {
        self.damage.notify_one();
    }

    /// Waits for that; for one listener.
    pub async fn damage(&self) {
        self.damage.notified().await;
    }

    /// Changes the state; nobody is woken where nothing changed.
    pub fn change(&self, change: impl FnOnce(&mut AgentState)) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    pub fn phase(&self, role: MemberRole, phase: impl Into<String>) {
        let phase = phase.into();
        self.change(|state| {
            if state.phase != phase {
                tracing::info!(phase, "phase");
            }
            state.role = role;
            state.phase = phase;
        });
    }

    /// Changes what is known of the source's protection.
    pub fn protect(&self, change: impl FnOnce(&mut Shield)) {
        self.change(|state| change(&mut state.shield));
    }

    /// Takes back what the tasks of a reign have told: they have ended.
    pub fn reign_over(&self) {
        self.let_go().released = None;
        for topic in Topic::OF_A_REIGN {
            self.alarm(topic, None);
        }
        self.change(|state| {
            state.serving = false;
            state.shield = Shield::default();
            state.waiting_for.clear();
            state.peers.clear();
        });
    }

    /// Takes back all that a role has told: its tasks have ended, and the next one begins with nothing.
    pub fn role_over(&self) {
        self.reign_over();
        *self.let_go() = LetGo::default();
        for topic in Topic::ALL.iter().filter(|topic| !Topic::OF_THE_LOG.contains(topic)) {
            self.alarm(*topic, None);
        }
        self.phase(MemberRole::Replica, UNDECIDED);
    }

    /// Raises or clears the alarm of a topic; said in the log once, at each change.
    pub fn alarm(&self, topic: Topic, alarm: Option<Coded>) {
        self.change(|state| {
            if state.alarms.get(&topic) == alarm.as_ref() {
                return;
            }
            match alarm {
                Some(alarm) => {
                    tracing::error!(code = %alarm.code, topic = ?topic, reason = alarm.text, "alarm");
                    state.alarms.insert(topic, alarm);
                }
                None => {
                    tracing::info!(topic = ?topic, "alarm is over");
                    state.alarms.remove(&topic);
                }
            }
        });
    }
}

/// What is applied on this member's server.
#[derive(Clone)]
pub(super) struct AppliedWatch(watch::Sender<AppliedPoint>);

impl Default for AppliedWatch {
    fn default() -> AppliedWatch {
        AppliedWatch(watch::Sender::new(None))
    }
}

impl AppliedWatch {
    pub fn set(&self, point: AppliedPoint) {
        self.0.send_if_modified(|now| {
            let changed = *now != point;
            *now = point;
            changed
        });
    }

    pub fn watch(&self) -> watch::Receiver<AppliedPoint> {
        self.0.subscribe()
    }

    pub fn now(&self) -> AppliedPoint {
        *self.0.borrow()
    }
}

/// Changes within so short a time are told together: the log's progress changes with every commit, and
/// the coordinator needs to know far less often.
const REPORT_PAUSE: Duration = Duration::from_millis(20);

/// Reports to the coordinator whenever something has changed, but not more often than it needs.
pub(super) async fn tell_coordinator(parts: Parts, stop: CancellationToken) {
    let mut state = parts.shared.watch();
    let mut progress = parts.log.progress();
    let mut applied = parts.applied.watch();
    loop {
        parts.link.report(report(&parts));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REPORT_PAUSE) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = state.changed() => {}
            Ok(()) = progress.changed() => {}
            Ok(()) = applied.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

fn report(parts: &Parts) -> Report {
    let state = parts.shared.now();
    let progress = parts.log.progress().borrow().clone();
    let applied = parts.applied.now();
    let mark = |(lsn, timestamp)| Mark { lsn, timestamp: Some(timestamp) };
    let commit = match parts.shared.let_go().released {
        Some(released) => Some(mark((released.lsn, released.timestamp))),
        None => progress.visible.map(|lsn| Mark { lsn, timestamp: None }),
    };
    let matched = progress.visible.and_then(|lsn| parts.log.reader().point_at(lsn).ok().flatten());
    let mut alarms: Vec<Coded> = state.alarms.values().cloned().collect();
    if progress.no_room {
        let text = "the disk of the log is full: make room, it goes on by itself";
        alarms.push(Coded::new(Code::DISK_FULL, text));
    }
    alarms.extend(parts.doors.warnings());
    let (protection, reasons) = state.protection().unzip();
    Report {
        role: state.role,
        shipper: progress.promised,
        written: progress.written,
        flushed: progress.flushed,
        applied: applied.map(mark),
        commit,
        matched_committed: matched,
        serving: state.serving,
        waiting_for: state.waiting_for,
        state: state.phase,
        alarms,
        protection,
        reasons: reasons.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody else may have attached meanwhile: only a look of the guard at this very attachment says
    /// that COMMITs depend on the quorum alone.
    #[test]
    fn an_attached_source_is_protected_only_once_the_guard_has_looked() {
        let shared = Shared::of("s1");
        assert_eq!(shared.now().protection(), None, "a replica takes no writes");
        shared.phase(MemberRole::Source, "shipping");
        let foreign = Coded::new(Code::UNPROTECTED_OFF, "semi-sync is off");
        for (attached, looked, reasons, expected) in [
            (false, false, vec![], Some(Code::UNPROTECTED_UNKNOWN)),
            (false, true, vec![], Some(Code::UNPROTECTED_UNKNOWN)),
            (true, false, vec![], Some(Code::UNPROTECTED_UNKNOWN)),
            (true, true, vec![foreign.clone()], Some(foreign.code)),
            (true, true, vec![], None),
        ] {
            shared.protect(|shield| *shield = Shield { attached, looked, reasons });
            let (protection, reasons) = shared.now().protection().unwrap();
            let first = reasons.first().map(|reason| reason.code);
            assert_eq!(first, expected, "attached {attached}, looked {looked}");
            assert_eq!(protection == Protection::Protected, expected.is_none());
        }
    }
}
