//! The newest report of each member, and how long ago the commit point passed a record.
//!
//! In: connections that come and go, reports, the time. Out: facts for status, routing and I16. Plain
//! data, lost with the process: it fills again within a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wal::{Incarnation, LogPoint, Lsn};

use crate::cluster::{MemberName, Voter};
use crate::lag::History;
use crate::report::{Mark, MemberRole, Report};

/// A member whose newest report is older is not counted on: five reports are missing.
pub const FRESH_FOR: Duration = Duration::from_secs(1);

/// Numbers the connections of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// What is known of one member.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its newest connection.
    pub connection: ConnectionId,
    /// That one is still there.
    pub connected: bool,
    /// The log it registered with.
    pub incarnation: Option<Incarnation>,
    /// The newest report, and when it came.
    pub report: Option<(Instant, Report)>,
}

impl Entry {
    /// Connected, and reported within [`FRESH_FOR`].
    pub fn live(&self, now: Instant) -> bool {
        self.connected
            && self.report.as_ref().is_some_and(|(at, _)| now.duration_since(*at) <= FRESH_FOR)
    }
}

/// All members.
#[derive(Debug, Default)]
pub struct Board {
    members: BTreeMap<MemberName, Entry>,
    commit: Option<Mark>,
    history: History,
}

impl Board {
    /// A member registered on this connection; an older connection of it does not count any more.
    pub fn connected(
        &mut self,
        member: MemberName,
        connection: ConnectionId,
        incarnation: Option<Incarnation>,
    ) {
        let known = self.members.remove(&member);
        // The same process on a new connection: what it last said is still the best that is known.
        let report =
            known.filter(|known| known.incarnation.is_none_or(|known| Some(known) == incarnation));
        let report = report.and_then(|known| known.report);
        let entry = Entry { connection, connected: true, incarnation, report };
        self.members.insert(member, entry);
    }

    /// A connection has ended.
    pub fn gone(&mut self, member: &MemberName, connection: ConnectionId) {
        if let Some(entry) = self.members.get_mut(member) {
            entry.connected &= entry.connection != connection;
        }
    }

    /// A report came in.
    pub fn report(
        &mut self,
        member: &MemberName,
        connection: ConnectionId,
        report: Report,
        now: Instant,
    ) {
        let entry = self.members.get_mut(member);
        let Some(entry) = entry.filter(|entry| entry.connection == connection) else {
            return;
        };
        if let Some(commit) = report.commit
            && self.commit.is_none_or(|known| known.lsn < commit.lsn)
        {
            self.commit = Some(commit);
            self.history.note(commit.lsn, now);
        }
        entry.report = Some((now, report));
    }

    /// One member, if it ever registered with this process.
    pub fn member(&self, member: &MemberName) -> Option<&Entry> {
        self.members.get(member)
    }

    /// The last record that a member has in its log and, where it has one, in its server; `None`
    /// where it has not said so to this process. A source's server has what its binlog has.
    pub fn has(&self, member: &MemberName, has_server: bool) -> Option<Lsn> {
        let (_, report) = self.members.get(member)?.report.as_ref()?;
        let flushed = report.flushed?.lsn;
        if !has_server || report.role == MemberRole::Source {
            return Some(flushed);
        }
        report.applied.map(|applied| flushed.min(applied.lsn))
    }

    /// The highest commit point anybody reported.
    pub fn commit(&self) -> Option<Mark> {
        self.commit
    }

    /// How far each log has come, for the store (I16). What a report says about itself only.
    pub fn reached(&self) -> Vec<(Voter, LogPoint)> {
        let reached = |(member, entry): (&MemberName, &Entry)| {
            let (_, report) = entry.report.as_ref()?;
            let point = report.matched_committed.filter(|point| Some(*point) <= report.flushed)?;
            let voter = Voter { member: member.clone(), incarnation: entry.incarnation? };
            Some((voter, point))
        };
        self.members.iter().filter_map(reached).collect()
    }

    /// How long ago the commit point passed `applied`: zero where nothing is missing.
    pub fn behind_for(&self, applied: Option<Lsn>, now: Instant) -> Duration {
        self.history.passed(applied).map_or(Duration::ZERO, |at| now.duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use wal::Epoch;

    use super::*;

    fn lsn(number: u64) -> Lsn {
        Lsn::new(number).unwrap()
    }

    fn report(commit: u64) -> Report {
        let mut report = Report::starting(MemberRole::Replica);
        report.commit = Lsn::new(commit).map(|lsn| Mark { lsn, timestamp: None });
        report
    }

    #[test]
    fn the_newest_connection_speaks_for_a_member() {
        let s1 = MemberName::new("s1").unwrap();
        let life = Some(Incarnation::from_bytes([1; 16]));
        let now = Instant::now();
        let mut board = Board::default();
        board.report(&s1, ConnectionId(1), report(1), now);
        assert!(board.member(&s1).is_none(), "not registered");
        board.connected(s1.clone(), ConnectionId(1), life);
        assert!(!board.member(&s1).unwrap().live(now), "no report yet");
        board.report(&s1, ConnectionId(1), report(5), now);
        assert!(board.member(&s1).unwrap().live(now));
        assert!(!board.member(&s1).unwrap().live(now + FRESH_FOR * 2));
        board.connected(s1.clone(), ConnectionId(2), life);
        board.report(&s1, ConnectionId(1), report(9), now);
        board.gone(&s1, ConnectionId(1));
        assert!(board.member(&s1).unwrap().live(now));
        assert_eq!(board.commit().unwrap().lsn, lsn(5));
        board.gone(&s1, ConnectionId(2));
        assert!(!board.member(&s1).unwrap().live(now));
        board.connected(s1.clone(), ConnectionId(3), Some(Incarnation::from_bytes([2; 16])));
        assert!(board.member(&s1).unwrap().report.is_none(), "another log, another story");
    }

    #[test]
    fn what_is_not_flushed_was_not_reached() {
        let s1 = MemberName::new("s1").unwrap();
        let now = Instant::now();
        let mut board = Board::default();
        board.connected(s1.clone(), ConnectionId(1), Some(Incarnation::from_bytes([1; 16])));
        let point = |number| Some(LogPoint { epoch: Epoch::FIRST, lsn: lsn(number) });
        let mut said = report(9);
        said.matched_committed = point(9);
        board.report(&s1, ConnectionId(1), said.clone(), now);
        assert_eq!(board.reached(), []);
        said.flushed = point(10);
        board.report(&s1, ConnectionId(1), said, now);
        assert_eq!(board.reached()[0].1, point(9).unwrap());
    }
}
