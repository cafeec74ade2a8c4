//! An agent says who it is; during the bootstrap this is what makes its log count.

use wal::LogPoint;

use super::{Asker, Command, Engine, refused};
use crate::cluster::{QuorumConfig, Voter};
use crate::explain::{Code, Coded};
use crate::report::{Registration, Reply};

impl Engine {
    pub(super) fn register(&mut self, asker: Asker, registration: Registration) -> Vec<Command> {
        let member = registration.member.clone();
        if self.state.member(&member).is_none() {
            let text = format!(
                "{member} is no member of this cluster: its coordinator was set up without it"
            );
            return refused(asker, Coded::new(Code::NOT_A_MEMBER, text));
        }
        if let Some(log) = registration.log.filter(|log| log.cluster != self.state.cluster) {
            let text = format!(
                "the log of {member} belongs to cluster {}, this coordinator has cluster {}: give \
                 the agent another data_dir, or the coordinator its own store back",
                log.cluster, self.state.cluster
            );
            return refused(asker, Coded::new(Code::MEMBER_OF_OTHER_CLUSTER, text));
        }
        let format = self.state.log_format;
        if !registration.log_formats.read(format) {
            let text = format!(
                "{member} cannot read format {format} of the log, which is in force here: start its \
                 agent from the version of plimsoll that the others run"
            );
            return refused(asker, Coded::new(Code::LOG_FORMAT, text));
        }
        self.note_ahead(&registration);
        let mut changed = false;
        if let Some(log) = registration.log {
            let voter = Voter { member: member.clone(), incarnation: log.incarnation };
            changed |= self.note_seen(&voter);
            changed |= self.note_shortened(&voter, registration.tail);
        }
        self.registered.insert(member, registration);
        let mut commands = Vec::new();
        if changed {
            commands.push(self.save());
        }
        commands.push(Command::Answer(asker, Reply::Registered { cluster: self.state.cluster }));
        commands.push(Command::Publish);
        commands
    }

    /// Grants are written before they are sent, so nobody can have promised an epoch that the store
    /// does not know, unless the store is an older copy. Granting from it could give an epoch twice.
    fn note_ahead(&mut self, registration: &Registration) {
        let known = self.state.epoch();
        let told = registration.promised.max(registration.tail.map(|tail| tail.epoch));
        if told > known {
            self.ahead = self.ahead.max(told);
        }
    }

    /// Before the first configuration nothing was promised or committed to anybody, so the log that a
    /// member shows last is the one that counts. Afterwards only a joint change counts one in (I16).
    fn note_seen(&mut self, voter: &Voter) -> bool {
        if self.state.config.is_some() || self.state.seen.contains(voter) {
            return false;
        }
        self.state.seen.retain(|known| known.member != voter.member);
        self.state.seen.push(voter.clone());
        if self.state.unseen().is_empty() {
            let order = |voter: &Voter| {
                self.state.members.iter().position(|member| member.name == voter.member)
            };
            let mut voters = std::mem::take(&mut self.state.seen);
            voters.sort_by_key(order);
            let rule = self.state.rule.clone();
            self.state.config = Some(QuorumConfig { generation: 1, rule, voters });
        }
        true
    }

    /// What a log has committed, flushed and matched it never loses by itself (I13 cuts only above).
    fn note_shortened(&mut self, voter: &Voter, tail: Option<LogPoint>) -> bool {
        let reached = self.state.reached.iter().find(|(known, _)| known == voter);
        let Some(&(_, reached)) = reached else {
            return false;
        };
        let whole = tail.is_some_and(|tail| tail.lsn >= reached.lsn && tail.epoch >= reached.epoch);
        if whole || self.state.shortened.contains(voter) {
            return false;
        }
        self.state.shortened.push(voter.clone());
        true
    }

    /// Keeps the highest point of each voter; written when something grew.
    pub(super) fn reached(&mut self, points: Vec<(Voter, LogPoint)>) -> Vec<Command> {
        let mut grew = false;
        for (voter, point) in points {
            if !self.state.votes(&voter) {
                continue;
            }
            match self.state.reached.iter_mut().find(|(known, _)| *known == voter) {
                Some((_, known)) if *known >= point => continue,
                Some((_, known)) => *known = point,
                None => self.state.reached.push((voter, point)),
            }
            grew = true;
        }
        if grew { vec![self.save()] } else { Vec::new() }
    }
}
