//! The replica's agent: the applier, and what it tells.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
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
use crate::apply::{self, Applied, Applier, ApplierOptions};
use crate::config::AgentServer;
use crate::report::MemberRole;
use crate::server::Session;
use crate::ship::sender::chain;

/// A server that does not answer a connection attempt.
const CONNECT: Duration = Duration::from_secs(5);

/// Applies what is visible until `stop`. An applier that stopped by an error stays stopped, with its
/// reason as an alarm, until the agent is restarted or the replica is adopted anew: the log goes on.
pub(super) async fn run(
    parts: Parts,
    server: AgentServer,
    stop: CancellationToken,
) -> Result<(), Error> {
    parts.shared.phase(MemberRole::Replica, "following");
    let (visible, watched) = watch::channel(None);
    let options = ApplierOptions {
        server: server.connection.clone(),
        replica_binlog: server.replica_binlog,
        member: parts.config.name.clone(),
        cluster: parts.log.cluster(),
    };
    let (applier, mut applied) = Applier::new(parts.log.reader().clone(), watched, options);
    let feeding = feed(parts.clone(), visible);
    let telling = async {
        loop {
            let now = applied.borrow_and_update().clone();
            tell(&parts, &now);
            if applied.changed().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let applying = applier.run(stop.clone());
    tokio::select! {
        () = feeding => {}
        () = telling => {}
        ended = applying => {
            if let Err(error) = ended {
                let text = format!("the applier has stopped: {}", chain(&error));
                parts.shared.alarm(Topic::Applier, Some(text));
                parts.shared.change(|state| state.serving = false);
                parts.shared.phase(MemberRole::Replica, "applier stopped");
            }
            stop.cancelled().await;
        }
    }
    parts.shared.change(|state| state.serving = false);
    Ok(())
}

/// What may be applied, from the log's thread (I4).
async fn feed(parts: Parts, visible: watch::Sender<Option<Lsn>>) {
    let mut progress = parts.log.progress();
    loop {
        let now = progress.borrow_and_update().visible;
        visible.send_if_modified(|visible| {
            let changed = *visible != now;
            *visible = now;
            changed
        });
        if progress.changed().await.is_err() {
            return;
        }
    }
}

fn tell(parts: &Parts, applied: &Applied) {
    parts.applied.set(applied.lsn.zip(applied.timestamp));
    let running = applied.running();
    parts.shared.change(|state| state.serving = running);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adopt {
    /// GTID set, or `FILE:POS`.
    at: String,
}

/// Declares where a restored replica stands (`plimsoll adopt`).
pub(super) async fn adopt(State(parts): State<Parts>, Json(adopt): Json<Adopt>) -> Response {
    let Some(server) = &parts.config.server else {
        return refuse(StatusCode::CONFLICT, "a witness has no server");
    };
    if parts.shared.now().role != MemberRole::Replica {
        return refuse(StatusCode::CONFLICT, "only a replica can be adopted");
    }
    let mut session = match Session::connect(&server.connection, CONNECT).await {
        Ok(session) => session,
        Err(error) => return refuse(StatusCode::BAD_GATEWAY, chain(&error)),
    };
    let visible = parts.log.progress().borrow().visible;
    match apply::adopt(parts.log.reader(), &mut session, visible, &adopt.at).await {
        Ok(lsn) => Json(json!({ "lsn": lsn })).into_response(),
        Err(error) => refuse(StatusCode::CONFLICT, chain(&error)),
    }
}
