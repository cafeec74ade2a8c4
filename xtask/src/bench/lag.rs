//! `lag`: from the moment a client sends an UPDATE until a replica shows it, idle and at half load.
//!
//! A writer changes one row every 20 ms; a reader at a replica asks for it again and again while
//! something is on its way. What is late is late for every change that waits: nothing is left out
//! because the reader was busy with another.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;

use super::Bench;
use super::report::{Aim, Report};
use super::side::{Running, Side};
use super::statistics::percentile;
use super::sysbench::{Load, SCHEMA, Tables, Until};
use crate::cluster::{Cluster, Server};

const SIDES: [Side; 3] = [Side::Ours, Side::SemiSync, Side::Asynchronous];
const INTERVAL: Duration = Duration::from_millis(20);
/// Once a change has been on its way for so long, the reader pauses between its questions: they would
/// take a core from those who are late already.
const LONG: Duration = Duration::from_millis(20);
/// A change that is not there by then never comes.
const GIVE_UP: Duration = Duration::from_secs(120);
const THREADS: u32 = 16;
/// Threads of the native applier, as in `apply`: one thread would fall behind without end.
const WORKERS: u32 = 4;
const STATES: [&str; 2] = ["idle", "half load"];

/// Measures and compares.
///
/// # Errors
/// A side could not be measured, or did not do its work.
pub async fn run(bench: Bench, report: &mut Report) -> Result<()> {
    let rate = half_load(bench, report).await?;
    for run in 1..=bench.runs {
        for side in SIDES {
            println!("run {run} of {}: {}", bench.runs, side.name());
            one(bench, side, rate, report).await?;
        }
    }
    for state in STATES {
        let p99 = format!("{state}, p99");
        report.compare(&p99, Side::Ours.name(), Side::SemiSync.name(), Aim::AtMost(1.0))?;
        report.compare(&p99, Side::Ours.name(), Side::Asynchronous.name(), Aim::AtMost(1.0))?;
    }
    Ok(())
}

/// Half of what native semi-sync commits: the rate of every side.
async fn half_load(bench: Bench, report: &mut Report) -> Result<u32> {
    println!("how much half load is");
    let running = prepared(bench, Side::SemiSync).await?;
    let source = running.source()?;
    report.server_version(Cluster::text(&source, "SELECT VERSION()").await?);
    load(bench, &source, None).run(Until::Seconds(bench.size(3, 1))).await?;
    let full = load(bench, &source, None).run(Until::Seconds(bench.size(10, 2))).await?;
    running.end().await?;
    let half = full.per_second / 2.0;
    report.add("every side", "half load", "tps", half);
    Ok(half as u32)
}

fn load(bench: Bench, server: &Server, rate: Option<u32>) -> Load<'_> {
    let tables = Tables { number: 1, rows: bench.size(100_000, 5_000) };
    Load { server, tables, script: "oltp_update_non_index", threads: THREADS, rate }
}

async fn prepared(bench: Bench, side: Side) -> Result<Running> {
    let running = side.start(bench, Some(WORKERS)).await?;
    running.create_schema().await?;
    let source = running.source()?;
    load(bench, &source, None).prepare().await?;
    let create = format!("CREATE TABLE {SCHEMA}.probe (id INT PRIMARY KEY, v BIGINT NOT NULL)");
    Cluster::run(&source, &create).await?;
    Cluster::run(&source, &format!("INSERT INTO {SCHEMA}.probe VALUES (1, 0)")).await?;
    running.caught_up().await?;
    Ok(running)
}

async fn one(bench: Bench, side: Side, rate: u32, report: &mut Report) -> Result<()> {
    let running = prepared(bench, side).await?;
    let source = running.source()?;
    let replica = running.replicas()?.into_iter().next().context("there is no replica")?;
    let mut probe = Probe { source: source.clone(), replica, last: 0 };

    probe.run(Duration::from_secs(1)).await?;
    let idle = probe.run(Duration::from_secs(bench.size(10, 2))).await?;

    let seconds = bench.size(16, 3);
    let load = load(bench, &source, Some(rate));
    // The load begins before the probe and ends after it.
    let warm = Duration::from_secs(bench.size(3, 1));
    let loaded = async {
        tokio::time::sleep(warm).await;
        probe.run(Duration::from_secs(u64::from(seconds)) - warm * 2).await
    };
    let (done, half) = tokio::join!(load.run(Until::Seconds(seconds)), loaded);
    report.add(side.name(), "half load, done", "tps", done?.per_second);

    for (state, times) in STATES.into_iter().zip([idle, half?]) {
        for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
            let value = percentile(&times, part).context("nothing was measured")?;
            report.add(side.name(), &format!("{state}, {name}"), "ms", value);
        }
    }
    running.caught_up().await?;
    running.waited().await?;
    running.all_equal().await?;
    running.end().await
}

/// One row, changed at the source and looked at on a replica.
struct Probe {
    source: Server,
    replica: Server,
    /// What the row was last set to.
    last: u64,
}

impl Probe {
    /// Changes the row for so long; milliseconds until each change was seen, in rising order.
    async fn run(&mut self, during: Duration) -> Result<Vec<(f64, u64)>> {
        let first = self.last;
        let sent = RefCell::new(Vec::new());
        let ended = Cell::new(false);
        let (written, seen) =
            tokio::join!(self.write(during, &sent, &ended), self.read(first, &sent, &ended));
        written?;
        let mut times = seen?;
        let sent = sent.into_inner().len();
        ensure!(times.len() == sent, "{sent} changes were made, {} were seen", times.len());
        self.last += u64::try_from(sent)?;
        times.sort_by(f64::total_cmp);
        Ok(times.into_iter().map(|time| (time, 1)).collect())
    }

    async fn write(
        &self,
        during: Duration,
        sent: &RefCell<Vec<Instant>>,
        ended: &Cell<bool>,
    ) -> Result<()> {
        let done = self.write_until(during, sent).await;
        // Also after an error: else the reader would wait for ever.
        ended.set(true);
        done
    }

    async fn write_until(&self, during: Duration, sent: &RefCell<Vec<Instant>>) -> Result<()> {
        let mut conn = Cluster::connect(&self.source).await?;
        let update = conn.prep(format!("UPDATE {SCHEMA}.probe SET v = ? WHERE id = 1")).await?;
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let until = Instant::now() + during;
        let mut value = self.last;
        while Instant::now() < until {
            tick.tick().await;
            value += 1;
            sent.borrow_mut().push(Instant::now());
            conn.exec_drop(&update, (value,)).await.context("change the probe")?;
        }
        Ok(conn.disconnect().await?)
    }

    /// Milliseconds from each sending to the first look that shows it.
    async fn read(
        &self,
        first: u64,
        sent: &RefCell<Vec<Instant>>,
        ended: &Cell<bool>,
    ) -> Result<Vec<f64>> {
        let mut conn = Cluster::connect(&self.replica).await?;
        let select = conn.prep(format!("SELECT v FROM {SCHEMA}.probe WHERE id = 1")).await?;
        let mut times: Vec<f64> = Vec::new();
        loop {
            let oldest = sent.borrow().get(times.len()).copied();
            let Some(oldest) = oldest else {
                if ended.get() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            if oldest.elapsed() > LONG {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let value: Option<u64> = conn.exec_first(&select, ()).await?;
            let seen = usize::try_from(value.context("the probe is gone")? - first)?;
            let (now, sent) = (Instant::now(), sent.borrow());
            for sent in sent.get(times.len()..seen).unwrap_or_default() {
                times.push(now.duration_since(*sent).as_secs_f64() * 1e3);
            }
            ensure!(oldest.elapsed() < GIVE_UP, "a change does not come to {}", self.replica.name);
        }
        conn.disconnect().await?;
        Ok(times)
    }
}
