//! What agents and the coordinator say to each other. JSON bodies; `schemas/wire.md` specifies them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wal::{ClusterId, Epoch, Incarnation, LogPoint, Lsn, Timestamp};

use super::{Consumer, ConsumerAsk};
use crate::cluster::{AckWhen, Grant, LogFormat, LogFormats, MemberName, QuorumConfig, Shipper};
use crate::explain::{Code, Coded};

/// Agent to coordinator: [`Request`].
pub const REQUEST: u8 = 64;
/// Coordinator to agent: [`Answer`] to the request of the same id.
pub const ANSWER: u8 = 65;
/// Coordinator to agent, unasked: [`View`]. At every change, and each second as a sign of life.
pub const VIEW: u8 = 66;
/// Agent to coordinator, unanswered: [`Report`].
pub const REPORT: u8 = 67;

/// The largest body either side accepts. A view of 100 members is about 40 KiB.
pub const MAX_BODY: usize = 256 * 1024;

/// A question, numbered by the asker; ids are not reused on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Comes back in the answer.
    pub id: u64,
    /// The question.
    pub ask: Ask,
}

/// The questions of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// First on every connection, and again when something in it changes (the log was made).
    Register(Registration),
    /// A shipper starts: give it an epoch. Every request that is granted takes a new one.
    Grant {
        /// Who asks; the connection's own member.
        member: MemberName,
        /// Its log.
        incarnation: Incarnation,
    },
    /// This shipper's EpochStart is committed under all of its rules.
    EpochComplete {
        /// Whose.
        shipper: Shipper,
        /// The EpochStart record.
        lsn: Lsn,
    },
    /// The Membership record of this change is committed under the old rule and the new.
    ConfigCommitted {
        /// Who committed it.
        shipper: Shipper,
        /// The new configuration's generation.
        generation: u64,
    },
    /// About named consumers of the change feed.
    Consumer(ConsumerAsk),
}

/// The answer to the [`Request`] of the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's.
    pub id: u64,
    /// What is answered.
    pub reply: Reply,
}

/// What the coordinator answers. Whatever it rests on was durable before it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To `Register`. The member's standing is in the view that follows.
    Registered {
        /// The cluster that a new log folder is to be made for.
        cluster: ClusterId,
    },
    /// To `Grant`.
    Granted(Grant),
    /// To `EpochComplete` and `ConfigCommitted`.
    Noted,
    /// Not now, and why. Asking again later may be answered otherwise.
    Refused {
        /// Its page.
        code: Code,
        /// For a person.
        reason: String,
    },
    /// A newer grant exists: this shipper is over.
    Fenced,
    /// To `Consumer`: those that were asked for, as they are now.
    Consumers(Vec<Consumer>),
}

/// Who an agent is, as it says when it connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The name it proved in the handshake.
    pub member: MemberName,
    /// Its log folder; `None` before there is one (the answer says for which cluster to make it).
    pub log: Option<LogIdentity>,
    /// `host:port` of its member port, as configured at the agent.
    pub listen: String,
    /// `host:port` of its HTTP.
    pub http: String,
    /// Its server; `None` for a witness.
    pub server: Option<ServerAddress>,
    /// The last record of its log that is flushed, as recovered; the link puts in the newest report's
    /// `flushed` when it registers again. Shorter than once reported: does not count (I16).
    pub tail: Option<LogPoint>,
    /// The highest epoch it has promised. One that the store does not know shows a restored store.
    pub promised: Option<Epoch>,
    /// The formats of the log that it reads. Older builds do not say: the first.
    #[serde(default)]
    pub log_formats: LogFormats,
}

/// Whose log folder, and which life of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogIdentity {
    /// The cluster it was made for. Another cluster's log is refused.
    pub cluster: ClusterId,
    /// Made with the folder (I16).
    pub incarnation: Incarnation,
}

/// Where clients reach a member's server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAddress {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `mysql` or `mariadb`; `None` while the server has not been reached.
    pub family: Option<String>,
    /// The server's identity, where known.
    pub uuid: Option<String>,
}

/// The cluster as the store has it, pushed to every agent. Acting on an old one is safe: what is
/// decided by it (who ships, under which rules) is checked again by promises and grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Of the store; a later view of one coordinator never has a lower one.
    pub revision: u64,
    /// Whose server is the source; only its agent is granted an epoch.
    pub source: MemberName,
    /// The last epoch granted.
    pub epoch: Option<Epoch>,
    /// The last grant.
    pub shipper: Option<Shipper>,
    /// Whether that grant's EpochStart is known to be committed.
    pub complete: bool,
    /// Everybody who is configured, in the configuration's order.
    pub members: Vec<MemberView>,
    /// Commit needs every one of these: empty before the bootstrap, one, or old and new during a joint
    /// change (I6). With two, the shipper commits under both, writes the Membership record, and says
    /// `ConfigCommitted` with the last one's generation when it is committed under both. Only the
    /// shipper named in this very view may take up a change from it: the fence of a later one may have
    /// been granted before the change began (`coordinator/engine/sim.rs` loses a commit otherwise).
    pub config: Vec<QuorumConfig>,
    /// What releases the master's COMMIT.
    pub ack: AckWhen,
    /// The named consumers of the change feed.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    /// The log's format in force: no log may hold what only a later one has. Older coordinators do not
    /// say: the first. It only grows, so acting on an old view is safe.
    #[serde(default)]
    pub log_format: LogFormat,
}

impl View {
    /// The lowest record that a named consumer still needs; `None` where there is none. An older view
    /// says a lower one: what it lets go, no consumer needs.
    pub fn lowest_needed(&self) -> Option<Lsn> {
        self.consumers.iter().map(Consumer::needs).min()
    }

    /// The change under way, if one is.
    pub fn joint(&self) -> Option<&QuorumConfig> {
        (self.config.len() > 1).then(|| self.config.last()).flatten()
    }

    /// The entry of one member.
    pub fn member(&self, name: &MemberName) -> Option<&MemberView> {
        self.members.iter().find(|entry| &entry.member == name)
    }
}

/// One member in a [`View`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Name.
    pub member: MemberName,
    /// The life of its log as last registered with this coordinator process.
    pub incarnation: Option<Incarnation>,
    /// Where other members reach it, from the coordinator's configuration.
    pub listen: String,
    /// Its HTTP, as registered.
    pub http: Option<String>,
    /// `false` for a witness.
    pub has_server: bool,
    /// Whether it counts.
    pub standing: Standing,
    /// The last record that both its log and, where it has one, its server have, as it last said to
    /// this coordinator process. `None`: not known. What others keep for it rests on this.
    #[serde(default)]
    pub reached: Option<Lsn>,
}

/// Whether a member counts for commit and fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It does, or will once it has registered.
    Counts,
    /// Not yet: it has never registered (bootstrap).
    Unknown,
    /// A joint change that counts it in is under way.
    Joining,
    /// It does not (I16). It is shipped to like the others, so that it can be counted in later.
    Excluded {
        /// Its page.
        code: Code,
        /// For a person, with the way out.
        reason: String,
    },
}

/// What a member does in the epoch that it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Tails its server and ships.
    Source,
    /// Receives and applies.
    Replica,
    /// Receives only.
    Witness,
}

/// A record and its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The record.
    pub lsn: Lsn,
    /// Its timestamp, where known.
    pub timestamp: Option<Timestamp>,
}

/// Where a member stands. Sent at a change, at most every 20 ms and at least every 200 ms; the newest
/// wins. For people, routing and I16; no commit rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it does.
    pub role: MemberRole,
    /// Whom it follows or is: its highest promise.
    pub shipper: Option<Shipper>,
    /// The last record of its log.
    pub written: Option<LogPoint>,
    /// Up to here fsynced; never beyond `written`.
    pub flushed: Option<LogPoint>,
    /// Up to here in its server. At the source: its log's commit. `None` at a witness.
    pub applied: Option<Mark>,
    /// The highest commit point it knows of.
    pub commit: Option<Mark>,
    /// The highest record that is committed *and* flushed and matched here (I16): its log will never
    /// end before it again, unless it was tampered with.
    pub matched_committed: Option<LogPoint>,
    /// Its server answers, and may serve reads up to `applied`.
    pub serving: bool,
    /// At the source: for whom the quorum is waiting, while a commit waits.
    pub waiting_for: Vec<MemberName>,
    /// One short phrase: `shipping`, `following s1`, `waiting for an epoch`, `applier stopped`.
    pub state: String,
    /// What a person must look at, one sentence each, with the way out.
    pub alarms: Vec<Coded>,
    /// At the source: whether its COMMITs depend on the quorum alone.
    #[serde(default)]
    pub protection: Option<Protection>,
    /// Why they do not.
    #[serde(default)]
    pub reasons: Vec<Coded>,
}

/// Whether a COMMIT at the source returns only when the quorum has it (I3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// It does.
    Protected,
    /// It may return before, or without; or that is not known.
    Unprotected,
}

impl Report {
    /// A member that has just started and knows nothing yet.
    pub fn starting(role: MemberRole) -> Report {
        Report {
            role,
            shipper: None,
            written: None,
            flushed: None,
            applied: None,
            commit: None,
            matched_committed: None,
            serving: false,
            waiting_for: Vec::new(),
            state: "starting".to_owned(),
            alarms: Vec::new(),
            protection: None,
            reasons: Vec::new(),
        }
    }
}
