//! An epoch is granted, and is complete.

use wal::{Epoch, LogPoint, Lsn};

use super::view::standing;
use super::{Asker, Command, Engine, Granted, refused};
use crate::cluster::{Grant, GrantId, MemberAddress, Shipper, Voter};
use crate::explain::{Code, Coded};
use crate::report::{Reply, Standing};

/// No log reaches this. Stands in a grant for a voter whose log was shortened, so that also a shipper
/// with an old view never counts it again, however far it is caught up (its promises may be gone).
fn unreachable_point() -> Option<LogPoint> {
    Some(LogPoint { epoch: Epoch::new(u32::MAX)?, lsn: Lsn::new(u64::MAX)? })
}

impl Engine {
    /// Every request that is granted takes a new epoch, also a repeated one: whoever asks again may
    /// have lost what it did with the first.
    pub(super) fn grant(&mut self, asker: Asker, voter: Voter, fresh: GrantId) -> Vec<Command> {
        if let Some(reason) = self.why_not(&voter) {
            return refused(asker, reason);
        }
        let next = self.state.epoch().map_or(Some(Epoch::FIRST), Epoch::next);
        let Some(epoch) = next else {
            return refused(asker, Coded::new(Code::DEFECT, "all 2^32 - 1 epochs are used up"));
        };
        let shipper = Shipper { epoch, grant: fresh };
        self.state.widen();
        self.state.granted = Some(Granted { shipper, voter, complete: false });
        let reply = Reply::Granted(self.describe(shipper));
        vec![self.save(), Command::Answer(asker, reply), Command::Publish]
    }

    fn why_not(&self, voter: &Voter) -> Option<Coded> {
        let member = &voter.member;
        let unseen = self.state.unseen();
        if !unseen.is_empty() {
            let names: Vec<&str> = unseen.iter().map(|name| name.as_str()).collect();
            let text = format!(
                "the cluster is being set up: waiting for the first registration of {}",
                names.join(", ")
            );
            return Some(Coded::new(Code::BOOTSTRAP, text));
        }
        if let Some(ahead) = self.ahead {
            let text = format!(
                "a member knows epoch {ahead}, this coordinator's store only {}: the store is an older \
                 copy; give the coordinator its newest store back",
                self.state.epoch().map_or_else(|| "none".to_owned(), |epoch| epoch.to_string())
            );
            return Some(Coded::new(Code::STORE_OLD, text));
        }
        if *member != self.state.source {
            let text = format!("the source is {}, not {member}", self.state.source);
            return Some(Coded::new(Code::NOT_THE_SOURCE, text));
        }
        let registered = self.registered.get(member).and_then(|known| known.log);
        if registered.map(|log| log.incarnation) != Some(voter.incarnation) {
            let text = format!("{member} has not registered with this log");
            return Some(Coded::new(Code::COORDINATOR_ANSWER, text));
        }
        if let Standing::Excluded { code, reason } = standing(&self.state, &self.registered, member)
        {
            return Some(Coded::new(code, format!("{member} does not count: {reason}")));
        }
        None
    }

    fn describe(&self, shipper: Shipper) -> Grant {
        let state = &self.state;
        let address = |member: &super::Member| MemberAddress {
            member: member.name.clone(),
            listen: member.listen.clone(),
            has_server: member.has_server,
        };
        let mut reached = state.reached.clone();
        reached.retain(|(voter, _)| !state.shortened.contains(voter));
        let never = |voter: &Voter| Some((voter.clone(), unreachable_point()?));
        reached.extend(state.shortened.iter().filter_map(never));
        Grant {
            shipper,
            commit: state.commit(),
            fence: state.fence.clone(),
            members: state.members.iter().map(address).collect(),
            ack: state.ack,
            reached,
        }
    }

    /// Narrows the fence: with its EpochStart committed under all it commits under, whatever an earlier
    /// shipper committed lies in every one of those quorums.
    pub(super) fn epoch_complete(&mut self, asker: Asker, shipper: Shipper) -> Vec<Command> {
        let Some(granted) = self.state.granted.as_mut().filter(|known| known.shipper == shipper)
        else {
            return vec![Command::Answer(asker, Reply::Fenced)];
        };
        if granted.complete {
            return vec![Command::Answer(asker, Reply::Noted)];
        }
        granted.complete = true;
        self.state.narrow();
        vec![self.save(), Command::Answer(asker, Reply::Noted), Command::Publish]
    }
}
