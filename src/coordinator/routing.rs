//! `/v1/replica`: who can serve a read after a timestamp. Pure.

use std::time::Instant;

use serde::Serialize;
use wal::Timestamp;

use super::board::Board;
use super::picture::Picture;
use crate::explain::Code;
use crate::report::MemberRole;

/// A replica that can serve the read now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Its server.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Nobody can.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoRoute {
    /// One sentence.
    pub error: String,
    /// Its page.
    pub code: Code,
    /// The replica that is nearest to it, if any is there.
    pub nearest: Option<Nearest>,
}

/// How far the nearest replica is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nearest {
    /// Its name.
    pub name: String,
    /// The timestamp of what it has applied.
    pub applied_timestamp: Option<u64>,
    /// Committed records that it has not applied.
    pub lag_records: u64,
    /// Since when.
    pub lag_seconds: f64,
}

/// All replicas whose server has applied everything up to `after`, in the configuration's order.
///
/// # Errors
/// [`NoRoute`]: why there is none, and who is nearest.
pub fn routes(
    picture: &Picture,
    board: &Board,
    after: Timestamp,
    now: Instant,
) -> Result<Vec<Route>, Box<NoRoute>> {
    let mut found = Vec::new();
    let mut nearest: Option<Nearest> = None;
    for member in &picture.state.members {
        let Some(entry) = board.member(&member.name).filter(|entry| entry.live(now)) else {
            continue;
        };
        let registered = picture.registered.get(&member.name);
        let server = registered.and_then(|registered| registered.server.as_ref());
        let (Some(server), Some((_, report))) = (server, &entry.report) else {
            continue;
        };
        if report.role != MemberRole::Replica || !report.serving {
            continue;
        }
        let applied = report.applied.and_then(|mark| mark.timestamp);
        if applied >= Some(after) {
            let (name, host) = (member.name.to_string(), server.host.clone());
            found.push(Route { name, host, port: server.port });
            continue;
        }
        let applied_timestamp = applied.map(Timestamp::bits);
        if nearest.as_ref().is_none_or(|known| known.applied_timestamp < applied_timestamp) {
            let lsn = report.applied.map(|mark| mark.lsn);
            let committed = board.commit().map_or(0, |mark| mark.lsn.get());
            nearest = Some(Nearest {
                name: member.name.to_string(),
                applied_timestamp,
                lag_records: committed.saturating_sub(lsn.map_or(0, wal::Lsn::get)),
                lag_seconds: board.behind_for(lsn, now).as_secs_f64(),
            });
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let error = match &nearest {
        None => "no replica is up and serving reads".to_owned(),
        Some(near) => format!(
            "no replica has applied this yet; the nearest is {}, {} records and {:.1} s behind",
            near.name, near.lag_records, near.lag_seconds
        ),
    };
    Err(Box::new(NoRoute { error, code: Code::NO_REPLICA, nearest }))
}
