//! The HTTP API for people, scripts and routers.
//!
//! `GET /v1/status`, `GET /v1/replica?after=TOKEN`, `GET /v1/throttle?max_lag=1s`,
//! `POST /v1/members/NAME/replace`, `POST /v1/upgrade/finalize`, `GET /metrics`, `GET /healthz`. Errors are
//! `{"error": …, "code": …}`.
//! Bodies are bounded; connections and who may ask are [`crate::http`]'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::core::{CoreHandle, SharedBoard};
use super::engine::{Finalizing, Replacing};
use super::metrics::Metrics;
use super::routing;
use super::status::{Status, status};
use super::throttle::throttle;
use crate::cluster::MemberName;
use crate::explain::Code;
use crate::http::{BoundedListener, Door, MaxLag};
use crate::renewal::Doors;

/// No request has a body that means anything.
const BODY_BYTES: usize = 1024;
/// How long requests under way may take when the coordinator stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What the handlers see.
pub(super) struct Api {
    name: String,
    core: CoreHandle,
    board: SharedBoard,
    doors: Doors,
    metrics: Metrics,
    turn: AtomicUsize,
}

impl Api {
    /// `name` is the cluster's, from the configuration.
    pub(super) fn new(name: String, core: CoreHandle, board: SharedBoard, doors: Doors) -> Api {
        Api { name, core, board, doors, metrics: Metrics::new(), turn: AtomicUsize::new(0) }
    }

    fn status(&self) -> Status {
        let picture = self.core.picture();
        let mut status = status(&self.name, &picture, &self.board.lock(), Instant::now());
        status.certificates = self.doors.certificates();
        status.alarms.extend(self.doors.warnings());
        status
    }
}

/// Answers until `stop`.
pub(super) async fn serve(
    listener: BoundedListener,
    door: Door,
    api: Api,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/status", get(get_status))
        .route("/v1/replica", get(get_replica))
        .route("/v1/throttle", get(get_throttle))
        .route("/v1/members/{name}/replace", post(replace))
        .route("/v1/upgrade/finalize", post(finalize))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { error(StatusCode::NOT_FOUND, Code::HTTP_REQUEST, "no such path") })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(Arc::new(api));
    crate::http::serve(listener, door, router, LAST_ANSWERS, stop).await
}

async fn get_status(State(api): State<Arc<Api>>) -> Json<Status> {
    Json(api.status())
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let text = api.metrics.render(&api.status());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

async fn get_replica(State(api): State<Arc<Api>>, Query(query): Query<After>) -> Response {
    let Some(after) = query.after else {
        return error(
            StatusCode::BAD_REQUEST,
            Code::HTTP_REQUEST,
            "say after=TOKEN, from /v1/token of the source's agent",
        );
    };
    let picture = api.core.picture();
    let token = match crate::token::Token::parse(&after, picture.state.cluster) {
        Ok(token) => token,
        Err(refused) => {
            return error(StatusCode::BAD_REQUEST, refused.code(), &refused.to_string());
        }
    };
    let routes = {
        let board = api.board.lock();
        routing::routes(&picture, &board, token.timestamp, Instant::now())
    };
    match routes {
        Ok(routes) => {
            // In turn, so that readers spread over all replicas that are fresh enough.
            let turn = api.turn.fetch_add(1, Ordering::Relaxed) % routes.len().max(1);
            match routes.get(turn) {
                Some(route) => Json(route).into_response(),
                None => error(StatusCode::SERVICE_UNAVAILABLE, Code::NO_REPLICA, "no replica"),
            }
        }
        Err(none) => (StatusCode::SERVICE_UNAVAILABLE, Json(none)).into_response(),
    }
}

async fn get_throttle(State(api): State<Arc<Api>>, Query(asked): Query<MaxLag>) -> Response {
    let max_lag = match asked.parse() {
        Ok(max_lag) => max_lag,
        Err(bad) => return error(StatusCode::BAD_REQUEST, Code::HTTP_REQUEST, &bad),
    };
    let answer = throttle(&api.status(), max_lag);
    let wait = answer.error.is_some();
    let status = if wait { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
    (status, Json(answer)).into_response()
}

async fn replace(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Response {
    let member = match MemberName::new(name) {
        Ok(member) => member,
        Err(bad) => return error(StatusCode::BAD_REQUEST, Code::WRONG_MEMBER, &bad.to_string()),
    };
    let under_way =
        |generation: u64, state: &str| json!({"generation": generation, "state": state});
    match api.core.replace(member.clone()).await {
        Some(Replacing::Started { generation }) => {
            (StatusCode::ACCEPTED, Json(under_way(generation, "joining"))).into_response()
        }
        Some(Replacing::Counts { generation }) => {
            Json(under_way(generation, "counts")).into_response()
        }
        Some(Replacing::Unknown) => {
            let text = format!("{member} is no member of this cluster");
            error(StatusCode::NOT_FOUND, Code::WRONG_MEMBER, &text)
        }
        Some(Replacing::Refused(why)) => error(StatusCode::CONFLICT, why.code, &why.text),
        None => {
            error(StatusCode::SERVICE_UNAVAILABLE, Code::STOPPING, "the coordinator is stopping")
        }
    }
}

async fn finalize(State(api): State<Arc<Api>>) -> Response {
    match api.core.finalize().await {
        Some(Finalizing::Raised { from, to }) => {
            Json(json!({"log_format": to, "before": from})).into_response()
        }
        Some(Finalizing::InForce(format)) => {
            Json(json!({"log_format": format, "before": format})).into_response()
        }
        Some(Finalizing::Refused(why)) => error(StatusCode::CONFLICT, why.code, &why.text),
        None => {
            error(StatusCode::SERVICE_UNAVAILABLE, Code::STOPPING, "the coordinator is stopping")
        }
    }
}

fn error(status: StatusCode, code: Code, text: &str) -> Response {
    (status, Json(json!({"error": text, "code": code}))).into_response()
}
