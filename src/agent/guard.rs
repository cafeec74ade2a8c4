//! Watches that only our quorum can let COMMITs go (I3), once a second.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::state::{Shared, Topic};
use crate::config::ServerConfig;
use crate::explain::{Code, Coded};
use crate::server::{self, SemiSync, Session};

const PERIOD: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(5);

/// Watches until `stop`; gives its session back, for the next reign.
pub(super) async fn run(
    mut session: Session,
    server: ServerConfig,
    shared: Shared,
    stop: CancellationToken,
) -> Session {
    // The tail has just connected: the server may not count it yet.
    let mut pause = PERIOD;
    loop {
        tokio::select! {
            () = stop.cancelled() => return session,
            () = tokio::time::sleep(pause) => {}
        }
        pause = PERIOD;
        match server::semi_sync(&mut session).await {
            Ok(found) => {
                let reason = unprotected(found.as_ref());
                shared.alarm(Topic::Protection, reason.map(|reason| reason.of("unprotected")));
            }
            Err(error) => {
                tracing::debug!(error = %error, "the guard's session was lost");
                let anew = tokio::select! {
                    () = stop.cancelled() => return session,
                    anew = Session::connect(&server, CONNECT) => anew,
                };
                if let Ok(anew) = anew {
                    session = anew;
                }
            }
        }
    }
}

/// Why the server's COMMITs do not depend on our ACK alone. [pure]
fn unprotected(found: Option<&SemiSync>) -> Option<Coded> {
    let Some(found) = found else {
        let text = "the server has no semi-sync plugin any more; restart the agent";
        return Some(Coded::new(Code::UNPROTECTED_NO_PLUGIN, text));
    };
    if !found.enabled {
        let text = "semi-sync was switched off at the server: COMMITs return without the quorum; \
                    restart the agent or switch it on again";
        return Some(Coded::new(Code::UNPROTECTED_OFF, text));
    }
    if !found.active {
        let text = "the server has fallen back to asynchronous replication; set its semi-sync \
                    timeout to 4294967295";
        return Some(Coded::new(Code::UNPROTECTED_FALLEN_BACK, text));
    }
    (found.clients > 1).then(|| {
        let text = format!(
            "{} semi-sync replicas are attached: an ACK of another one releases COMMITs without the \
             quorum; switch semi-sync off at native replicas",
            found.clients
        );
        Coded::new(Code::UNPROTECTED_FOREIGN_ACK, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_semi_sync_with_one_client_is_protected() {
        let good = SemiSync { enabled: true, active: true, clients: 1 };
        assert_eq!(unprotected(Some(&good)), None);
        for bad in [
            SemiSync { enabled: false, ..good.clone() },
            SemiSync { active: false, ..good.clone() },
            SemiSync { clients: 2, ..good.clone() },
        ] {
            assert!(unprotected(Some(&bad)).is_some(), "{bad:?}");
        }
        assert!(unprotected(None).is_some());
    }
}
