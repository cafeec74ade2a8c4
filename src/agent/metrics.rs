//! `/metrics`: what the agent knows, set when it is asked for; histograms are kept where things happen.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use metrics::gauge;
use wal::{LogPoint, Lsn};

use super::Parts;
use super::state::{AgentState, Topic};
use crate::metrics as names;
use crate::report::{MemberRole, Protection};

pub(super) async fn metrics(State(parts): State<Parts>) -> Response {
    let state = parts.shared.now();
    set_log(&parts);
    set_state(&parts, &state);
    for certificate in parts.doors.certificates() {
        let left = certificate.seconds_left as f64;
        gauge!(names::CERTIFICATE_EXPIRY, "key" => certificate.key).set(left);
    }
    parts.exporter.render().into_response()
}

fn set_log(parts: &Parts) {
    let progress = parts.log.progress().borrow().clone();
    let lsn = |lsn: Option<Lsn>| lsn.map_or(0.0, |lsn| lsn.get() as f64);
    let point = |point: Option<LogPoint>| lsn(point.map(|point| point.lsn));
    gauge!(names::LOG_WRITTEN).set(point(progress.written));
    gauge!(names::LOG_FLUSHED).set(point(progress.flushed));
    gauge!(names::COMMIT_LSN).set(lsn(progress.visible));
    gauge!(names::APPLIED_LSN).set(lsn(parts.applied.now().map(|(lsn, _)| lsn)));
    gauge!(names::LOG_NO_ROOM).set(flag(progress.no_room));
    let bytes = parts.log.reader().bytes();
    gauge!(names::LOG_BYTES).set(bytes as f64);
    let held = parts.held.lock().clone();
    gauge!(names::LOG_HELD_BYTES).set(held.held_bytes as f64);
    gauge!(names::LOG_HELD_SECONDS).set(held.held_seconds as f64);
}

fn set_state(parts: &Parts, state: &AgentState) {
    gauge!(names::SERVING).set(flag(state.serving));
    if let Some((protection, _)) = state.protection() {
        gauge!(names::PROTECTED).set(flag(protection == Protection::Protected));
    }
    if state.role == MemberRole::Replica
        && let Some(lag) = super::throttle::lag(parts)
    {
        gauge!(names::LAG).set(lag.as_secs_f64());
    }
    gauge!(names::ALARMS).set(state.alarms.len() as f64);
    for topic in Topic::ALL {
        let on = flag(state.alarms.contains_key(&topic));
        gauge!(names::ALARM, "topic" => topic.name()).set(on);
    }
    let view = parts.view.borrow().clone();
    for member in view.iter().flat_map(|view| &view.members) {
        let waiting = flag(state.waiting_for.contains(&member.member));
        let name = member.member.to_string();
        gauge!(names::QUORUM_WAITS_FOR, "member" => name).set(waiting);
    }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}
