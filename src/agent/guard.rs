//! Watches that only our quorum can let COMMITs go (I3), once a second.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::protection::{Look, Memory};
use super::state::{Shared, Topic};
use crate::config::ServerConfig;
use crate::explain::{Code, Coded};
use crate::server::{Error, Session, Variables};

const PERIOD: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(5);

/// A session of its own, which asks each second and must not wait behind another, and what was seen so
/// far. Kept from reign to reign.
pub(super) struct Guard {
    session: Session,
    memory: Memory,
}

impl Guard {
    /// Connects.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect(server: &ServerConfig) -> Result<Guard, Error> {
        let session = Session::connect(server, CONNECT).await?;
        Ok(Guard { session, memory: Memory::default() })
    }

    /// Watches until `stop`; gives itself back, for the next reign.
    pub async fn run(
        mut self,
        server: ServerConfig,
        shared: Shared,
        stop: CancellationToken,
    ) -> Guard {
        // The tail has just connected: the server may not count it yet.
        loop {
            tokio::select! {
                () = stop.cancelled() => return self,
                () = tokio::time::sleep(PERIOD) => {}
            }
            let Err(error) = self.look(&shared).await else { continue };
            tracing::debug!(error = %error, "the guard's session was lost");
            let text = format!("the server does not answer the guard: {error}");
            let unknown = Coded::new(Code::UNPROTECTED_UNKNOWN, text);
            shared.protect(|shield| shield.reasons = vec![unknown]);
            let anew = tokio::select! {
                () = stop.cancelled() => return self,
                anew = Session::connect(&server, CONNECT) => anew,
            };
            if let Ok(anew) = anew {
                self.session = anew;
            }
        }
    }

    async fn look(&mut self, shared: &Shared) -> Result<(), Error> {
        let variables = Variables::global(&mut self.session).await?;
        let status = Variables::semi_sync_status(&mut self.session).await?;
        let let_go = shared.let_go().clone();
        let acknowledged = let_go.acknowledged.map(|position| position.to_string());
        let told = self.memory.look(&Look {
            family: self.session.family(),
            variables: &variables,
            status: &status,
            acknowledged: acknowledged.as_deref(),
            released: let_go.released.map(|released| released.lsn),
            now: Instant::now(),
        });
        metrics::counter!(crate::metrics::UNACKNOWLEDGED_COMMITS).increment(told.passed);
        shared.alarm(Topic::Protection, alarm(&told.reasons));
        shared.alarm(Topic::Binlog, told.stuck);
        shared.protect(|shield| {
            shield.looked = true;
            shield.reasons = told.reasons;
        });
        Ok(())
    }
}

/// All reasons in one alarm, under the code of the first.
fn alarm(reasons: &[Coded]) -> Option<Coded> {
    let texts: Vec<&str> = reasons.iter().map(|reason| &*reason.text).collect();
    let text = texts.join(". ");
    reasons.first().map(|first| Coded::new(first.code, text).of("unprotected"))
}
