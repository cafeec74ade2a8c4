//! The epoch protocol around the real engine and the real rule, driven at random: members that crash,
//! lose their log and are replaced; shippers that live on as zombies; messages late, twice, out of
//! order; the coordinator restarted from its store. Checked: all epochs commit one and the same log.
//! Each planted bug must be found (else the simulation sees nothing).

use std::collections::{BTreeMap, BTreeSet};

use wal::{ClusterId, Epoch, Incarnation, LogPoint, Lsn};

use super::*;
use crate::cluster::{AckWhen, Grant, LogFormats, QuorumConfig, Rule};
use crate::quorum::rule;
use crate::report::LogIdentity;

const CLUSTER: ClusterId = ClusterId::from_bytes([9; 16]);

/// A record: its epoch and, for a Membership record, the configuration's generation.
type Entry = (u32, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// A fence of one promise too few is taken.
    ShortFence,
    /// Only the newest configuration is fenced, not all that were granted since.
    NewestRuleOnly,
    /// Reports go on to a shipper that is not the one promised to.
    LateReport,
    /// A superseded shipper takes up a change that began after it.
    ZombieViews,
    /// The change is told as committed when its record is only written.
    NarrowEarly,
    /// A member that lost its log comes back under the old identity (I16).
    SameLife,
}

#[derive(Debug, Clone)]
struct Log {
    entries: Vec<Entry>,
    flushed: usize,
    promise: Option<Shipper>,
    matched: usize,
    life: u8,
}

impl Log {
    fn new(life: u8) -> Log {
        Log { entries: Vec::new(), flushed: 0, promise: None, matched: 0, life }
    }

    /// I5: to this shipper or a newer one only; the first word of a newer one is a promise.
    fn promises(&mut self, shipper: Shipper) -> bool {
        match self.promise {
            Some(known) if known == shipper => true,
            Some(known) if known.epoch >= shipper.epoch => false,
            _ => {
                self.promise = Some(shipper);
                self.matched = 0;
                true
            }
        }
    }
}

struct Ship {
    grant: Grant,
    answers: BTreeMap<Voter, Vec<Entry>>,
    /// The log that it ships, its EpochStart at `start`; empty until it has adopted one.
    log: Vec<Entry>,
    start: usize,
    under: Vec<QuorumConfig>,
    reports: BTreeMap<Voter, usize>,
    commit: usize,
}

struct World {
    engine: Engine,
    stored: Option<State>,
    settings: Settings,
    bug: Bug,
    logs: Vec<Log>,
    ships: Vec<Ship>,
    in_flight: Vec<(usize, Voter, usize)>,
    committed: Vec<Entry>,
    random: u64,
}

fn name(index: usize) -> MemberName {
    MemberName::new(format!("s{}", index + 1)).unwrap()
}

impl World {
    fn new(seed: u64, bug: Bug) -> World {
        let member = |index| Member { name: name(index), listen: String::new(), has_server: true };
        let members: Vec<Member> = (0..3).map(member).collect();
        let rule = Rule::Any { k: 2 };
        let settings = Settings { source: name(0), rule, ack: AckWhen::Flushed, members };
        let (engine, commands) = Engine::start(None, &settings, CLUSTER);
        let mut world = World {
            engine,
            stored: None,
            settings,
            bug,
            logs: vec![Log::new(1); 3],
            ships: Vec::new(),
            in_flight: Vec::new(),
            committed: Vec::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        };
        world.take(&commands);
        (0..3).for_each(|index| world.register(index));
        world
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound.max(1) as u64).unwrap()
    }

    fn voter(&self, index: usize) -> Voter {
        let incarnation = Incarnation::from_bytes([self.logs[index].life; 16]);
        Voter { member: name(index), incarnation }
    }

    fn take(&mut self, commands: &[Command]) -> Option<Grant> {
        let mut granted = None;
        for command in commands {
            match command {
                Command::Save(state) => self.stored = Some((**state).clone()),
                Command::Answer(_, Reply::Granted(grant)) => granted = Some(grant.clone()),
                _ => {}
            }
        }
        granted
    }

    fn handle(&mut self, event: Event) -> Option<Grant> {
        let commands = self.engine.handle(event);
        self.take(&commands)
    }

    fn register(&mut self, index: usize) {
        let voter = self.voter(index);
        let log = &self.logs[index];
        let tail = log.flushed.checked_sub(1).map(|last| LogPoint {
            epoch: Epoch::new(log.entries[last].0).unwrap(),
            lsn: Lsn::new(log.flushed as u64).unwrap(),
        });
        let registration = Registration {
            member: voter.member,
            log: Some(LogIdentity { cluster: CLUSTER, incarnation: voter.incarnation }),
            listen: String::new(),
            http: String::new(),
            server: None,
            tail,
            promised: log.promise.map(|promise| promise.epoch),
            log_formats: LogFormats::OURS,
        };
        self.handle(Event::Registers { asker: Asker(0), registration });
    }

    fn ask_grant(&mut self) {
        self.register(0);
        let Voter { member, incarnation } = self.voter(0);
        let fresh = GrantId(self.ships.len() as u64 + 1);
        let event = Event::AsksGrant { asker: Asker(0), member, incarnation, fresh };
        if let Some(grant) = self.handle(event) {
            self.ships.push(Ship {
                under: grant.commit.clone(),
                grant,
                answers: BTreeMap::new(),
                log: Vec::new(),
                start: 0,
                reports: BTreeMap::new(),
                commit: 0,
            });
        }
    }

    /// A promise request arrives; its answer may be the one that completes the fence.
    fn promise(&mut self, ship: usize, index: usize) {
        let voter = self.voter(index);
        let shipper = self.ships[ship].grant.shipper;
        let log = &mut self.logs[index];
        if !self.ships[ship].log.is_empty() || !log.promises(shipper) {
            return;
        }
        let seen = log.entries[..log.flushed].to_vec();
        let ship = &mut self.ships[ship];
        ship.answers.insert(voter, seen);
        let promised: BTreeSet<Voter> = ship.answers.keys().cloned().collect();
        let fence = match self.bug {
            Bug::NewestRuleOnly => &ship.grant.commit[ship.grant.commit.len() - 1..],
            _ => &ship.grant.fence[..],
        };
        let fenced = match self.bug {
            Bug::ShortFence => fence.iter().all(|config| {
                let there = config.voters.iter().filter(|v| promised.contains(v)).count();
                there + 1 >= rule::fence_size(config)
            }),
            _ => rule::fenced_all(fence, &promised),
        };
        if fenced {
            let key = |log: &&Vec<Entry>| (log.last().map(|last| last.0), log.len());
            let best = ship.answers.values().max_by_key(key).cloned().unwrap_or_default();
            ship.start = best.len();
            ship.log = best;
            ship.log.push((shipper.epoch.get(), 0));
            if ship.grant.commit.len() > 1 {
                let generation = ship.grant.commit[1].generation;
                ship.log.push((shipper.epoch.get(), generation));
            }
        }
    }

    /// One append arrives, whoever still sends it.
    fn append(&mut self, ship: usize, index: usize) {
        let Ship { grant, log: shipped, .. } = &self.ships[ship];
        let log = &mut self.logs[index];
        if shipped.is_empty() || !log.promises(grant.shipper) {
            return;
        }
        let at = log.entries.iter().zip(shipped).take_while(|(a, b)| a == b).count();
        log.matched = log.matched.max(at);
        let Some(&next) = shipped.get(at) else { return };
        log.entries.truncate(at);
        log.flushed = log.flushed.min(at);
        log.entries.push(next);
        log.matched = at + 1;
    }

    fn send_report(&mut self, ship: usize, index: usize) {
        let log = &self.logs[index];
        let known = log.promise == Some(self.ships[ship].grant.shipper);
        if known {
            let upto = log.flushed.min(log.matched);
            self.in_flight.push((ship, self.voter(index), upto));
        } else if self.bug == Bug::LateReport {
            let shipped = &self.ships[ship].log;
            let same = log.entries.iter().zip(shipped).take_while(|(a, b)| a == b).count();
            self.in_flight.push((ship, self.voter(index), same.min(log.flushed)));
        }
    }

    /// A report arrives; what the shipper may then take as committed must continue what anybody did.
    fn report(&mut self) -> Result<(), String> {
        let pick = self.below(self.in_flight.len());
        let Some((ship, voter, upto)) = self.in_flight.get(pick).cloned() else { return Ok(()) };
        let ship = &mut self.ships[ship];
        let known = ship.reports.entry(voter).or_default();
        *known = upto.max(*known);
        let point = |voter: &Voter| Lsn::new(*ship.reports.get(voter)? as u64);
        let Some(point) = rule::committed_all(&ship.under, point) else { return Ok(()) };
        let upto = usize::try_from(point.get()).unwrap();
        // I2: only by a record of its own epoch.
        if upto <= ship.start || upto <= ship.commit {
            return Ok(());
        }
        ship.commit = upto;
        let mine = &ship.log[..upto];
        let common = mine.iter().zip(&self.committed).take_while(|(a, b)| a == b).count();
        if common < mine.len().min(self.committed.len()) {
            return Err(format!("{mine:?} against {:?}", self.committed));
        }
        if mine.len() > self.committed.len() {
            self.committed = mine.to_vec();
        }
        Ok(())
    }

    fn current(&self, ship: usize) -> bool {
        let view = self.engine.view(0);
        self.bug == Bug::ZombieViews || view.shipper == Some(self.ships[ship].grant.shipper)
    }

    /// The shipper sees the newest view, and tells the coordinator what it has committed.
    fn talk(&mut self, ship: usize) {
        let joint = self.engine.view(0).config;
        let current = self.current(ship);
        let Ship { grant, log, under, commit, start, .. } = &mut self.ships[ship];
        let (shipper, epoch) = (grant.shipper, grant.shipper.epoch.get());
        if log.is_empty() {
            return;
        }
        let newer = |a: &[QuorumConfig], b: &[QuorumConfig]| {
            a.last().map(|config| config.generation) > b.last().map(|config| config.generation)
        };
        if current && joint.len() > 1 && newer(&joint, under) {
            log.push((epoch, joint[1].generation));
            *under = joint;
        }
        let complete = *commit > *start;
        let last = under.last().map_or(0, |config| config.generation);
        let written = log.iter().position(|entry| *entry == (epoch, last));
        let changed = under.len() > 1 && written.is_some_and(|at| *commit > at);
        if changed || (self.bug == Bug::NarrowEarly && under.len() > 1) {
            under.remove(0);
        }
        let over = under.len() == 1 && written.is_some();
        let asker = Asker(0);
        if complete {
            self.handle(Event::EpochComplete { asker, shipper, lsn: Lsn::FIRST });
        }
        if over {
            self.handle(Event::ConfigCommitted { asker, shipper, generation: last });
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let index = self.below(3);
        // Mostly the newest two shippers; a zombie now and then.
        let back = [1, 1, 1, 1, 2, 2, 3][self.below(7)];
        let ship = self.ships.len().checked_sub(back);
        let dice = self.below(200);
        match (dice, ship) {
            (0..=1, _) => self.ask_grant(),
            (2..=4, _) => {
                let log = &mut self.logs[index];
                log.entries.truncate(log.flushed);
                log.matched = 0;
                self.register(index);
            }
            (5..=6, _) => {
                // One log lost at a time: the next only when the last is counted in again.
                let all = |config: &QuorumConfig| {
                    (0..3).all(|member| config.voters.contains(&self.voter(member)))
                };
                let State { config, incoming, .. } = self.engine.state();
                if incoming.is_none() && config.as_ref().is_some_and(all) {
                    let life = self.logs[index].life;
                    let life = if self.bug == Bug::SameLife { life } else { life + 1 };
                    self.logs[index] = Log::new(life);
                    self.register(index);
                }
            }
            (7..=15, _) => {
                self.handle(Event::AsksReplace { asker: Asker(0), member: name(index) });
            }
            (16, _) => {
                let (engine, _) = Engine::start(self.stored.clone(), &self.settings, CLUSTER);
                self.engine = engine;
                (0..3).for_each(|index| self.register(index));
            }
            (17..=19, Some(ship)) if !self.ships[ship].log.is_empty() => {
                let epoch = self.ships[ship].grant.shipper.epoch.get();
                self.ships[ship].log.push((epoch, 0));
            }
            (20..=49, Some(ship)) => self.promise(ship, index),
            (50..=99, Some(ship)) => (0..=self.below(4)).for_each(|_| self.append(ship, index)),
            (100..=119, _) => self.logs[index].flushed = self.logs[index].entries.len(),
            (120..=149, Some(ship)) => self.send_report(ship, index),
            (150..=189, _) => self.report()?,
            (190.., Some(ship)) => self.talk(ship),
            _ => {}
        }
        Ok(())
    }
}

/// Runs `seeds` worlds; the first violation, and how many epochs and changes were seen committed.
fn run(bug: Bug, seeds: std::ops::Range<u64>, steps: usize) -> (Option<String>, usize, u64) {
    let (mut epochs, mut changes) = (0, 0);
    for seed in seeds {
        let mut world = World::new(seed, bug);
        for step in 0..steps {
            if let Err(what) = world.step() {
                return (Some(format!("seed {seed}, step {step}: {what}")), epochs, changes);
            }
        }
        let committed: BTreeSet<u32> = world.committed.iter().map(|entry| entry.0).collect();
        epochs += committed.len();
        changes += world.engine.state().config.as_ref().unwrap().generation - 1;
    }
    (None, epochs, changes)
}

#[test]
fn one_log_whatever_happens() {
    let (violation, epochs, changes) = run(Bug::None, 0..150, 3000);
    assert_eq!(violation, None);
    assert!(epochs > 1000 && changes > 100, "it went nowhere: {epochs} epochs, {changes} changes");
}

#[test]
fn planted_bugs_are_found() {
    let bugs =
        [Bug::ShortFence, Bug::NewestRuleOnly, Bug::LateReport, Bug::NarrowEarly, Bug::SameLife];
    for bug in bugs {
        let (violation, epochs, changes) = run(bug, 0..3000, 3000);
        assert!(violation.is_some(), "{bug:?} hid in {epochs} epochs, {changes} changes");
    }
}

impl World {
    /// Everything of this shipper reaches the member, is flushed there and reported.
    fn through(&mut self, ship: usize, index: usize) -> Result<(), String> {
        (0..20).for_each(|_| self.append(ship, index));
        self.logs[index].flushed = self.logs[index].entries.len();
        self.send_report(ship, index);
        while !self.in_flight.is_empty() {
            self.report()?;
            self.in_flight.pop();
        }
        Ok(())
    }

    /// E2 is granted, and fences s3, before s3 loses its log and a change begins. E1's shipper lives on.
    fn change_behind_a_zombie(&mut self) -> Result<(), String> {
        let (zombie, newer) = (0, 1);
        self.ask_grant();
        (0..2).for_each(|index| self.promise(zombie, index));
        self.ask_grant();
        self.promise(newer, 2);
        self.logs[2] = Log::new(2);
        self.register(2);
        self.handle(Event::AsksReplace { asker: Asker(0), member: name(2) });
        self.talk(zombie);
        for index in 0..2 {
            self.through(zombie, index)?;
        }
        self.talk(zombie);
        self.promise(newer, 0);
        assert!(!self.ships[newer].log.is_empty(), "fenced under the old rule");
        self.ships[zombie].log.push((1, 0));
        for index in 1..3 {
            self.through(zombie, index)?;
        }
        for index in 0..2 {
            self.through(newer, index)?;
        }
        Ok(())
    }
}

/// Why only the shipper that a view names may take up the change in it: the fence of the one after it
/// was granted before the change began, and does not meet the new configuration.
#[test]
fn a_superseded_shipper_must_not_take_up_a_change() {
    assert_eq!(World::new(1, Bug::None).change_behind_a_zombie(), Ok(()));
    World::new(1, Bug::ZombieViews).change_behind_a_zombie().unwrap_err();
}
