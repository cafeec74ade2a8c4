//! The agent's HTTP: status, tokens, waiting, metrics, adoption of a restored replica.

use std::time::Duration;

use anyhow::Context;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use wal::{LogPoint, Lsn, Timestamp};

use super::keeping::Held;
use super::state::{AgentState, LetGo};
use super::{Parts, feed_http};
use crate::certificate::CertificateStatus;
use crate::config::duration;
use crate::explain::{Code, Coded};
use crate::http::{BoundedListener, Door};
use crate::report::{MemberRole, Protection};
use crate::token::Token;
use crate::wire;

/// A wait is bounded: a client that went away holds its place no longer.
const WAIT_MAX: Duration = Duration::from_secs(60);
const WAIT_DEFAULT: Duration = Duration::from_secs(1);

/// No wait is finished at the stop: whoever waits asks again.
const LAST_ANSWERS: Duration = Duration::ZERO;

/// Binds the HTTP port.
pub(super) async fn bind(address: &str, door: Door) -> anyhow::Result<BoundedListener> {
    BoundedListener::bind(address, door)
        .await
        .map_err(|source| wire::Error::Bind { address: address.to_owned(), source })
        .context("agent.http")
}

/// Serves until `stop`.
pub(super) async fn serve(
    listener: BoundedListener,
    door: Door,
    parts: Parts,
    stop: CancellationToken,
) {
    let app = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(super::metrics::metrics))
        .route("/v1/status", get(status))
        .route("/v1/token", get(token))
        .route("/v1/wait", get(wait))
        .route("/v1/throttle", get(super::throttle::throttle))
        .route("/v1/adopt", post(super::replica::adopt))
        .route("/v1/verify", post(super::verify_http::verify))
        .route("/v1/changes", get(feed_http::changes))
        .route("/v1/consumers", get(feed_http::list))
        .route("/v1/consumers/{name}", post(feed_http::acknowledge).delete(feed_http::remove))
        .fallback(async || refuse(StatusCode::NOT_FOUND, Code::HTTP_REQUEST, "no such path"))
        .with_state(parts);
    if let Err(error) = crate::http::serve(listener, door, app, LAST_ANSWERS, stop).await {
        tracing::error!(code = %Code::ACCEPT_FAILED, error = %error, "HTTP has stopped");
    }
}

/// An answer that says why not, as JSON.
pub(super) fn refuse(status: StatusCode, code: Code, error: impl ToString) -> Response {
    (status, Json(json!({ "error": error.to_string(), "code": code }))).into_response()
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    state: AgentState,
    #[serde(flatten)]
    let_go: LetGo,
    /// `None` unless this is the source.
    protection: Option<Protection>,
    reasons: Vec<Coded>,
    cluster: wal::ClusterId,
    incarnation: wal::Incarnation,
    promised: Option<crate::cluster::Shipper>,
    written: Option<LogPoint>,
    flushed: Option<LogPoint>,
    visible: Option<Lsn>,
    applied: Option<Lsn>,
    applied_timestamp: Option<Timestamp>,
    no_room: bool,
    /// The lowest record that a named consumer of the change feed still needs, as the coordinator last
    /// said.
    consumers_need: Option<Lsn>,
    log: LogStatus,
    certificates: Vec<CertificateStatus>,
}

/// How much of the log there is, and why not less.
#[derive(Serialize)]
struct LogStatus {
    first: Option<Lsn>,
    bytes: u64,
    #[serde(flatten)]
    held: Held,
}

async fn status(State(parts): State<Parts>) -> Json<Status> {
    let progress = parts.log.progress().borrow().clone();
    let applied = parts.applied.now();
    let state = parts.shared.now();
    let (protection, reasons) = state.protection().unzip();
    Json(Status {
        state,
        let_go: parts.shared.let_go().clone(),
        protection,
        reasons: reasons.unwrap_or_default(),
        cluster: parts.log.cluster(),
        incarnation: parts.log.incarnation(),
        promised: progress.promised,
        written: progress.written,
        flushed: progress.flushed,
        visible: progress.visible,
        applied: applied.map(|(lsn, _)| lsn),
        applied_timestamp: applied.map(|(_, timestamp)| timestamp),
        no_room: progress.no_room,
        consumers_need: parts.view.borrow().as_ref().and_then(crate::report::View::lowest_needed),
        log: LogStatus {
            first: parts.log.reader().first_lsn(),
            bytes: parts.log.reader().bytes(),
            held: parts.held.lock().clone(),
        },
        certificates: parts.doors.certificates(),
    })
}

/// A token that covers everything acknowledged before this request came.
async fn token(State(parts): State<Parts>) -> Response {
    let released = parts.shared.let_go().released;
    match released {
        Some(released) => {
            let token = Token {
                cluster: parts.log.cluster(),
                epoch: released.epoch,
                timestamp: released.timestamp,
            };
            Json(json!({ "token": token.to_string() })).into_response()
        }
        None => {
            let state = parts.shared.now();
            let why = format!(
                "{} hands out no token now: it is {:?} and {}; ask the source's agent",
                state.name, state.role, state.phase
            );
            refuse(StatusCode::SERVICE_UNAVAILABLE, Code::NO_TOKEN, why)
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    after: Option<String>,
    timeout: Option<String>,
}

/// 200 as soon as this member's server has applied everything that the token covers.
async fn wait(State(parts): State<Parts>, asked: Result<Query<Wait>, QueryRejection>) -> Response {
    let Ok(Query(Wait { after: Some(after), timeout })) = asked else {
        let why =
            "say after=TOKEN (from /v1/token of the source's agent), and timeout=500ms or not";
        return refuse(StatusCode::BAD_REQUEST, Code::HTTP_REQUEST, why);
    };
    let token = match Token::parse(&after, parts.log.cluster()) {
        Ok(token) => token,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.code(), error),
    };
    let patience = match timeout.as_deref().map(duration).transpose() {
        Ok(patience) => patience.unwrap_or(WAIT_DEFAULT).min(WAIT_MAX),
        Err(error) => {
            let why = format!("timeout: {error}");
            return refuse(StatusCode::BAD_REQUEST, Code::HTTP_REQUEST, why);
        }
    };
    if parts.shared.now().role == MemberRole::Witness {
        let why = format!("{} is a witness: it applies nothing", parts.config.name);
        return refuse(StatusCode::CONFLICT, Code::WRONG_MEMBER, why);
    }
    let mut applied = parts.applied.watch();
    let reached = |applied: &crate::ship::serve::AppliedPoint| {
        applied.is_some_and(|(_, timestamp)| timestamp >= token.timestamp)
    };
    let deadline = Instant::now() + patience;
    let waited = timeout_at(deadline, applied.wait_for(reached)).await;
    let found = match &waited {
        Ok(Ok(found)) => **found,
        _ => parts.applied.now(),
    };
    let place = json!({
        "applied": found.map(|(lsn, _)| lsn),
        "applied_timestamp": found.map(|(_, timestamp)| timestamp),
    });
    if matches!(waited, Ok(Ok(_))) {
        return Json(place).into_response();
    }
    late(&parts, &token, found.map(|(lsn, _)| lsn))
}

fn late(parts: &Parts, token: &Token, applied: Option<Lsn>) -> Response {
    let visible = parts.log.progress().borrow().visible;
    let number = |lsn: Option<Lsn>| lsn.map_or(0, Lsn::get);
    let state = parts.shared.now();
    let body = json!({
        "error": format!(
            "{} has not applied timestamp {} yet; it is {}", state.name, token.timestamp, state.phase
        ),
        "code": Code::REPLICA_LATE,
        "lag_records": number(visible).saturating_sub(number(applied)),
        "applied": applied,
        "commit": visible,
        "alarms": state.alarms,
    });
    (StatusCode::GATEWAY_TIMEOUT, Json(body)).into_response()
}
