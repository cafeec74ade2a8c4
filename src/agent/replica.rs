//! The replica's agent: the applier, and what it tells.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wal::Lsn;

use super::http::refuse;
use super::state::Topic;
use super::{Error, Parts};
use crate::apply::{self, Applied, Applier, ApplierOptions, ApplierState, At, Limits};
use crate::cluster::causes;
use crate::config::AgentServer;
use crate::explain::Code;
use crate::report::MemberRole;

/// Applies what is visible until `stop`. An applier that stopped by an error stays stopped, with its
/// reason as an alarm, until the replica is adopted anew or the agent restarted: the log goes on.
pub(super) async fn run(
    parts: Parts,
    server: AgentServer,
    stop: CancellationToken,
) -> Result<(), Error> {
    parts.shared.phase(MemberRole::Replica, "following");
    let (visible, watched) = watch::channel(None);
    let feeding = tokio::spawn(feed(parts.clone(), visible));
    while !stop.is_cancelled() {
        apply_until_stopped(&parts, &server, watched.clone(), &stop).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = parts.adopted.notified() => tracing::info!("adopted; applying from there"),
        }
    }
    feeding.abort();
    Ok(())
}

async fn apply_until_stopped(
    parts: &Parts,
    server: &AgentServer,
    visible: watch::Receiver<Option<Lsn>>,
    stop: &CancellationToken,
) {
    let options = ApplierOptions {
        member: parts.config.name.clone(),
        server: server.connection.clone(),
        replica_binlog: server.replica_binlog,
        limits: Limits::default(),
    };
    let (applied_to, mut applied) = watch::channel(Applied::unknown());
    let applier = Applier::new(options, parts.log.reader().clone(), visible, applied_to);
    let mut applying = Box::pin(applier.run(stop.clone()));
    let mut told = None;
    loop {
        tell(parts, &applied.borrow_and_update(), &mut told);
        tokio::select! {
            _ = &mut applying => break,
            changed = applied.changed() => if changed.is_err() { break },
        }
    }
    tell(parts, &applied.borrow(), &mut told);
}

/// What may be applied, from the log's thread (I4), as far as nobody holds the applier.
async fn feed(parts: Parts, visible: watch::Sender<Option<Lsn>>) {
    let mut committed = parts.log.visible();
    let mut held = parts.hold.changes();
    loop {
        let now = *committed.borrow_and_update();
        visible.send_if_modified(|visible| {
            let allowed = parts.hold.allow(*visible, now);
            let changed = *visible != allowed;
            *visible = allowed;
            changed
        });
        tokio::select! {
            changed = committed.changed() => if changed.is_err() { return },
            () = held.changed() => {}
        }
    }
}

/// Tells how far the applier is, and whether it goes on: the second changes rarely, and is `told` once.
fn tell(parts: &Parts, applied: &Applied, told: &mut Option<(ApplierState, bool)>) {
    parts.applied.set(applied.lsn.zip(applied.timestamp));
    let serving = applied.state == ApplierState::Running && applied.lsn.is_some();
    if told.as_ref().is_some_and(|told| *told == (applied.state.clone(), serving)) {
        return;
    }
    *told = Some((applied.state.clone(), serving));
    let (phase, alarm) = match &applied.state {
        ApplierState::Running => ("following", None),
        ApplierState::Retrying(why) => {
            ("waiting for its server", Some(why.of("the server does not take rows now")))
        }
        ApplierState::Stopped(why) => ("applier stopped", Some(why.of("the applier has stopped"))),
    };
    if alarm.as_ref().is_some_and(|alarm| alarm.code == Code::LOG_DAMAGED) {
        parts.shared.damage_met();
    }
    parts.shared.phase(MemberRole::Replica, phase);
    parts.shared.alarm(Topic::Applier, alarm);
    parts.shared.change(|state| state.serving = serving);
}

/// How long an adoption waits to hear from the epoch's shipper what is committed.
const KNOWN_SOON: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adopt {
    /// GTID set, or `FILE:POS`.
    at: String,
}

/// Declares where a restored replica stands (`plimsoll adopt`).
pub(super) async fn adopt(
    State(parts): State<Parts>,
    asked: Result<Json<Adopt>, JsonRejection>,
) -> Response {
    let Ok(Json(adopt)) = asked else {
        let why = r#"say {"at": "GTID set or FILE:POS"} as JSON"#;
        return refuse(StatusCode::BAD_REQUEST, Code::HTTP_REQUEST, why);
    };
    let Some(server) = &parts.config.server else {
        return refuse(StatusCode::CONFLICT, Code::WRONG_MEMBER, "a witness has no server");
    };
    if parts.shared.now().role != MemberRole::Replica {
        return refuse(StatusCode::CONFLICT, Code::WRONG_MEMBER, "only a replica can be adopted");
    }
    let at: At = match adopt.at.parse() {
        Ok(at) => at,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.code(), causes(&error)),
    };
    // A member that has just started learns with the shipper's first word what is committed.
    let mut progress = parts.log.progress();
    let known = progress.wait_for(|progress| progress.visible.is_some());
    let visible = match tokio::time::timeout(KNOWN_SOON, known).await {
        Ok(Ok(progress)) => progress.visible,
        Ok(Err(_)) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, Code::STOPPING, "the log has stopped");
        }
        // The refusal that follows says that nothing is committed here yet.
        Err(_) => None,
    };
    let (reader, me) = (parts.log.reader(), &parts.config.name);
    match Box::pin(apply::adopt(reader, &server.connection, me, visible, at)).await {
        Ok(lsn) => {
            parts.adopted.notify_one();
            Json(json!({ "lsn": lsn })).into_response()
        }
        Err(error) => refuse(StatusCode::CONFLICT, error.code(), causes(&error)),
    }
}
