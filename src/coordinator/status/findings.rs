//! What is wrong, the worst first, and for whom one waits.

use std::time::Instant;

use super::member::standing;
use super::{ConsumerStatus, MemberStatus};
use crate::cluster::Voter;
use crate::coordinator::board::Board;
use crate::coordinator::picture::Picture;
use crate::explain::{Code, Coded};
use crate::quorum::rule::{self, Missing};

/// A consumer acknowledges every few seconds, also where nothing happens.
const CONSUMER_LATE_SECONDS: f64 = 300.0;

#[derive(Default)]
pub(super) struct Findings {
    pub(super) alarms: Vec<Coded>,
    pub(super) waiting_for: Vec<String>,
    pub(super) healthy: bool,
}

pub(super) fn look(
    picture: &Picture,
    board: &Board,
    members: &[MemberStatus],
    now: Instant,
) -> Findings {
    let state = &picture.state;
    let mut found = Findings::default();
    found.bootstrap(picture);
    let missing = missing(picture, board, now);
    found.quorum(missing.as_ref());
    found.epoch(picture);
    found.members(picture, members);
    for difference in &picture.differences {
        found.alarm(Code::CONFIG_DIFFERS, difference.as_str());
    }
    let source = board.member(&state.source).filter(|entry| entry.live(now));
    if let Some((_, report)) = source.and_then(|entry| entry.report.as_ref()) {
        report.waiting_for.iter().for_each(|member| found.waits_for(member.as_str()));
    }
    let complete = state.granted.as_ref().is_some_and(|granted| granted.complete);
    let quorum = state.config.is_some() && missing.is_none();
    // An agent whose server is down, refused or not yet opened reports, but nobody can write.
    let writable =
        source.and_then(|entry| entry.report.as_ref()).is_some_and(|(_, report)| report.serving);
    found.healthy = quorum && complete && writable && picture.ahead.is_none();
    found
}

/// For whom commits would wait, as far as reports tell.
fn missing(picture: &Picture, board: &Board, now: Instant) -> Option<Missing> {
    let state = &picture.state;
    let counted = |voter: &Voter| {
        let entry = board.member(&voter.member).filter(|entry| entry.live(now));
        !state.shortened.contains(voter)
            && entry.is_some_and(|entry| entry.incarnation == Some(voter.incarnation))
    };
    let configs = state.commit();
    configs.iter().rev().find_map(|config| rule::missing_for_commit(config, counted))
}

impl Findings {
    fn alarm(&mut self, code: Code, text: impl Into<String>) {
        self.alarms.push(Coded::new(code, text));
    }

    fn waits_for(&mut self, member: &str) {
        if !self.waiting_for.iter().any(|known| known == member) {
            self.waiting_for.push(member.to_owned());
        }
    }

    fn bootstrap(&mut self, picture: &Picture) {
        let unseen = picture.state.unseen();
        unseen.iter().for_each(|member| self.waits_for(member.as_str()));
        if !unseen.is_empty() {
            let text = format!(
                "being set up: no epoch before every member has registered once; waiting for {}",
                self.waiting_for.join(", ")
            );
            self.alarm(Code::BOOTSTRAP, text);
        }
        if let Some(ahead) = picture.ahead {
            let text = format!(
                "a member knows epoch {ahead}, which this store never granted: the store is an \
                 older copy; no epoch is granted until it is given its newest one back"
            );
            self.alarm(Code::STORE_OLD, text);
        }
    }

    fn quorum(&mut self, missing: Option<&Missing>) {
        let Some(missing) = missing else { return };
        self.alarm(Code::QUORUM_LACKS, format!("quorum lost: commits wait for {missing}"));
        missing.of.iter().for_each(|voter| self.waits_for(voter.member.as_str()));
    }

    fn epoch(&mut self, picture: &Picture) {
        let state = &picture.state;
        match &state.granted {
            _ if state.config.is_none() => {}
            None => self.alarm(
                Code::NO_EPOCH,
                format!("no epoch yet: waiting for the agent of {} to ask for one", state.source),
            ),
            Some(granted) if !granted.complete => self.alarm(
                Code::EPOCH_INCOMPLETE,
                format!(
                    "epoch {} is not complete yet: the source is not open for writing",
                    granted.shipper.epoch
                ),
            ),
            Some(_) => {}
        }
        if let Some(incoming) = &state.incoming {
            let text = format!(
                "a change of members is under way (to generation {}): commits need old and new",
                incoming.generation
            );
            self.alarm(Code::CHANGE_UNDER_WAY, text);
        }
    }

    /// Whoever is late holds the log back, dead or alive.
    pub(super) fn consumers(&mut self, consumers: &[ConsumerStatus]) {
        for late in consumers.iter().filter(|known| known.lag_seconds > CONSUMER_LATE_SECONDS) {
            let text = format!(
                "consumer {} has acknowledged nothing since {} and lacks {} records, the oldest \
                 {:.0} s old: every log keeps them for it",
                late.name,
                late.since,
                late.lag_records.unwrap_or(0),
                late.lag_seconds
            );
            self.alarm(Code::CONSUMER_LATE, text);
        }
    }

    fn members(&mut self, picture: &Picture, members: &[MemberStatus]) {
        for (member, known) in members.iter().zip(&picture.state.members) {
            let name = &member.name;
            match standing(known, picture).1 {
                Some(why) => self.alarms.push(why.of(format!("{name} does not count"))),
                None if !member.live => {
                    self.alarm(Code::MEMBER_AWAY, format!("{name}: {}", member.state));
                }
                None => {}
            }
            self.alarms.extend(member.alarms.iter().map(|alarm| alarm.of(name)));
        }
    }
}
