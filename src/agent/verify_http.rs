//! `POST /v1/verify`: one request of a verification, as [`crate::verify::Ask`] has them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Parts;
use super::verification::{hold, replica_snapshot, source_snapshot};
use crate::cluster::{ErrorClass, causes};
use crate::verify::{Ask, Error, Held, Nothing, Reading, Refusal, Request, Rows, Snapshot};

/// Most that a replica may be waited for: its applier is held for as long.
const WAIT_MAX: Duration = Duration::from_secs(3600);

pub(super) async fn verify(State(parts): State<Parts>, Json(request): Json<Request>) -> Response {
    let Request { id, ask } = request;
    match Box::pin(answer(&parts, &id, ask)).await {
        Ok(answer) => answer,
        Err(error) => {
            let again = matches!(error, Error::Changed { .. });
            let status = match error.class() {
                ErrorClass::Retry | ErrorClass::Reconnect => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::CONFLICT,
            };
            let refusal = Refusal { error: causes(&error), code: error.code(), again };
            (status, Json(refusal)).into_response()
        }
    }
}

async fn answer(parts: &Parts, id: &str, ask: Ask) -> Result<Response, Error> {
    let member = parts.config.name.as_str();
    Ok(match ask {
        Ask::Hold => json(Held { at: hold(parts, id).await? }),
        Ask::SourceSnapshot { behind } => {
            json(Snapshot { at: source_snapshot(parts, id, behind).await? })
        }
        Ask::ReplicaSnapshot { at, wait_seconds } => {
            let wait = Duration::from_secs(wait_seconds).min(WAIT_MAX);
            json(Snapshot { at: replica_snapshot(parts, id, at, wait).await? })
        }
        Ask::Renew => {
            parts.verifications.renew(id, member)?;
            json(Nothing {})
        }
        Ask::End => {
            parts.verifications.end(id, &parts.hold);
            json(Nothing {})
        }
        Ask::Catalog | Ask::Chunk { .. } | Ask::Rows { .. } => {
            let slot = parts.verifications.renew(id, member)?;
            let mut slot = slot.lock().await;
            let no_snapshot = || Error::NoSnapshot { member: member.to_owned() };
            let mut reading = slot.take().ok_or_else(no_snapshot)?;
            let answer = read(&mut reading, ask).await;
            let lost = matches!(&answer, Err(error) if error.class() == ErrorClass::Reconnect);
            *slot = Some(reading).filter(|_| !lost);
            answer?
        }
    })
}

async fn read(reading: &mut Reading, ask: Ask) -> Result<Response, Error> {
    Ok(match ask {
        Ask::Chunk { table, range, rows } => json(reading.chunk(&table, &range, rows).await?),
        Ask::Rows { table, range } => json(Rows { rows: reading.rows(&table, &range).await? }),
        _ => json(reading.catalog().await?),
    })
}

fn json(answer: impl serde::Serialize) -> Response {
    Json(answer).into_response()
}
