//! What the coordinator must never forget: plain data, written before any answer that rests on it.

use serde::{Deserialize, Serialize};
use wal::{ClusterId, Epoch, LogPoint};

use crate::cluster::{AckWhen, LogFormat, MemberName, QuorumConfig, Rule, Shipper, Voter};

/// The cluster as it is first made, and as the configuration file has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose server takes writes.
    pub source: MemberName,
    /// What makes a record committed.
    pub rule: Rule,
    /// What releases COMMIT.
    pub ack: AckWhen,
    /// Everybody.
    pub members: Vec<Member>,
}

/// A configured member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: MemberName,
    /// `host:port` at which the other members reach it.
    pub listen: String,
    /// `false` for a witness.
    pub has_server: bool,
}

/// The last grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The epoch and the grant's id.
    pub shipper: Shipper,
    /// To whom.
    pub voter: Voter,
    /// Its EpochStart is known to be committed under all of its rules.
    pub complete: bool,
}

/// Everything durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Made with the store.
    pub cluster: ClusterId,
    /// Whose server is the source; only its agent is granted an epoch.
    pub source: MemberName,
    /// The rule of the first configuration.
    pub rule: Rule,
    /// What releases COMMIT.
    pub ack: AckWhen,
    /// Everybody, in the order of the file that the store was made from.
    pub members: Vec<Member>,
    /// During the bootstrap: who has registered, with the log that is to count.
    pub seen: Vec<Voter>,
    /// The configuration in force; `None` until every member has registered once.
    pub config: Option<QuorumConfig>,
    /// A joint change under way: commit needs `config` and this.
    pub incoming: Option<QuorumConfig>,
    /// The last grant; its epoch is the highest ever granted.
    pub granted: Option<Granted>,
    /// What a fence must satisfy: every configuration that a shipper may have committed under since the
    /// last epoch known to be complete (I6).
    pub fence: Vec<QuorumConfig>,
    /// For each voter the highest point it reported as committed and matched (I16).
    pub reached: Vec<(Voter, LogPoint)>,
    /// Voters whose log came back shorter than that. They count for nothing until replaced (I16).
    pub shortened: Vec<Voter>,
    /// The log's format in force. It only grows; a store made before there was a second one has the
    /// first.
    #[serde(default)]
    pub log_format: LogFormat,
}

impl State {
    /// A cluster that nobody has registered with yet.
    pub fn new(settings: &Settings, cluster: ClusterId) -> State {
        State {
            cluster,
            source: settings.source.clone(),
            rule: settings.rule.clone(),
            ack: settings.ack,
            members: settings.members.clone(),
            seen: Vec::new(),
            config: None,
            incoming: None,
            granted: None,
            fence: Vec::new(),
            reached: Vec::new(),
            shortened: Vec::new(),
            log_format: LogFormat::CURRENT,
        }
    }

    /// What a shipper commits under: nothing before the bootstrap, one, or old and new.
    pub fn commit(&self) -> Vec<QuorumConfig> {
        self.config.iter().chain(&self.incoming).cloned().collect()
    }

    /// The configuration that will be in force when no change is under way.
    pub fn newest(&self) -> Option<&QuorumConfig> {
        self.incoming.as_ref().or(self.config.as_ref())
    }

    /// The last epoch granted.
    pub fn epoch(&self) -> Option<Epoch> {
        self.granted.as_ref().map(|granted| granted.shipper.epoch)
    }

    /// The configured member of that name.
    pub fn member(&self, name: &MemberName) -> Option<&Member> {
        self.members.iter().find(|member| &member.name == name)
    }

    /// Members that have never registered, in order; empty once the bootstrap is over.
    pub fn unseen(&self) -> Vec<MemberName> {
        if self.config.is_some() {
            return Vec::new();
        }
        let seen = |member: &&Member| !self.seen.iter().any(|voter| voter.member == member.name);
        self.members.iter().filter(seen).map(|member| member.name.clone()).collect()
    }

    /// Whether this very log counts in a configuration of now, or of the change under way.
    pub fn votes(&self, voter: &Voter) -> bool {
        self.config.iter().chain(&self.incoming).any(|config| config.voters.contains(voter))
    }

    /// Adds to the fence what is not in it yet (I6: it only grows, but for [`State::narrow`]).
    pub fn widen(&mut self) {
        for config in self.commit() {
            if !self.fence.contains(&config) {
                self.fence.push(config);
            }
        }
    }

    /// The current shipper's records are committed under everything it may commit under: nothing older
    /// needs a fence of its own.
    pub fn narrow(&mut self) {
        self.fence = self.commit();
    }

    /// How the configuration file differs from what is in force, one sentence each.
    pub fn differences(&self, settings: &Settings) -> Vec<String> {
        let mut found = Vec::new();
        let mut differs = |what: &str, file: &dyn std::fmt::Debug, store: &dyn std::fmt::Debug| {
            found.push(format!(
                "the configuration file says {what} {file:?}, the cluster has {store:?}: the cluster's \
                 stays in force"
            ));
        };
        if settings.source != self.source {
            differs("source =", &settings.source.as_str(), &self.source.as_str());
        }
        let rule = self.newest().map_or(&self.rule, |config| &config.rule);
        let Rule::Any { k: file } = settings.rule;
        let Rule::Any { k: store } = *rule;
        if file != store {
            differs("tolerate =", &file.saturating_sub(1), &store.saturating_sub(1));
        }
        if settings.ack != self.ack {
            differs("ack =", &settings.ack, &self.ack);
        }
        for member in &settings.members {
            match self.member(&member.name) {
                None => found.push(format!(
                    "the configuration file names {}, which is no member of the cluster: it does not \
                     count",
                    member.name
                )),
                Some(known) if known.has_server != member.has_server => found.push(format!(
                    "the configuration file changes whether {} is a witness: the cluster's record stays",
                    member.name
                )),
                Some(_) => {}
            }
        }
        for known in &self.members {
            if !settings.members.iter().any(|member| member.name == known.name) {
                found.push(format!(
                    "the configuration file does not name {}, which is a member of the cluster: it \
                     still counts",
                    known.name
                ));
            }
        }
        found
    }
}
