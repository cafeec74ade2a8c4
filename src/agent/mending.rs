//! Reads the log for damage, and mends what it finds from another member.
//!
//! In: the log as it lies on the disk; a word from whoever met damage while it served, shipped or
//! applied. Out: damaged segments written anew with the records of a member that has them whole; an
//! alarm for as long as that takes. A log that cannot be opened is not its business: the agent does
//! not start then, and `plimsoll log repair` mends it.

use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wal::Lsn;

use super::Parts;
use super::state::Topic;
use crate::backoff::Backoff;
use crate::cluster::{MemberAddress, causes};
use crate::explain::{Code, Coded, of_log};
use crate::metrics as names;
use crate::{log, ship};

/// An agent that has just started may have lost its machine: it looks soon, but not before it serves.
const FIRST: Duration = Duration::from_secs(5);

/// Disks lose bits in years. Read less often, two members could have lost the same ones.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// Pause behind each segment, in times of what its reading took: at most a tenth of a core.
const REST: u32 = 9;

/// Between attempts to find a member that has the records.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Reads all segments now and then, and at once when somebody met damage.
pub(super) async fn run(parts: Parts, stop: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            () = parts.shared.damage() => {}
        }
        wait = EVERY;
        tokio::select! {
            () = stop.cancelled() => return,
            () = read_all(&parts) => {}
        }
    }
}

async fn read_all(parts: &Parts) {
    for segment in parts.log.reader().segments() {
        let began = Instant::now();
        match check(parts, segment.base_lsn).await {
            Ok(()) => {}
            Err(wal::Error::Damaged { segment: file, offset, fault }) => {
                let what = format!("{file} is damaged at offset {offset}: {fault}");
                if mend(parts, &file, &what).await.is_err() {
                    // The log has stopped, and says why.
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(code = %of_log(&error), error = causes(&error), "cannot check the log");
            }
        }
        tokio::time::sleep(began.elapsed() * REST).await;
    }
}

async fn check(parts: &Parts, base: Lsn) -> Result<(), wal::Error> {
    let reader = parts.log.reader().clone();
    // A panic there is told by the runtime.
    spawn_blocking(move || reader.check(base)).await.unwrap_or(Ok(()))
}

/// Tries until a member has the records, or an adoption has cut them off.
async fn mend(parts: &Parts, file: &str, what: &str) -> Result<(), log::Error> {
    let alarm = |more: &str| {
        let text = format!("{what}; {more}");
        parts.shared.alarm(Topic::Log, Some(Coded::new(Code::LOG_DAMAGED, text)));
    };
    alarm("fetching its records from another member");
    let mut pause = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    while let Some(damage) = parts.log.damage(file.to_owned()).await? {
        let mut reasons = Vec::new();
        for member in others(parts) {
            match ship::mend::fetch(&member, &parts.identity, damage.clone()).await {
                Ok(mended) => {
                    if parts.log.mend(mended).await? {
                        metrics::counter!(names::LOG_MENDED).increment(1);
                        tracing::info!(segment = file, from = %member.member, "mended");
                    }
                    over(parts);
                    return Ok(());
                }
                Err(error) => reasons.push(format!("{}: {}", member.member, causes(&error))),
            }
        }
        alarm(&format!("no member has its records now ({})", reasons.join("; ")));
        pause.wait().await;
    }
    over(parts);
    Ok(())
}

fn others(parts: &Parts) -> Vec<MemberAddress> {
    let view = parts.view.borrow();
    let members = view.iter().flat_map(|view| &view.members);
    let others = members.filter(|member| member.member != parts.config.name);
    let address = |member: &crate::report::MemberView| MemberAddress {
        member: member.member.clone(),
        listen: member.listen.clone(),
        has_server: member.has_server,
    };
    others.map(address).collect()
}

/// An applier that stopped at the damage begins anew.
fn over(parts: &Parts) {
    let state = parts.shared.now();
    parts.shared.alarm(Topic::Log, None);
    let applier = state.alarms.get(&Topic::Applier);
    if applier.is_some_and(|alarm| alarm.code == Code::LOG_DAMAGED) {
        parts.adopted.notify_one();
    }
}
