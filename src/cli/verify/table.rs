//! One table: walked in chunks at the source, compared at each replica, narrowed down where it
//! differs.
//!
//! Source and replicas read at the same time: the source is a few chunks ahead.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{scope, sleep};
use std::time::Duration;

use super::ledger::{Found, Verdict};
use super::member::{Failure, Member};
use super::progress::Progress;
use crate::explain::Code;
use crate::verify::{Chunk, Difference, Range, Reader, RowDifference, Shown, Table, locate, shown};

/// Chunks that the source may be ahead: enough that nobody waits for a request to travel.
const AHEAD: usize = 4;

/// Differing rows that are named.
const NAMED: usize = 10;

/// How a table is walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Rows that one statement reads.
    pub chunk: u64,
    /// Rest after each.
    pub pause: Duration,
}

/// What one replica found.
enum Compared {
    Equal,
    /// In this chunk.
    Different(Range),
    Failed(Failure),
}

/// Compares `table` at the source with each replica; a verdict for each.
pub(super) fn verify(
    source: &Member,
    replicas: &[Member],
    table: &Table,
    pace: Pace,
    progress: &mut Progress,
) -> Vec<(String, Verdict)> {
    let (compared, walked) = scope(|scope| {
        let mut senders = Vec::new();
        let mut comparing = Vec::new();
        for replica in replicas {
            let (sender, chunks) = sync_channel(AHEAD);
            senders.push(sender);
            comparing.push(scope.spawn(move || compare(replica, table, &chunks)));
        }
        let walked = walk(source, table, pace, senders, progress);
        let lost = || Failure {
            error: "the comparison's thread failed".to_owned(),
            code: Code::DEFECT,
            again: false,
        };
        let joined = comparing.into_iter().map(|one| one.join());
        let compared = joined.map(|one| one.unwrap_or_else(|_| Compared::Failed(lost())));
        (compared.collect::<Vec<_>>(), walked)
    });
    let verdict = |(replica, compared): (&Member, Compared)| {
        let verdict = match (compared, &walked) {
            (Compared::Different(range), _) => narrow(source, replica, table, range),
            (Compared::Failed(failure), _) => Verdict::of(failure),
            (Compared::Equal, Err(failure)) => Verdict::of(failure.clone()),
            (Compared::Equal, Ok((rows, chunks))) => {
                Verdict::Equal { rows: *rows, chunks: *chunks }
            }
        };
        (replica.name.clone(), verdict.anchored(table))
    };
    replicas.iter().zip(compared).map(verdict).collect()
}

/// Reads the source's chunks and hands them on; rows and chunks in all.
fn walk(
    source: &Member,
    table: &Table,
    pace: Pace,
    mut to: Vec<SyncSender<(Range, Chunk)>>,
    progress: &mut Progress,
) -> Result<(u64, u64), Failure> {
    let mut reader = source.table(&table.name);
    let (mut rows, mut chunks, mut after) = (0, 0, None);
    loop {
        let from = Range { after, through: None };
        let chunk = reader.chunk(&from, Some(pace.chunk))?;
        rows += chunk.rows;
        chunks += 1;
        progress.rows(chunk.rows);
        let through = chunk.through.clone();
        let range = Range { through: through.clone(), ..from };
        // Who has found a difference has gone.
        to.retain(|sender| sender.send((range.clone(), chunk.clone())).is_ok());
        after = through;
        if after.is_none() || to.is_empty() {
            return Ok((rows, chunks));
        }
        sleep(pace.pause);
    }
}

fn compare(replica: &Member, table: &Table, chunks: &Receiver<(Range, Chunk)>) -> Compared {
    let mut reader = replica.table(&table.name);
    for (range, expected) in chunks {
        match reader.chunk(&range, None) {
            Ok(found) if (found.rows, &found.digest) == (expected.rows, &expected.digest) => {}
            Ok(_) => return Compared::Different(range),
            Err(failure) => return Compared::Failed(failure),
        }
    }
    Compared::Equal
}

fn narrow(source: &Member, replica: &Member, table: &Table, range: Range) -> Verdict {
    let (mut here, mut there) = (source.table(&table.name), replica.table(&table.name));
    match locate(&mut here, &mut there, range, !table.key.is_empty()) {
        Ok(difference) => Verdict::Different(found(table, difference)),
        Err(failure) => Verdict::of(failure),
    }
}

/// For people: keys in the clear, columns by name, no values.
fn found(table: &Table, difference: Difference) -> Found {
    let Difference { range, source_rows, replica_rows, rows } = difference;
    let more = rows.len().saturating_sub(NAMED);
    let name = |index: &usize| table.columns.get(*index).map_or("?", |column| &column.name);
    let row = |(key, difference): (Vec<String>, RowDifference)| {
        let key = shown(&key, &table.key);
        match difference {
            RowDifference::Missing => format!("row {key} is missing at the replica"),
            RowDifference::Extra => format!("row {key} is at the replica only"),
            RowDifference::Changed { columns } => {
                let names: Vec<&str> = columns.iter().map(name).collect();
                format!("row {key} differs in {}", names.join(", "))
            }
        }
    };
    Found {
        range: Shown(&range, &table.key).to_string(),
        source_rows,
        replica_rows,
        rows: rows.into_iter().take(NAMED).map(row).collect(),
        more_rows: more,
    }
}
