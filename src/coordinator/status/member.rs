//! One member of the status.

use std::time::{Duration, Instant};

use super::{MemberStatus, ServerStatus};
use crate::coordinator::board::{Board, Entry};
use crate::coordinator::engine::Member;
use crate::coordinator::picture::Picture;
use crate::explain::Coded;
use crate::report::{MemberRole, Report, ServerAddress, Standing};

pub(super) fn status(
    member: &Member,
    picture: &Picture,
    board: &Board,
    now: Instant,
) -> MemberStatus {
    let registered = picture.registered.get(&member.name);
    let (standing, excluded) = standing(member, picture);
    let entry = board.member(&member.name);
    let live = entry.is_some_and(|entry| entry.live(now));
    let report = entry.and_then(|entry| entry.report.as_ref());
    let report = report.map(|(at, report)| (now.duration_since(*at), report));
    let said = report.map(|(_, report)| report);
    let role = said.map_or(expected_role(member, picture), |report| report.role);
    let applied = said.and_then(|report| report.applied);
    let flushed = said.and_then(|report| report.flushed).map(|point| point.lsn);
    let has = if role == MemberRole::Witness { flushed } else { applied.map(|mark| mark.lsn) };
    let lag = said.map(|_| {
        let committed = board.commit().map_or(0, |mark| mark.lsn.get());
        committed.saturating_sub(has.map_or(0, wal::Lsn::get))
    });
    MemberStatus {
        name: member.name.to_string(),
        role: role_name(role).to_owned(),
        standing: standing.to_owned(),
        reason: excluded.map(|excluded| excluded.text),
        listen: member.listen.clone(),
        http: registered.map(|registered| registered.http.clone()),
        server: registered.and_then(|registered| registered.server.as_ref()).map(server),
        live,
        state: state(entry, report, live),
        written_lsn: said.and_then(|report| report.written).map(|point| point.lsn.get()),
        flushed_lsn: flushed.map(wal::Lsn::get),
        applied_lsn: applied.map(|mark| mark.lsn.get()),
        applied_timestamp: applied.and_then(|mark| mark.timestamp).map(wal::Timestamp::bits),
        lag_records: lag,
        lag_seconds: lag.map(|_| board.behind_for(has, now).as_secs_f64()),
        serving: live && said.is_some_and(|report| report.serving),
        alarms: said.map(|report| report.alarms.clone()).unwrap_or_default(),
        report_age_ms: report.map(|(age, _)| age.as_millis().try_into().unwrap_or(u64::MAX)),
    }
}

/// Its standing in a word, and why it does not count.
pub(super) fn standing(member: &Member, picture: &Picture) -> (&'static str, Option<Coded>) {
    match picture.view.member(&member.name).map(|view| &view.standing) {
        Some(Standing::Counts) => ("counts", None),
        Some(Standing::Unknown) | None => ("unknown", None),
        Some(Standing::Joining) => ("joining", None),
        Some(Standing::Excluded { code, reason }) => {
            ("excluded", Some(Coded::new(*code, reason.clone())))
        }
    }
}

fn state(entry: Option<&Entry>, report: Option<(Duration, &Report)>, live: bool) -> String {
    match (entry, report) {
        (None, _) => "not connected".to_owned(),
        (Some(Entry { connected: false, .. }), _) => "gone".to_owned(),
        (Some(_), None) => "starting".to_owned(),
        (Some(_), Some((age, _))) if !live => format!("silent for {:.0} s", age.as_secs_f64()),
        (Some(_), Some((_, report))) => report.state.clone(),
    }
}

fn server(server: &ServerAddress) -> ServerStatus {
    let family = server.family.clone();
    ServerStatus { host: server.host.clone(), port: server.port, family }
}

fn expected_role(member: &Member, picture: &Picture) -> MemberRole {
    if !member.has_server {
        MemberRole::Witness
    } else if member.name == picture.state.source {
        MemberRole::Source
    } else {
        MemberRole::Replica
    }
}

fn role_name(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Source => "source",
        MemberRole::Replica => "replica",
        MemberRole::Witness => "witness",
    }
}
