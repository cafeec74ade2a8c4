//! A joint change of who counts: widen the fence, commit under both, then narrow (I6).

use super::view::standing;
use super::{Asker, Command, Engine, Replacing};
use crate::cluster::{MemberName, QuorumConfig, Shipper, Voter};
use crate::explain::{Code, Coded};
use crate::report::{Reply, Standing};

impl Engine {
    /// Starts the change that counts in the log which the member's agent has now, in the place of the
    /// one that counted. The fence covers old and new durably before any shipper hears of it.
    pub(super) fn replace(&mut self, asker: Asker, member: &MemberName) -> Vec<Command> {
        let answer = |replacing| vec![Command::Replacing(asker, replacing)];
        let refused = |code, text: String| answer(Replacing::Refused(Coded::new(code, text)));
        if self.state.member(member).is_none() {
            return answer(Replacing::Unknown);
        }
        let Some(config) = self.state.config.clone() else {
            let text =
                "the cluster is still being set up: every member counts with the log it registers";
            return refused(Code::BOOTSTRAP, text.to_owned());
        };
        let Some(log) = self.registered.get(member).and_then(|known| known.log) else {
            let text = format!(
                "the agent of {member} has not registered with this coordinator: start it first"
            );
            return refused(Code::CHANGE_REFUSED, text);
        };
        let voter = Voter { member: member.clone(), incarnation: log.incarnation };
        if self.state.shortened.contains(&voter) {
            let text = format!(
                "{member} still has the log that was shortened: stop its agent, remove its log folder, \
                 start it, and ask again"
            );
            return refused(Code::LOG_SHORTENED, text);
        }
        if let Some(incoming) = &self.state.incoming {
            let generation = incoming.generation;
            if standing(&self.state, &self.registered, member) == Standing::Joining {
                return answer(Replacing::Started { generation });
            }
            let text = format!(
                "the change to generation {generation} is still under way: wait until it is committed"
            );
            return refused(Code::CHANGE_UNDER_WAY, text);
        }
        if config.voters.contains(&voter) {
            return answer(Replacing::Counts { generation: config.generation });
        }
        let keep = |known: &Voter| {
            if known.member == *member { voter.clone() } else { known.clone() }
        };
        let generation = config.generation + 1;
        let voters = config.voters.iter().map(keep).collect();
        self.state.incoming = Some(QuorumConfig { generation, rule: config.rule, voters });
        self.state.widen();
        vec![
            self.save(),
            Command::Replacing(asker, Replacing::Started { generation }),
            Command::Publish,
        ]
    }

    /// The Membership record is committed under old and new by the current shipper; with it its
    /// EpochStart and all before it (I2), so that from here the new configuration alone is enough.
    pub(super) fn config_committed(
        &mut self,
        asker: Asker,
        shipper: Shipper,
        generation: u64,
    ) -> Vec<Command> {
        let current = self.state.granted.as_ref().is_some_and(|known| known.shipper == shipper);
        if !current {
            return vec![Command::Answer(asker, Reply::Fenced)];
        }
        let incoming = self.state.incoming.take_if(|incoming| incoming.generation == generation);
        let Some(incoming) = incoming else {
            let known = self.state.config.as_ref().map(|config| config.generation);
            let reply = if known == Some(generation) && self.state.incoming.is_none() {
                Reply::Noted
            } else {
                let reason = format!("generation {generation} is not under way");
                Reply::Refused { code: Code::COORDINATOR_ANSWER, reason }
            };
            return vec![Command::Answer(asker, reply)];
        };
        if let Some(granted) = &mut self.state.granted {
            granted.complete = true;
        }
        self.state.reached.retain(|(voter, _)| incoming.voters.contains(voter));
        self.state.shortened.retain(|voter| incoming.voters.contains(voter));
        self.state.config = Some(incoming);
        self.state.narrow();
        vec![self.save(), Command::Answer(asker, Reply::Noted), Command::Publish]
    }
}
