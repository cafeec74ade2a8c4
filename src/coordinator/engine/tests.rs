use std::collections::BTreeSet;

use proptest::prelude::*;
use wal::{ClusterId, Epoch, Incarnation, LogPoint, Lsn};

use super::*;
use crate::cluster::{AckWhen, Grant, LogFormats, QuorumConfig, Rule};
use crate::report::{LogIdentity, Standing};

mod finalize;

const CLUSTER: ClusterId = ClusterId::from_bytes([9; 16]);

fn name(index: usize) -> MemberName {
    MemberName::new(format!("s{}", index + 1)).unwrap()
}

fn life(number: u8) -> Incarnation {
    Incarnation::from_bytes([number; 16])
}

fn voter(index: usize, number: u8) -> Voter {
    Voter { member: name(index), incarnation: life(number) }
}

fn point(epoch: u32, lsn: u64) -> LogPoint {
    LogPoint { epoch: Epoch::new(epoch).unwrap(), lsn: Lsn::new(lsn).unwrap() }
}

fn settings(members: usize, k: usize) -> Settings {
    let member = |index: usize| Member {
        name: name(index),
        listen: format!("h{}:1", index + 1),
        has_server: true,
    };
    let members = (0..members).map(member).collect();
    Settings { source: name(0), rule: Rule::Any { k }, ack: AckWhen::Flushed, members }
}

fn registration(index: usize, number: u8, tail: Option<LogPoint>) -> Registration {
    Registration {
        member: name(index),
        log: Some(LogIdentity { cluster: CLUSTER, incarnation: life(number) }),
        listen: String::new(),
        http: String::new(),
        server: None,
        tail,
        promised: None,
        log_formats: LogFormats::OURS,
    }
}

/// An engine with a store that keeps what it is told to, and looks that nothing is answered before.
struct Rig {
    engine: Engine,
    stored: Option<State>,
    settings: Settings,
    grants: u64,
}

impl Rig {
    fn new(members: usize, k: usize) -> Rig {
        let settings = settings(members, k);
        let (engine, commands) = Engine::start(None, &settings, CLUSTER);
        let mut rig = Rig { engine, stored: None, settings, grants: 0 };
        rig.keep(&commands);
        rig
    }

    /// Three members that have all registered.
    fn three() -> Rig {
        let mut rig = Rig::new(3, 2);
        for index in 0..3 {
            rig.register(index, 1);
        }
        rig
    }

    fn keep(&mut self, commands: &[Command]) {
        for command in commands {
            match command {
                Command::Save(state) => self.stored = Some((**state).clone()),
                _ => {
                    assert_eq!(self.stored.as_ref(), Some(self.engine.state()), "told before saved")
                }
            }
        }
        assert_eq!(self.stored.as_ref(), Some(self.engine.state()), "changed without saving");
    }

    fn handle(&mut self, event: Event) -> Vec<Command> {
        let commands = self.engine.handle(event);
        self.keep(&commands);
        commands
    }

    fn restart(&mut self) {
        let text = serde_json::to_string(&self.stored).unwrap();
        let stored: Option<State> = serde_json::from_str(&text).unwrap();
        let other = ClusterId::from_bytes([1; 16]);
        let (engine, commands) = Engine::start(stored, &self.settings, other);
        assert_eq!(engine.state(), self.engine.state());
        self.engine = engine;
        self.keep(&commands);
    }

    fn register(&mut self, index: usize, number: u8) -> Vec<String> {
        self.register_with(registration(index, number, None))
    }

    fn register_with(&mut self, registration: Registration) -> Vec<String> {
        told(&self.handle(Event::Registers { asker: Asker(1), registration }))
    }

    fn ask_grant(&mut self, index: usize, number: u8) -> Vec<Command> {
        self.grants += 1;
        let fresh = GrantId(self.grants);
        let (member, incarnation) = (name(index), life(number));
        self.handle(Event::AsksGrant { asker: Asker(1), member, incarnation, fresh })
    }

    fn granted(&mut self, index: usize, number: u8) -> Grant {
        let commands = self.ask_grant(index, number);
        grant_in(&commands).unwrap_or_else(|| panic!("{:?}", told(&commands)))
    }

    fn complete(&mut self, shipper: Shipper) -> Vec<String> {
        let lsn = Lsn::FIRST;
        told(&self.handle(Event::EpochComplete { asker: Asker(1), shipper, lsn }))
    }

    fn replace(&mut self, index: usize) -> Vec<String> {
        told(&self.handle(Event::AsksReplace { asker: Asker(1), member: name(index) }))
    }

    fn changed(&mut self, shipper: Shipper, generation: u64) -> Vec<String> {
        told(&self.handle(Event::ConfigCommitted { asker: Asker(1), shipper, generation }))
    }

    fn fence(&self) -> Vec<u64> {
        generations(&self.engine.state().fence)
    }

    fn standing(&self, index: usize) -> Standing {
        self.engine.view(1).member(&name(index)).unwrap().standing.clone()
    }
}

fn grant_in(commands: &[Command]) -> Option<Grant> {
    commands.iter().find_map(|command| match command {
        Command::Answer(_, Reply::Granted(grant)) => Some(grant.clone()),
        _ => None,
    })
}

fn generations(configs: &[QuorumConfig]) -> Vec<u64> {
    configs.iter().map(|config| config.generation).collect()
}

/// Command lists as short texts.
fn told(commands: &[Command]) -> Vec<String> {
    let text = |command: &Command| match command {
        Command::Save(_) => "save".to_owned(),
        Command::Publish => "publish".to_owned(),
        Command::Answer(_, Reply::Registered { .. }) => "registered".to_owned(),
        Command::Answer(_, Reply::Noted) => "noted".to_owned(),
        Command::Answer(_, Reply::Fenced) => "fenced".to_owned(),
        Command::Answer(_, Reply::Refused { reason, .. }) => format!("refused: {reason}"),
        Command::Answer(_, Reply::Granted(grant)) => format!(
            "granted {} commit {:?} fence {:?}",
            grant.shipper.epoch,
            generations(&grant.commit),
            generations(&grant.fence)
        ),
        Command::Replacing(_, Replacing::Started { generation }) => format!("started {generation}"),
        Command::Replacing(_, Replacing::Counts { generation }) => format!("counts {generation}"),
        Command::Replacing(_, Replacing::Unknown) => "unknown".to_owned(),
        Command::Replacing(_, Replacing::Refused(reason)) => format!("refused: {reason}"),
        Command::Finalizing(_, Finalizing::Raised { from, to }) => format!("from {from} to {to}"),
        Command::Finalizing(_, Finalizing::InForce(format)) => format!("{format} in force"),
        Command::Finalizing(_, Finalizing::Refused(reason)) => format!("refused: {reason}"),
    };
    commands.iter().map(text).collect()
}

#[test]
fn bootstrap_waits_for_everybody_once() {
    let mut rig = Rig::new(3, 2);
    assert_eq!(rig.register(0, 1), ["save", "registered", "publish"]);
    assert_eq!(rig.register(0, 1), ["registered", "publish"]);
    let waiting =
        "refused: the cluster is being set up: waiting for the first registration of s2, s3";
    assert_eq!(told(&rig.ask_grant(0, 1)), [waiting]);
    assert_eq!(rig.standing(1), Standing::Unknown);
    let mut without_log = registration(1, 1, None);
    without_log.log = None;
    assert_eq!(rig.register_with(without_log), ["registered", "publish"]);
    rig.restart();
    rig.register(2, 1);
    rig.register(1, 1);
    let config = rig.engine.state().config.clone().unwrap();
    assert_eq!(config.voters, [voter(0, 1), voter(1, 1), voter(2, 1)], "in the file's order");
    rig.register(0, 1);
    assert_eq!(told(&rig.ask_grant(0, 1)), ["save", "granted 1 commit [1] fence [1]", "publish"]);
}

#[test]
fn before_the_bootstrap_ends_the_newest_log_counts() {
    let mut rig = Rig::new(2, 1);
    rig.register(0, 1);
    rig.register(0, 2);
    rig.register(1, 1);
    assert_eq!(rig.engine.state().config.as_ref().unwrap().voters, [voter(0, 2), voter(1, 1)]);
}

#[test]
fn only_the_sources_counted_log_is_granted() {
    let mut rig = Rig::three();
    assert_eq!(told(&rig.ask_grant(1, 1)), ["refused: the source is s1, not s2"]);
    assert_eq!(told(&rig.ask_grant(0, 2)), ["refused: s1 has not registered with this log"]);
    rig.register(0, 2);
    let excluded =
        "refused: s1 does not count: its log folder is new; run `plimsoll member replace s1`";
    assert_eq!(told(&rig.ask_grant(0, 2)), [excluded]);
    assert_eq!(told(&rig.ask_grant(0, 1)), ["refused: s1 has not registered with this log"]);
    rig.restart();
    assert_eq!(told(&rig.ask_grant(0, 1)), ["refused: s1 has not registered with this log"]);
    rig.register(0, 1);
    assert_eq!(rig.granted(0, 1).shipper.epoch, Epoch::FIRST);
}

#[test]
fn each_start_takes_a_new_epoch_and_fences_the_older() {
    let mut rig = Rig::three();
    let first = rig.granted(0, 1).shipper;
    let second = rig.granted(0, 1).shipper;
    assert_eq!(second.epoch.get(), 2);
    assert_eq!(rig.complete(first), ["fenced"]);
    assert_eq!(rig.changed(first, 1), ["fenced"]);
    assert_eq!(rig.complete(second), ["save", "noted", "publish"]);
    assert_eq!(rig.complete(second), ["noted"]);
    let foreign = Shipper { epoch: second.epoch, grant: GrantId(77) };
    assert_eq!(rig.complete(foreign), ["fenced"]);
}

#[test]
fn strangers_and_foreign_logs_are_refused() {
    let mut rig = Rig::three();
    let texts = rig.register(7, 1);
    assert!(texts[0].starts_with("refused: s8 is no member"), "{texts:?}");
    let mut foreign = registration(1, 1, None);
    foreign.log =
        Some(LogIdentity { cluster: ClusterId::from_bytes([3; 16]), incarnation: life(1) });
    let texts = rig.register_with(foreign);
    assert!(texts[0].starts_with("refused: the log of s2 belongs to cluster 0303"), "{texts:?}");
}

#[test]
fn a_store_that_is_an_older_copy_grants_nothing() {
    let mut rig = Rig::three();
    rig.granted(0, 1);
    let mut ahead = registration(1, 1, Some(point(1, 5)));
    ahead.promised = Epoch::new(4);
    rig.register_with(ahead);
    let texts = told(&rig.ask_grant(0, 1));
    assert!(texts[0].starts_with("refused: a member knows epoch 4"), "{texts:?}");
}

#[test]
fn a_new_log_counts_after_a_joint_change() {
    let mut rig = Rig::three();
    let first = rig.granted(0, 1).shipper;
    rig.complete(first);
    assert_eq!(rig.replace(2), ["counts 1"]);
    rig.register(2, 2);
    assert!(matches!(rig.standing(2), Standing::Excluded { .. }));
    assert_eq!(rig.replace(2), ["save", "started 2", "publish"]);
    assert_eq!(rig.replace(2), ["started 2"]);
    assert_eq!(rig.standing(2), Standing::Joining);
    assert_eq!(generations(&rig.engine.view(1).config), [1, 2]);
    assert_eq!(rig.engine.view(1).joint().unwrap().generation, 2);
    assert_eq!(rig.fence(), [1, 2]);
    rig.register(1, 2);
    let texts = rig.replace(1);
    assert!(texts[0].starts_with("refused: the change to generation 2 is still"), "{texts:?}");
    assert_eq!(rig.complete(first), ["noted"]);
    assert_eq!(rig.fence(), [1, 2], "the shipper may be under the old rule alone");
    rig.restart();
    let texts = rig.changed(first, 3);
    assert!(texts[0].starts_with("refused: generation 3 is not under way"), "{texts:?}");
    assert_eq!(rig.changed(first, 2), ["save", "noted", "publish"]);
    assert_eq!(rig.changed(first, 2), ["noted"]);
    assert_eq!(rig.fence(), [2]);
    rig.register(2, 2);
    assert_eq!(rig.standing(2), Standing::Counts);
    assert_eq!(rig.engine.state().config.as_ref().unwrap().voters[2], voter(2, 2));
}

#[test]
fn a_change_outlives_its_shipper_and_the_fence_stays_wide() {
    let mut rig = Rig::three();
    let first = rig.granted(0, 1).shipper;
    rig.complete(first);
    rig.register(1, 2);
    rig.replace(1);
    assert_eq!(told(&rig.ask_grant(0, 1))[1], "granted 2 commit [1, 2] fence [1, 2]");
    assert_eq!(rig.changed(first, 2), ["fenced"]);
    let third = rig.granted(0, 1).shipper;
    assert_eq!(rig.complete(third), ["save", "noted", "publish"]);
    assert_eq!(rig.fence(), [1, 2]);
    rig.changed(third, 2);
    assert_eq!(told(&rig.ask_grant(0, 1))[1], "granted 4 commit [2] fence [2]");
}

#[test]
fn a_source_that_lost_its_log_comes_back_by_a_grant_under_both() {
    let mut rig = Rig::three();
    let first = rig.granted(0, 1).shipper;
    rig.complete(first);
    rig.register(0, 2);
    assert_eq!(rig.replace(0), ["save", "started 2", "publish"]);
    let grant = rig.granted(0, 2);
    assert_eq!((generations(&grant.commit), generations(&grant.fence)), (vec![1, 2], vec![1, 2]));
    assert_eq!(rig.changed(grant.shipper, 2), ["save", "noted", "publish"]);
}

#[test]
fn a_shortened_log_never_counts_again() {
    let mut rig = Rig::three();
    rig.granted(0, 1);
    let reached = vec![(voter(1, 1), point(1, 9)), (voter(2, 7), point(1, 9))];
    assert_eq!(told(&rig.handle(Event::Reached(reached.clone()))), ["save"]);
    assert_eq!(told(&rig.handle(Event::Reached(reached))), [""; 0]);
    assert_eq!(rig.granted(0, 1).reached, [(voter(1, 1), point(1, 9))]);
    for whole in [point(1, 9), point(1, 12), point(2, 10)] {
        assert_eq!(rig.register_with(registration(1, 1, Some(whole))), ["registered", "publish"]);
    }
    rig.restart();
    let texts = rig.register_with(registration(1, 1, Some(point(1, 8))));
    assert_eq!(texts, ["save", "registered", "publish"]);
    rig.register_with(registration(1, 1, Some(point(2, 20))));
    assert!(matches!(rig.standing(1), Standing::Excluded { .. }));
    rig.register(0, 1);
    let grant = rig.granted(0, 1);
    assert_eq!(grant.reached.len(), 1);
    assert_eq!(grant.reached[0].1.lsn.get(), u64::MAX);
    assert!(rig.replace(1)[0].starts_with("refused: s2 still has the log"));
    rig.register(1, 2);
    assert_eq!(rig.replace(1)[1], "started 2");
    rig.changed(grant.shipper, 2);
    assert!(rig.engine.state().shortened.is_empty());
}

#[test]
fn the_store_wins_over_the_file_and_says_so() {
    let mut rig = Rig::three();
    rig.settings = settings(4, 3);
    rig.settings.source = name(1);
    rig.settings.ack = AckWhen::Applied;
    rig.settings.members.remove(2);
    rig.settings.members[1].listen = "moved:1".to_owned();
    let (engine, commands) =
        Engine::start(rig.stored.clone(), &rig.settings, ClusterId::from_bytes([1; 16]));
    assert_eq!(told(&commands), ["save"]);
    assert_eq!(engine.state().members[1].listen, "moved:1");
    assert_eq!(engine.state().source, name(0));
    assert_eq!(engine.differences().len(), 5, "{:#?}", engine.differences());
}

/// What may happen, in any order.
#[derive(Debug, Clone)]
enum Step {
    Register(usize, bool),
    Grant(usize),
    Complete(usize),
    Changed(usize),
    Replace(usize),
    Reached(usize, u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0usize..3;
    prop_oneof![
        6 => (member.clone(), prop::bool::weighted(0.3)).prop_map(|(m, new)| Step::Register(m, new)),
        4 => prop_oneof![9 => Just(0usize), 1 => member.clone()].prop_map(Step::Grant),
        3 => (0usize..3).prop_map(Step::Complete),
        3 => (0usize..3).prop_map(Step::Changed),
        4 => member.clone().prop_map(Step::Replace),
        1 => (member, 1u64..20).prop_map(|(m, lsn)| Step::Reached(m, lsn)),
        2 => Just(Step::Restart),
    ]
}

/// What shippers may have committed under and no later completion covers, kept apart from the engine.
#[derive(Default)]
struct Owed {
    shippers: Vec<Shipper>,
    grants: BTreeSet<u64>,
    configs: Vec<QuorumConfig>,
}

impl Owed {
    fn granted(&mut self, grant: &Grant) {
        assert!(self.shippers.last().is_none_or(|last| last.epoch < grant.shipper.epoch));
        assert!(self.grants.insert(grant.shipper.grant.0), "a grant id twice");
        self.shippers.push(grant.shipper);
        for config in &self.configs {
            assert!(grant.fence.contains(config), "I6: the fence forgot {config:?}");
        }
        assert!(grant.commit.iter().all(|config| grant.fence.contains(config)));
        self.configs.extend(grant.commit.iter().cloned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_order_of_events_keeps_the_invariants(steps in prop::collection::vec(step(), 1..80)) {
        let mut rig = Rig::new(3, 2);
        let mut owed = Owed::default();
        let mut lives = [1u8; 3];
        for step in steps {
            let last = |back: usize, owed: &Owed| owed.shippers.iter().rev().nth(back).copied();
            let before = rig.engine.state().clone();
            match step {
                Step::Register(member, new) => {
                    lives[member] += u8::from(new);
                    rig.register(member, lives[member]);
                }
                Step::Grant(member) => {
                    let commands = rig.ask_grant(member, lives[member]);
                    if let Some(grant) = grant_in(&commands) {
                        prop_assert_eq!(member, 0);
                        owed.granted(&grant);
                    }
                }
                Step::Complete(back) => if let Some(shipper) = last(back, &owed) {
                    let noted = rig.complete(shipper).contains(&"noted".to_owned());
                    prop_assert_eq!(noted, back == 0, "only the newest shipper's word counts");
                    if noted { owed.configs = rig.engine.state().commit() }
                },
                Step::Changed(back) => if let Some(shipper) = last(back, &owed) {
                    let generation = before.newest().unwrap().generation;
                    let texts = rig.changed(shipper, generation);
                    prop_assert_eq!(texts.contains(&"noted".to_owned()), back == 0);
                    if back == 0 && before.incoming.is_some() {
                        owed.configs = vec![before.incoming.clone().unwrap()];
                    }
                },
                Step::Replace(member) => {
                    rig.replace(member);
                    // From here the shipper may go over to both, and then to the new one.
                    owed.configs.extend(rig.engine.state().incoming.clone());
                }
                Step::Reached(member, lsn) => {
                    rig.handle(Event::Reached(vec![(voter(member, lives[member]), point(1, lsn))]));
                }
                Step::Restart => rig.restart(),
            }
            let now = rig.engine.state();
            prop_assert!(now.epoch() >= before.epoch(), "epochs only grow");
            let generation = |state: &State| state.newest().map(|config| config.generation);
            prop_assert!(generation(now) >= generation(&before));
            for config in &owed.configs {
                prop_assert!(now.fence.contains(config), "I6: the fence forgot {:?}", config);
            }
            for (voter, point) in &before.reached {
                let after = now.reached.iter().find(|(known, _)| known == voter);
                prop_assert!(after.is_none_or(|(_, after)| after >= point));
                prop_assert!(after.is_some() || !now.votes(voter));
            }
        }
    }
}
