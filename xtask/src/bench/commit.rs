//! `commit`: single-row updates by primary key, each its own transaction, durable at the source.
//!
//! Ours waits for two of three members' flush. Native semi-sync as shipped waits until a replica has
//! received the transaction; with `sync_relay_log=1` until it has flushed it, as ours does.

use anyhow::{Result, ensure};

use super::Bench;
use super::report::{Aim, Report};
use super::side::Side;
use super::sysbench::{Load, Tables, Until};
use crate::cluster::Cluster;

const SIDES: [Side; 4] = [Side::Ours, Side::SemiSync, Side::SemiSyncFlushed, Side::Alone];
/// Threads, and the least that ours should reach of semi-sync as shipped.
const THREADS: [(u32, f64); 3] = [(1, 0.85), (16, 1.0), (64, 1.0)];
/// Of semi-sync as durable as ours.
const AS_DURABLE: f64 = 2.0;
/// Seconds that are counted, in full size.
const SECONDS: u32 = 6;

/// Measures and compares.
///
/// # Errors
/// A side could not be measured, or did not do its work.
pub async fn run(bench: Bench, report: &mut Report) -> Result<()> {
    for run in 1..=bench.runs {
        for side in SIDES {
            println!("run {run} of {}: {}", bench.runs, side.name());
            one(bench, side, report).await?;
        }
    }
    for (threads, aim) in THREADS {
        let tps = figure(threads);
        let ours = Side::Ours.name();
        report.compare(&tps, ours, Side::SemiSync.name(), Aim::AtLeast(aim))?;
        report.compare(&tps, ours, Side::SemiSyncFlushed.name(), Aim::AtLeast(AS_DURABLE))?;
        report.compare(&tps, ours, Side::Alone.name(), Aim::None)?;
        report.compare(&shown(threads), ours, Side::SemiSync.name(), Aim::None)?;
    }
    Ok(())
}

fn figure(threads: u32) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// What a side can keep up: a replica that falls behind without end is no replica.
fn shown(threads: u32) -> String {
    format!("{}, until the replicas show them", figure(threads))
}

async fn one(bench: Bench, side: Side, report: &mut Report) -> Result<()> {
    // The native applier as shipped: more threads of it would take the cores from the COMMITs.
    let running = side.start(bench, None).await?;
    let source = running.source()?;
    report.server_version(Cluster::text(&source, "SELECT VERSION()").await?);
    running.create_schema().await?;
    let tables = Tables { number: 1, rows: bench.size(100_000, 5_000) };
    let load = |threads| {
        let script = "oltp_update_non_index";
        Load { server: &source, tables, script, threads, rate: None }
    };
    load(1).prepare().await?;
    for (threads, _) in THREADS {
        // Plans, buffers and connections get warm; nobody starts with a backlog.
        load(threads).run(Until::Seconds(bench.size(2, 1))).await?;
        running.caught_up().await?;
        let seconds = bench.size(SECONDS, 2);
        let outcome = load(threads).run(Until::Seconds(seconds)).await?;
        ensure!(outcome.retried == 0, "{} updates failed", outcome.retried);
        let (name, what) = (side.name(), figure(threads));
        report.add(name, &what, "tps", outcome.per_second);
        report.add(name, &format!("{what}, p50"), "ms", outcome.p50_ms);
        report.add(name, &format!("{what}, p99"), "ms", outcome.p99_ms);
        if side != Side::Alone {
            let behind = running.caught_up().await?.as_secs_f64();
            report.add(name, &format!("{what}, replicas behind at the end"), "s", behind);
            let seconds = f64::from(seconds);
            let kept_up = outcome.per_second * seconds / (seconds + behind);
            report.add(name, &shown(threads), "tps", kept_up);
        }
    }
    running.waited().await?;
    running.all_equal().await?;
    running.end().await
}
