//! Reports in, `commit_lsn` out: the shipper's side of the rule. [pure]

use std::collections::BTreeMap;

use wal::Lsn;

use super::rule;
use crate::cluster::{AckWhen, MemberName, QuorumConfig, Voter};

/// What one member said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reported {
    /// Fsynced, and matched with this shipper (I15).
    pub flushed: Option<Lsn>,
    /// Applied to its server; `None` also for a witness.
    pub applied: Option<Lsn>,
}

/// Follows one reign from its EpochStart on.
#[derive(Debug, Clone)]
pub struct Tracker {
    configs: Vec<QuorumConfig>,
    epoch_start: Lsn,
    source: MemberName,
    ack: AckWhen,
    reported: BTreeMap<Voter, Reported>,
    commit: Option<Lsn>,
    release: Option<Lsn>,
}

impl Tracker {
    /// A reign of `source`, whose EpochStart is record `epoch_start`. Commit needs every one of
    /// `configs`.
    pub fn new(
        configs: Vec<QuorumConfig>,
        epoch_start: Lsn,
        source: MemberName,
        ack: AckWhen,
    ) -> Tracker {
        let reported = BTreeMap::new();
        Tracker { configs, epoch_start, source, ack, reported, commit: None, release: None }
    }

    /// Takes a member's report. What it says only grows: reports may overtake each other.
    pub fn report(&mut self, voter: Voter, said: Reported) {
        let known = self.reported.entry(voter).or_default();
        known.flushed = known.flushed.max(said.flushed);
        known.applied = known.applied.max(said.applied);
        self.count();
    }

    /// Commit needs every one of `configs` from now on (I6: old and new during a joint change).
    pub fn set_configs(&mut self, configs: Vec<QuorumConfig>) {
        self.configs = configs;
        self.count();
    }

    /// The rules that commit needs.
    pub fn configs(&self) -> &[QuorumConfig] {
        &self.configs
    }

    fn count(&mut self) {
        let flushed = |voter: &Voter| self.reported.get(voter)?.flushed;
        // I2: by counting a record of this epoch only; an older tail comes with the EpochStart.
        let commit = self.under_all(flushed).filter(|&lsn| lsn >= self.epoch_start);
        self.commit = self.commit.max(commit);
        let released = match self.ack {
            AckWhen::Flushed => self.commit,
            AckWhen::Applied => self.under_all(|voter| self.applied(voter)).min(self.commit),
        };
        self.release = self.release.max(released);
    }

    /// The source has a transaction only after the ACK: it counts once the record is committed.
    fn applied(&self, voter: &Voter) -> Option<Lsn> {
        if voter.member == self.source {
            return self.commit;
        }
        self.reported.get(voter)?.applied
    }

    fn under_all(&self, reached: impl Fn(&Voter) -> Option<Lsn>) -> Option<Lsn> {
        // `None` is less than any LSN: a rule that nobody satisfies commits nothing.
        self.configs.iter().map(|config| rule::committed(config, &reached)).min().flatten()
    }

    /// Committed up to here (I2). `None` until the EpochStart is.
    pub fn commit(&self) -> Option<Lsn> {
        self.commit
    }

    /// The master's COMMITs may return up to here: committed, and applied where `ack` asks for it.
    pub fn release(&self) -> Option<Lsn> {
        self.release
    }

    /// Voters that have not flushed `tail` yet (or not applied it, where `ack` asks for that).
    pub fn behind(&self, tail: Lsn) -> Vec<Voter> {
        let mut behind: Vec<Voter> = self
            .configs
            .iter()
            .flat_map(|config| &config.voters)
            .filter(|voter| {
                let said = self.reported.get(voter).copied().unwrap_or_default();
                let applied = self.ack == AckWhen::Applied && self.applied(voter) < Some(tail);
                said.flushed < Some(tail) || applied
            })
            .cloned()
            .collect();
        behind.sort();
        behind.dedup();
        behind
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::Rule;

    fn voter(number: u8) -> Voter {
        let member = MemberName::new(format!("s{number}")).unwrap();
        Voter { member, incarnation: wal::Incarnation::from_bytes([number; 16]) }
    }

    fn any(k: usize, voters: &[u8]) -> QuorumConfig {
        let voters = voters.iter().map(|&number| voter(number)).collect();
        QuorumConfig { generation: 1, rule: Rule::Any { k }, voters }
    }

    fn lsn(number: u64) -> Lsn {
        Lsn::new(number).unwrap()
    }

    fn flushed(number: u64) -> Reported {
        Reported { flushed: Lsn::new(number), applied: None }
    }

    fn tracker(ack: AckWhen) -> Tracker {
        Tracker::new(vec![any(2, &[1, 2, 3])], lsn(6), voter(1).member, ack)
    }

    #[test]
    fn an_older_tail_commits_only_with_the_epoch_start() {
        let mut tracker = tracker(AckWhen::Flushed);
        tracker.report(voter(1), flushed(6));
        tracker.report(voter(2), flushed(5));
        assert_eq!(tracker.commit(), None, "record 5 is on two members but is of an older epoch");
        tracker.report(voter(2), flushed(6));
        assert_eq!(tracker.commit(), Some(lsn(6)));
    }

    #[test]
    fn the_second_of_three_commits_and_another_incarnation_counts_for_nothing() {
        let mut tracker = tracker(AckWhen::Flushed);
        let stranger = Voter { incarnation: wal::Incarnation::from_bytes([9; 16]), ..voter(2) };
        tracker.report(voter(1), flushed(9));
        tracker.report(stranger, flushed(9));
        assert_eq!(tracker.commit(), None);
        tracker.report(voter(3), flushed(8));
        assert_eq!(tracker.commit(), Some(lsn(8)));
        assert_eq!(tracker.behind(lsn(9)), vec![voter(2), voter(3)]);
    }

    #[test]
    fn during_a_joint_change_both_rules_must_hold() {
        let mut tracker = tracker(AckWhen::Flushed);
        tracker.set_configs(vec![any(2, &[1, 2, 3]), any(2, &[1, 2, 4])]);
        tracker.report(voter(1), flushed(7));
        tracker.report(voter(3), flushed(7));
        assert_eq!(tracker.commit(), None, "the new rule has only one of its members");
        tracker.report(voter(4), flushed(7));
        assert_eq!(tracker.commit(), Some(lsn(7)));
    }

    #[test]
    fn applied_counts_the_source_by_commit_and_waits_for_an_applier() {
        let mut tracker = tracker(AckWhen::Applied);
        tracker.report(voter(1), flushed(9));
        tracker.report(voter(2), flushed(9));
        assert_eq!((tracker.commit(), tracker.release()), (Some(lsn(9)), None));
        tracker.report(voter(3), Reported { flushed: Lsn::new(7), applied: Lsn::new(7) });
        assert_eq!(tracker.release(), Some(lsn(7)));
    }

    proptest! {
        #[test]
        fn commit_and_release_only_grow_and_never_pass_a_quorum(
            reports in proptest::collection::vec((1u8..=3, 1u64..30, 0u64..30), 1..60)
        ) {
            let mut tracker = tracker(AckWhen::Applied);
            let mut best = [0u64; 4];
            let (mut commit, mut release) = (None, None);
            for (who, flushed, applied) in reports {
                let said = Reported { flushed: Lsn::new(flushed), applied: Lsn::new(applied) };
                tracker.report(voter(who), said);
                best[usize::from(who)] = best[usize::from(who)].max(flushed);
                let mut sorted = best[1..].to_vec();
                sorted.sort_unstable();
                let second = Lsn::new(sorted[1]).filter(|&second| second >= lsn(6));
                prop_assert_eq!(tracker.commit(), second);
                prop_assert!(tracker.commit() >= commit && tracker.release() >= release);
                prop_assert!(tracker.release() <= tracker.commit());
                (commit, release) = (tracker.commit(), tracker.release());
            }
        }
    }
}
