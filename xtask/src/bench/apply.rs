//! `apply`: a replica that was away catches up. Ours: its agent starts, fetches the log from the others,
//! flushes it, applies. Native: its threads start, fetch the binlog into the relay log, apply.
//!
//! One source keeps one binlog; each side begins with the same emptied, restarted server, and ends with
//! the source's rows.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::native::{self, Follow};
use super::report::{Aim, Report};
use super::side::{self, Side};
use super::sysbench::{Load, SCHEMA, Tables, Until};
use super::{Bench, ours};
use crate::cluster::{Cluster, Family, Server};

const RATE: &str = "transactions a second";
const TIME: &str = "catch-up";
/// Threads of the native applier.
const WORKERS: u32 = 4;
const NATIVE: &str = "native, 4 threads";
/// sysbench's scripts and how many transactions of each, in thousands: several rows in one, single
/// rows with and without an index, new rows.
const MIX: [(&str, u32); 4] = [
    ("oltp_write_only", 120),
    ("oltp_update_non_index", 40),
    ("oltp_update_index", 20),
    ("oltp_insert", 30),
];
/// Sessions of each script.
const THREADS: u32 = 4;

/// Measures and compares.
///
/// # Errors
/// A side could not be measured, or its replica has other rows in the end.
pub async fn run(bench: Bench, report: &mut Report) -> Result<()> {
    let mut arguments = bench.server_options();
    // The witness has what the replica lacks, as in a cluster where a replica was away.
    arguments.extend(["--bare", "--replicas", "1", "--witnesses", "1"]);
    let cluster = Cluster::start(bench.family, &arguments).await?;
    let source = cluster.source()?;
    report.server_version(Cluster::text(&source, "SELECT VERSION()").await?);
    ours::start_at_earliest(&cluster)?;
    println!("making the binlog");
    let transactions = f64::from(u32::try_from(fill(bench, &source).await?)?);
    let (_, bytes) = native::binlog_end(bench.family, &source).await?;
    report.add("every side", "transactions", "", transactions);
    report.add("every side", "binlog", "MB", bytes as f64 / 1e6);
    for run in 1..=bench.runs {
        for name in [Side::Ours.name(), NATIVE] {
            println!("run {run} of {}: {name}", bench.runs);
            let replica = emptied(bench.family, &cluster).await?;
            let seconds = if name == NATIVE {
                native_run(bench.family, &source, &replica).await?
            } else {
                our_run(bench.family, &cluster, &replica).await?
            };
            side::same_rows(&source, &replica, SCHEMA).await?;
            report.add(name, TIME, "s", seconds);
            report.add(name, RATE, "tps", transactions / seconds);
        }
    }
    ensure!(cluster.end().await?, "something is left");
    report.compare(RATE, Side::Ours.name(), NATIVE, Aim::AtLeast(2.5))
}

/// Fills the source's binlog; how many transactions that are, beside the tables' first rows.
async fn fill(bench: Bench, source: &Server) -> Result<u64> {
    native::flush_commits(source, false).await?;
    Cluster::run(source, &format!("CREATE DATABASE {SCHEMA}")).await?;
    let tables = Tables { number: 4, rows: bench.size(25_000, 1_000) };
    let load = |script| Load { server: source, tables, script, threads: THREADS, rate: None };
    load("oltp_write_only").prepare().await?;
    let each = |index: usize| {
        let (script, thousands) = MIX[index];
        load(script).run(Until::Transactions(thousands * bench.size(1_000, 20)))
    };
    // All at once, so that they mix.
    let (a, b, c, d) = tokio::join!(each(0), each(1), each(2), each(3));
    native::flush_commits(source, true).await?;
    let made = [a?, b?, c?, d?].map(|outcome| outcome.transactions);
    Ok(made.iter().sum())
}

/// The replica's server with nothing in it, just started.
async fn emptied(family: Family, cluster: &Cluster) -> Result<Server> {
    ours::forget(cluster).await?;
    native::forget(family, &cluster.server("s2")?, SCHEMA).await?;
    cluster.restart("s2").await?;
    cluster.server("s2")
}

/// From the start of the agent's process; the source's and the witness's have it all before.
async fn our_run(family: Family, cluster: &Cluster, replica: &Server) -> Result<f64> {
    for name in ["timestamp-1", "coordinator-1", "witness-1"] {
        cluster.restart(name).await?;
    }
    ours::introduce(cluster, &replica.name).await?;
    cluster.restart("s1-agent").await?;
    let source = cluster.source()?;
    ours::captured(family, &source).await.context("the source's agent reads the binlog")?;
    let began = Instant::now();
    let applied = side::ours_caught_up(&source, replica);
    let (started, applied) = tokio::join!(cluster.restart("s2-agent"), applied);
    let seconds = began.elapsed().as_secs_f64();
    started?;
    applied?;
    Ok(seconds)
}

async fn native_run(family: Family, source: &Server, replica: &Server) -> Result<f64> {
    let how = Follow { semi_sync: false, flush_relay_log: false, workers: Some(WORKERS) };
    native::configure(family, source, replica, how).await?;
    let began = Instant::now();
    native::start(family, replica).await?;
    native::caught_up(family, source, replica, side::CATCH_UP_MAX).await?;
    Ok(began.elapsed().as_secs_f64())
}
