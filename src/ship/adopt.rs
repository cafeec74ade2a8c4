//! Which log a new epoch starts from. [pure]
//!
//! Home of I7 (the greatest (epoch, LSN) among a fence quorum) and of the shipper's part of I6 (the
//! fence satisfies every rule granted since the last complete epoch) and I16 (who may vote).

use std::collections::{BTreeMap, BTreeSet};

use wal::LogPoint;

use super::message::Standing;
use crate::cluster::{Grant, MemberName, Voter};
use crate::explain::Code;
use crate::log::history;
use crate::quorum::rule;

/// Why a member's promise counts for nothing (I16).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// No rule of the fence names this log folder.
    #[error(
        "{member}'s log folder is not the one that was counted in: it counts for nothing until \
         `plimsoll member replace {member}`"
    )]
    OtherIncarnation {
        /// Who.
        member: MemberName,
    },
    /// The log does not hold what this member once reported.
    #[error(
        "{member} has reported more than its log holds now: it was shortened (a restored disk?) and \
         counts for nothing until `plimsoll member replace {member}` with a new log folder"
    )]
    Shortened {
        /// Who.
        member: MemberName,
        /// What it reported.
        reached: LogPoint,
    },
}

impl NotCounted {
    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            NotCounted::OtherIncarnation { .. } => Code::LOG_NEW,
            NotCounted::Shortened { .. } => Code::LOG_SHORTENED,
        }
    }
}

/// Whether this member's log may count at all.
///
/// # Errors
/// The reason why not.
pub fn counts(grant: &Grant, standing: &Standing) -> Result<(), NotCounted> {
    let member = &standing.voter.member;
    let configs = grant.fence.iter().chain(&grant.commit);
    if !configs.flat_map(|config| &config.voters).any(|voter| *voter == standing.voter) {
        return Err(NotCounted::OtherIncarnation { member: member.clone() });
    }
    for (voter, reached) in &grant.reached {
        if *voter == standing.voter && !history::holds(&standing.epochs, *reached) {
            return Err(NotCounted::Shortened { member: member.clone(), reached: *reached });
        }
    }
    Ok(())
}

/// The promises of one grant, of members whose log can be fetched now.
#[derive(Debug, Default)]
pub struct Fence {
    promised: BTreeMap<Voter, Standing>,
}

impl Fence {
    /// Takes a promise.
    pub fn promised(&mut self, standing: Standing) {
        self.promised.insert(standing.voter.clone(), standing);
    }

    /// The member cannot be reached any more. Its promise stands, but a log that cannot be fetched
    /// must not be part of the quorum that is chosen from: or the second best would be taken (I7).
    pub fn lost(&mut self, member: &MemberName) {
        self.promised.retain(|voter, _| voter.member != *member);
    }

    /// The log to adopt, once the promises satisfy the fence rule of every config in the grant (I6).
    pub fn choose(&self, grant: &Grant) -> Option<&Standing> {
        let voters: BTreeSet<Voter> = self.promised.keys().cloned().collect();
        let complete = grant.fence.iter().all(|config| rule::fenced(config, &voters));
        complete.then(|| self.promised.values().max_by_key(|standing| standing.tail)).flatten()
    }

    /// Whether this member's promise is here.
    pub fn has(&self, member: &MemberName) -> bool {
        self.promised.keys().any(|voter| voter.member == *member)
    }

    /// Voters of the fence that have not promised.
    pub fn missing(&self, grant: &Grant) -> BTreeSet<MemberName> {
        let voters = grant.fence.iter().flat_map(|config| &config.voters);
        voters
            .filter(|voter| !self.promised.contains_key(voter))
            .map(|voter| voter.member.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use wal::{Epoch, Incarnation, Lsn};

    use super::*;
    use crate::cluster::{AckWhen, GrantId, QuorumConfig, Rule, Shipper};

    fn voter(number: u8) -> Voter {
        let member = MemberName::new(format!("s{number}")).unwrap();
        Voter { member, incarnation: Incarnation::from_bytes([number; 16]) }
    }

    fn point(epoch: u32, lsn: u64) -> LogPoint {
        LogPoint { epoch: Epoch::new(epoch).unwrap(), lsn: Lsn::new(lsn).unwrap() }
    }

    fn standing(number: u8, epochs: &[(u32, u64)]) -> Standing {
        let epochs: Vec<LogPoint> = epochs.iter().map(|&(e, l)| point(e, l)).collect();
        Standing { voter: voter(number), tail: epochs.last().copied(), epochs }
    }

    fn any(k: usize, voters: &[u8]) -> QuorumConfig {
        let voters = voters.iter().map(|&number| voter(number)).collect();
        QuorumConfig { generation: 1, rule: Rule::Any { k }, voters }
    }

    fn grant(fence: Vec<QuorumConfig>) -> Grant {
        Grant {
            shipper: Shipper { epoch: Epoch::new(9).unwrap(), grant: GrantId(1) },
            commit: vec![fence[0].clone()],
            fence,
            members: vec![],
            ack: AckWhen::Flushed,
            reached: vec![(voter(2), point(1, 5))],
        }
    }

    #[test]
    fn the_epoch_decides_before_the_length() {
        let grant = grant(vec![any(2, &[1, 2, 3])]);
        let mut fence = Fence::default();
        fence.promised(standing(1, &[(1, 900)]));
        assert_eq!(fence.choose(&grant), None, "a fence of any(2) of 3 is two promises");
        fence.promised(standing(2, &[(1, 5), (2, 6)]));
        assert_eq!(fence.choose(&grant).unwrap().voter, voter(2));
    }

    #[test]
    fn a_lost_member_takes_its_promise_out_of_the_quorum() {
        let grant = grant(vec![any(2, &[1, 2, 3])]);
        let mut fence = Fence::default();
        fence.promised(standing(1, &[(1, 4)]));
        fence.promised(standing(2, &[(1, 9)]));
        fence.lost(&voter(2).member);
        assert_eq!(fence.choose(&grant), None, "never the second best");
        fence.promised(standing(3, &[(1, 7)]));
        assert_eq!(fence.choose(&grant).unwrap().voter, voter(3));
    }

    /// protocol-review, 4,564 states: the fence of the last rule only misses a commit of the one
    /// before it.
    #[test]
    fn the_fence_satisfies_every_rule_since_the_last_complete_epoch() {
        let grant = grant(vec![any(3, &[1, 2, 3]), any(2, &[1, 2, 3])]);
        let mut fence = Fence::default();
        fence.promised(standing(3, &[(1, 4)]));
        assert_eq!(fence.choose(&grant), None);
        fence.promised(standing(1, &[(1, 5)]));
        assert_eq!(fence.choose(&grant).unwrap().voter, voter(1));
    }

    #[test]
    fn a_new_or_shortened_log_does_not_vote() {
        let grant = grant(vec![any(2, &[1, 2, 3])]);
        assert_eq!(counts(&grant, &standing(2, &[(1, 5), (2, 8)])), Ok(()));
        let shortened = counts(&grant, &standing(2, &[(1, 4)]));
        assert!(matches!(shortened, Err(NotCounted::Shortened { .. })));
        let other = counts(&grant, &standing(2, &[(2, 8)]));
        assert!(matches!(other, Err(NotCounted::Shortened { .. })), "5 is another record there");
        let mut fresh = standing(3, &[]);
        fresh.voter.incarnation = Incarnation::from_bytes([7; 16]);
        assert!(matches!(counts(&grant, &fresh), Err(NotCounted::OtherIncarnation { .. })));
    }
}
