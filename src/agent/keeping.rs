//! Looks after the log's files, away from the log's thread: no COMMIT waits for it.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::cluster::causes;
use crate::explain::of_log;

/// How often. A segment takes longer to fill on most disks, and a quarter of a second to read.
const EVERY: Duration = Duration::from_secs(1);

/// Writes the index of each sealed segment that has none, one at a time, until stopped. Without it
/// `find` reads that segment: nothing but time depends on it.
pub(super) async fn keep(parts: Parts, stop: CancellationToken) {
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {}
        }
        let reader = parts.log.reader().clone();
        let indexed = tokio::task::spawn_blocking(move || reader.index_sealed(1)).await;
        let failed = match indexed {
            Ok(Err(error)) => Some((of_log(&error), causes(&error))),
            Ok(Ok(_)) | Err(_) => None,
        };
        // Once for each reason: it is tried again every second.
        if let Some((code, error)) = failed.as_ref().filter(|_| said != failed) {
            tracing::warn!(code = %code, error, "a sealed segment has no index");
        }
        said = failed;
    }
}
