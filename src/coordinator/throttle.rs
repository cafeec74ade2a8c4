//! `/v1/throttle`: may a migration (gh-ost) go on, as far as all replicas are concerned? Pure.

use std::time::Duration;

use serde::Serialize;

use super::status::{MemberStatus, Status};
use crate::explain::Code;

/// The answer; `error` is the reason to wait.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throttle {
    /// One sentence about the replica that is furthest behind; `null`: go on.
    pub error: Option<String>,
    /// Its code.
    pub code: Option<Code>,
    /// The greatest lag of a replica that serves reads.
    pub lag_seconds: f64,
    /// As asked for.
    pub max_lag_seconds: f64,
}

/// The worst replica decides; one that does not serve reads lags without end.
pub fn throttle(status: &Status, max_lag: Duration) -> Throttle {
    let replicas = status.members.iter().filter(|member| member.role == "replica");
    let max = max_lag.as_secs_f64();
    let mut answer = Throttle { error: None, code: None, lag_seconds: 0.0, max_lag_seconds: max };
    let mut worst = -1.0;
    for member in replicas {
        let lag = if member.serving { member.lag_seconds } else { None };
        answer.lag_seconds = lag.unwrap_or(0.0).max(answer.lag_seconds);
        let weight = lag.unwrap_or(f64::INFINITY);
        if weight > max && weight > worst {
            worst = weight;
            answer.error = Some(reason(member, lag));
            answer.code = Some(Code::REPLICA_LATE);
        }
    }
    answer
}

fn reason(member: &MemberStatus, lag: Option<f64>) -> String {
    match lag {
        Some(lag) => format!("{} lags {lag:.1} s", member.name),
        None => format!("{} serves no reads: {}", member.name, member.state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, serving: bool, lag: Option<f64>) -> serde_json::Value {
        serde_json::json!({
            "name": name, "role": "replica", "standing": "counts", "listen": "h:1", "live": true,
            "state": "following", "lag_seconds": lag, "serving": serving, "alarms": [],
        })
    }

    fn status(members: Vec<serde_json::Value>) -> Status {
        let status = serde_json::json!({
            "cluster": "", "name": "", "healthy": true, "complete": true, "source": "s1", "rule": "",
            "ack": "flushed", "waiting_for": [], "alarms": [], "protection": "protected", "reasons": [],
            "members": members,
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn the_worst_replica_decides() {
        let mut source = replica("s1", false, None);
        source["role"] = "source".into();
        let cases = [
            (vec![], None, 0.0),
            (vec![source.clone()], None, 0.0),
            (vec![replica("s2", true, Some(1.0)), source], None, 1.0),
            (
                vec![replica("s2", true, Some(1.1)), replica("s3", true, Some(0.0))],
                Some("s2 lags 1.1 s"),
                1.1,
            ),
            (
                vec![replica("s2", true, Some(2.0)), replica("s3", true, Some(3.0))],
                Some("s3 lags 3.0 s"),
                3.0,
            ),
            (
                vec![replica("s2", true, Some(9.0)), replica("s3", false, Some(0.0))],
                Some("s3 serves no reads: following"),
                9.0,
            ),
        ];
        for (members, error, lag) in cases {
            let answer = throttle(&status(members), Duration::from_secs(1));
            assert_eq!(answer.error.as_deref(), error);
            assert!((answer.lag_seconds - lag).abs() < 1e-9, "{answer:?}");
        }
    }
}
