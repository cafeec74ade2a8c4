use std::collections::BTreeSet;

use proptest::prelude::*;
use wal::{Incarnation, Lsn};

use super::*;

fn voter(member: usize, life: u8) -> Voter {
    let member = MemberName::new(format!("s{}", member + 1)).unwrap();
    Voter { member, incarnation: Incarnation::from_bytes([life; 16]) }
}

fn any(k: usize, members: &[usize]) -> QuorumConfig {
    let voters = members.iter().map(|&member| voter(member, 0)).collect();
    QuorumConfig { generation: 1, rule: Rule::Any { k }, voters }
}

fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

/// Members of a universe as a bit set.
fn within(set: u32, voter: &Voter, universe: &[Voter]) -> bool {
    universe.iter().position(|known| known == voter).is_some_and(|bit| set >> bit & 1 == 1)
}

fn commits(config: &QuorumConfig, set: u32, universe: &[Voter]) -> bool {
    committed(config, |voter| within(set, voter, universe).then_some(Lsn::FIRST)).is_some()
}

fn fences(config: &QuorumConfig, set: u32, universe: &[Voter]) -> bool {
    let promised = universe.iter().filter(|voter| within(set, voter, universe)).cloned().collect();
    fenced(config, &promised)
}

#[test]
fn the_greatest_lsn_that_k_have() {
    let table: [(usize, [Option<u64>; 4], Option<u64>); 8] = [
        (1, [Some(9), Some(7), None, None], Some(9)),
        (2, [Some(9), Some(7), None, None], Some(7)),
        (3, [Some(9), Some(7), None, None], None),
        (2, [Some(5), Some(5), Some(5), Some(5)], Some(5)),
        (4, [Some(5), Some(6), Some(7), Some(4)], Some(4)),
        (3, [Some(5), Some(6), Some(7), Some(4)], Some(5)),
        (0, [Some(5), Some(6), Some(7), Some(4)], None),
        (5, [Some(5), Some(6), Some(7), Some(4)], None),
    ];
    for (k, points, expected) in table {
        let config = any(k, &[0, 1, 2, 3]);
        let found = committed(&config, |voter| {
            let index = config.voters.iter().position(|known| known == voter).unwrap();
            points[index].map(lsn)
        });
        assert_eq!(found, expected.map(lsn), "any({k}) of {points:?}");
    }
}

#[test]
fn a_joint_change_needs_both() {
    let old = any(2, &[0, 1, 2]);
    let new = any(2, &[1, 2, 3]);
    let flushed = |voter: &Voter| match voter.member.as_str() {
        "s1" => Some(lsn(9)),
        "s2" => Some(lsn(8)),
        "s3" => None,
        _ => Some(lsn(3)),
    };
    assert_eq!(committed(&old, flushed), Some(lsn(8)));
    assert_eq!(committed(&new, flushed), Some(lsn(3)));
    assert_eq!(committed_all(&[old, new], flushed), Some(lsn(3)));
    assert_eq!(committed_all(&[], flushed), None);
}

#[test]
fn another_life_of_a_member_counts_for_nothing() {
    let config = any(2, &[0, 1, 2]);
    let promised: BTreeSet<Voter> = [voter(0, 0), voter(1, 7), voter(2, 7)].into();
    assert!(!fenced(&config, &promised));
    let counted = |voter: &Voter| (voter.incarnation.bytes()[0] == 7).then_some(Lsn::FIRST);
    assert_eq!(committed(&config, counted), None);
}

#[test]
fn no_config_fences_nothing() {
    assert!(!fenced_all(&[], &BTreeSet::new()));
    assert!(!fenced(&any(0, &[0, 1]), &[voter(0, 0), voter(1, 0)].into()));
    assert!(!fenced(&any(9, &[0, 1]), &BTreeSet::new()));
}

#[test]
fn says_for_whom_it_waits() {
    let config = any(2, &[0, 1, 2]);
    let there =
        |names: &'static [&str]| move |voter: &Voter| names.contains(&voter.member.as_str());
    let text = |missing: Option<Missing>| missing.map(|missing| missing.to_string());
    assert_eq!(text(missing_for_commit(&config, there(&["s1", "s2"]))), None);
    assert_eq!(text(missing_for_commit(&config, there(&["s1"]))).as_deref(), Some("1 of s2, s3"));
    assert_eq!(text(missing_for_commit(&config, there(&[]))).as_deref(), Some("2 of s1, s2, s3"));
    assert_eq!(text(missing_for_fence(&any(1, &[0, 1]), there(&["s1"]))).as_deref(), Some("s2"));
    assert_eq!(
        text(missing_for_commit(&any(3, &[0, 1]), there(&["s1"]))).as_deref(),
        Some("s2 (and 1 more than there are)")
    );
}

#[test]
fn refuses_rules_that_cannot_work() {
    assert_eq!(check(&any(1, &[0])), Ok(()));
    assert_eq!(check(&any(3, &[0, 1, 2])), Ok(()));
    assert_eq!(check(&any(0, &[0])), Err(Error::Impossible { k: 0, voters: 1, most: 0 }));
    assert_eq!(check(&any(4, &[0, 1, 2])), Err(Error::Impossible { k: 4, voters: 3, most: 2 }));
    assert_eq!(check(&any(1, &[0, 1, 0])), Err(Error::Twice(voter(0, 0).member)));
    assert_eq!(
        in_words(&any(2, &[0, 1, 2])),
        "2 of s1, s2, s3 flushed (1 may be lost, 1 may be away)"
    );
}

/// I6 for every rule up to seven voters: each commit quorum meets each fence; and a fence is not
/// larger than it has to be (a set that is no fence leaves room for a commit quorum).
#[test]
fn every_commit_quorum_meets_every_fence_up_to_seven() {
    for n in 1..=7 {
        let members: Vec<usize> = (0..n).collect();
        let universe: Vec<Voter> = members.iter().map(|&member| voter(member, 0)).collect();
        for k in 1..=n {
            let config = any(k, &members);
            let sets = 1u32 << n;
            let commit: Vec<u32> =
                (0..sets).filter(|&set| commits(&config, set, &universe)).collect();
            for fence in 0..sets {
                let met = commit.iter().all(|&set| set & fence != 0);
                assert_eq!(fences(&config, fence, &universe), met, "any({k}) of {n}: {fence:b}");
            }
        }
    }
}

/// I6 across a joint change: whatever the shipper commits under during it (old, both, new), a fence
/// under both meets it. All pairs of voter sets within five members, all rules.
#[test]
fn a_fence_under_both_meets_every_step_of_a_joint_change() {
    let universe: Vec<Voter> = (0..5).map(|member| voter(member, 0)).collect();
    let mut configs = Vec::new();
    for set in 1u32..32 {
        let members: Vec<usize> = (0..5).filter(|bit| set >> bit & 1 == 1).collect();
        for k in 1..=members.len() {
            let config = any(k, &members);
            let commit: u32 = (0..32).filter(|&set| commits(&config, set, &universe)).fold(0, bit);
            let fence: u32 = (0..32).filter(|&set| fences(&config, set, &universe)).fold(0, bit);
            configs.push((commit, fence));
        }
    }
    let meets: Vec<u32> =
        (0u32..32).map(|fence| (0u32..32).filter(|set| set & fence != 0).fold(0, bit)).collect();
    for &(old_commit, old_fence) in &configs {
        for &(new_commit, new_fence) in &configs {
            let anything_committed = old_commit | new_commit;
            let both = old_fence & new_fence;
            for (fence, &met) in meets.iter().enumerate() {
                if both >> fence & 1 == 1 {
                    assert_eq!(anything_committed & !met, 0);
                }
            }
        }
    }
}

fn bit(sets: u32, set: u32) -> u32 {
    sets | 1 << set
}

proptest! {
    /// What is said to be committed is flushed at k voters, and one record more is not.
    #[test]
    fn committed_is_exactly_what_k_have(
        k in 1usize..=7,
        points in proptest::collection::vec(proptest::option::of(1u64..50), 1..=7),
    ) {
        let members: Vec<usize> = (0..points.len()).collect();
        let config = any(k, &members);
        let flushed = |voter: &Voter| {
            let index = config.voters.iter().position(|known| known == voter)?;
            points[index].and_then(Lsn::new)
        };
        let holders = |at: Lsn| {
            config.voters.iter().filter(|voter| flushed(voter).is_some_and(|has| has >= at)).count()
        };
        match committed(&config, flushed) {
            Some(point) => {
                prop_assert!(holders(point) >= k);
                prop_assert!(holders(point.next()) < k);
            }
            None => prop_assert!(holders(Lsn::FIRST) < k),
        }
        let waits = missing_for_commit(&config, |voter| flushed(voter).is_some());
        prop_assert_eq!(waits.is_none(), committed(&config, flushed).is_some());
    }
}
