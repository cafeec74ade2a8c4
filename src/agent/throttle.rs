//! `/v1/throttle`: may a migration (gh-ost) go on, as far as this replica is concerned?

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::http::refuse;
use crate::explain::Code;
use crate::http::MaxLag;
use crate::lag::History;
use crate::log::Progress;
use crate::report::MemberRole;

/// A source writes a heartbeat each second, and others see it one append later: a commit point that
/// stands still for longer has not been heard from, and what was committed since is not known here.
const SILENCE: Duration = Duration::from_secs(3);

/// When this member learned that records are committed.
#[derive(Clone, Default)]
pub(super) struct Committed(Arc<Mutex<History>>);

impl Committed {
    /// Notes each move of the commit point until `stop`.
    pub async fn follow(self, mut progress: watch::Receiver<Progress>, stop: CancellationToken) {
        let mut known = None;
        loop {
            let visible = progress.borrow_and_update().visible;
            if visible > known
                && let Some(lsn) = visible
            {
                known = visible;
                self.0.lock().unwrap_or_else(PoisonError::into_inner).note(lsn, Instant::now());
            }
            if !matches!(stop.run_until_cancelled(progress.changed()).await, Some(Ok(()))) {
                return;
            }
        }
    }
}

/// How long this replica lacks the oldest committed record that it has not applied, counted from when
/// its agent learned of it; where nothing is lacking but nothing was heard either, the silence. `None`
/// before the first word of a shipper.
pub(super) fn lag(parts: &Parts) -> Option<Duration> {
    let applied = parts.applied.now().map(|(lsn, _)| lsn);
    let history = parts.committed.0.lock().unwrap_or_else(PoisonError::into_inner);
    let silence = history.newest()?.elapsed();
    let silence = if silence > SILENCE { silence } else { Duration::ZERO };
    Some(history.passed(applied).map_or(silence, |at| at.elapsed().max(silence)))
}

/// 200: go on. 429: wait, with the reason. Whatever cannot be said is a reason to wait.
pub(super) async fn throttle(State(parts): State<Parts>, Query(asked): Query<MaxLag>) -> Response {
    let max_lag = match asked.parse() {
        Ok(max_lag) => max_lag,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, Code::HTTP_REQUEST, error),
    };
    let state = parts.shared.now();
    if state.role != MemberRole::Replica {
        let why = format!("{} is no replica now: ask one, or the coordinator", state.name);
        return refuse(StatusCode::CONFLICT, Code::NO_REPLICA, why);
    }
    let lag = lag(&parts);
    let seconds = lag.map(|lag| lag.as_secs_f64());
    let why = match lag {
        _ if !state.serving => Some(format!("{} serves no reads: {}", state.name, state.phase)),
        None => Some(format!("{} has not heard from the source yet", state.name)),
        Some(lag) if lag > max_lag => {
            Some(format!("{} lags {:.1} s", state.name, lag.as_secs_f64()))
        }
        Some(_) => None,
    };
    let status = if why.is_some() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
    let body = json!({
        "error": why,
        "code": why.as_ref().map(|_| Code::REPLICA_LATE),
        "lag_seconds": seconds,
        "max_lag_seconds": max_lag.as_secs_f64(),
    });
    (status, Json(body)).into_response()
}
