//! Old segments of this member's log, smaller: in the background, giving way to everything else.
//!
//! In: the log's sealed segments, the cluster's format in force. Out: the same segments in fewer
//! bytes, each under its own name. What a member does to its files concerns no other: the chain is
//! over what is uncompressed. Nothing waits for this; where it fails the segment stays as it is.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wal::{Lsn, Recompressed};

use super::Parts;
use crate::cluster::{LogFormat, causes};
use crate::explain::of_log;
use crate::metrics as names;

/// Of Zstandard. 33,000 commits of 1 to 40 rows, 97 MB, frame by frame, as a share of LZ4's bytes and
/// in ms per MB: level 1 0.69 and 7, 3 0.62 and 12, 6 0.62 and 31, 9 0.59 and 67, 12 0.58 and 159.
const LEVEL: i32 = 3;

/// How often it is looked for segments that have come of age.
const EVERY: Duration = Duration::from_secs(30);
/// How soon it ends when it is to.
const STOP_WITHIN: Duration = Duration::from_millis(100);
/// What is done at a stretch, in uncompressed bytes. Then it sleeps as long as that has taken: half a
/// core at most, of the lowest priority.
const STRETCH: u64 = 1 << 20;
/// The lowest priority of a thread.
const NICE: i32 = 19;

/// Starts it, if it is wanted. `tasks` has it until it ends.
pub(super) fn start(parts: &Parts, tasks: &TaskTracker, stop: &CancellationToken) {
    let Some(after) = parts.config.recompress_after else { return };
    let (parts, stop) = (parts.clone(), stop.clone());
    // Ends with the process: the thread is given to nobody else with its low priority.
    tasks.spawn_blocking(move || {
        // Where the system does not allow it, it only costs the others more.
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut failed = BTreeSet::new();
        let every = EVERY.min(after).max(STOP_WITHIN);
        while sleep(every, &stop) {
            let format = parts.view.borrow().as_ref().map(|view| view.log_format);
            if format >= Some(LogFormat::ZSTD) {
                all(&parts, after, &mut failed, &stop);
            }
        }
    });
}

/// Every segment that is old enough, but for those that `failed` since the start.
fn all(parts: &Parts, after: Duration, failed: &mut BTreeSet<Lsn>, stop: &CancellationToken) {
    for (path, base) in parts.log.recompressor().candidates() {
        if stop.is_cancelled() {
            return;
        }
        if failed.contains(&base) || !is_older(&path, after) {
            continue;
        }
        match one(parts, base, stop) {
            Ok(Recompressed::Done { before, after }) => {
                tracing::info!(segment = %path.display(), before, after, "compressed again");
                metrics::counter!(names::LOG_RECOMPRESSED).increment(1);
                let saved = before.saturating_sub(after);
                metrics::counter!(names::LOG_RECOMPRESSION_SAVED).increment(saved);
            }
            Ok(Recompressed::NotOne | Recompressed::Stopped) => {}
            // The next look tries again: there may be room by then.
            Err(error @ wal::Error::Full { .. }) => {
                tracing::debug!(%error, "no room to compress a segment again");
                return;
            }
            Err(error) => {
                tracing::warn!(code = %of_log(&error), error = %causes(&error),
                    "a segment cannot be compressed again");
                failed.insert(base);
            }
        }
    }
}

fn one(parts: &Parts, base: Lsn, stop: &CancellationToken) -> Result<Recompressed, wal::Error> {
    let (mut done, mut since) = (0, Instant::now());
    parts.log.recompressor().recompress(base, LEVEL, |bytes| {
        done += bytes;
        if done < STRETCH {
            return true;
        }
        let go_on = sleep(since.elapsed(), stop);
        (done, since) = (0, Instant::now());
        go_on
    })
}

/// By the file's own time: it is written last when it is sealed.
fn is_older(path: &Path, after: Duration) -> bool {
    let written = std::fs::metadata(path).and_then(|file| file.modified());
    let age = written.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
    age.is_ok_and(|age| age >= after)
}

/// `false` where it was broken off by `stop`.
fn sleep(time: Duration, stop: &CancellationToken) -> bool {
    let until = Instant::now() + time;
    while !stop.is_cancelled() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(STOP_WITHIN));
    }
    false
}
