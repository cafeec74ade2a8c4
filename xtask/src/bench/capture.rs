//! `capture`: a whole binlog into our log, read over the wire, stamped, compressed, checked and flushed
//! by a cluster of one member; beside the server's own client that copies a binlog to disk as it is,
//! and does not flush it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;

use super::data;
use super::report::{Aim, Report};
use super::{Bench, native, ours};
use crate::cluster::{Cluster, Family, Server};
use crate::servers;

const OURS: &str = "ours";
const RATE: &str = "binlog read";
const BYTES: &str = "log bytes / binlog bytes";
const MEMORY: &str = "peak memory";
const SMALL_BYTES: &str = "log bytes / binlog bytes, one small commit at a time";

/// Measures and compares.
///
/// # Errors
/// A side could not be measured, or did not read everything.
pub async fn run(bench: Bench, report: &mut Report) -> Result<()> {
    let mut arguments = bench.server_options();
    arguments.extend(["--bare", "--replicas", "0"]);
    let cluster = Cluster::start(bench.family, &arguments).await?;
    let source = cluster.source()?;
    report.server_version(Cluster::text(&source, "SELECT VERSION()").await?);
    ours::start_at_earliest(&cluster)?;
    ours::tolerate_nothing(&cluster)?;
    println!("making the binlog");
    let transactions =
        data::fill(bench.family, &source, bench.size(500_000_000, 20_000_000)).await?;
    let (_, bytes) = native::binlog_end(bench.family, &source).await?;
    report.add("every side", "binlog", "MB", bytes as f64 / 1e6);
    report.add("every side", "transactions", "", transactions as f64);
    let peer = match bench.family {
        Family::Mariadb => "mariadb-binlog",
        Family::Mysql => "mysqlbinlog",
    };
    for run in 1..=bench.runs {
        println!("run {run} of {}", bench.runs);
        our_run(bench, &cluster, bytes, report).await?;
        if run == bench.runs {
            small_commits(bench, &cluster, report).await?;
        }
        ours::forget(&cluster).await?;
        let seconds = copy(bench.family, &source, &cluster.beside().join("copy"), bytes).await?;
        report.add(peer, RATE, "MB/s", bytes as f64 / 1e6 / seconds.as_secs_f64());
    }
    ensure!(cluster.end().await?, "something is left");
    report.compare(RATE, OURS, peer, Aim::AtLeast(2.5))?;
    report.hold(BYTES, OURS, Aim::AtMost(0.45))?;
    report.hold(MEMORY, OURS, Aim::AtMost(128.0))?;
    report.hold(SMALL_BYTES, OURS, Aim::AtMost(1.1))
}

/// From the start of the agent's process until the last transaction is flushed and released.
async fn our_run(bench: Bench, cluster: &Cluster, bytes: u64, report: &mut Report) -> Result<()> {
    for name in ["timestamp-1", "coordinator-1"] {
        cluster.restart(name).await?;
    }
    settle()?;
    let source = cluster.source()?;
    let began = Instant::now();
    let captured = ours::captured(bench.family, &source);
    let (started, captured) = tokio::join!(cluster.restart("s1-agent"), captured);
    let seconds = began.elapsed().as_secs_f64();
    started?;
    captured?;
    report.add(OURS, RATE, "MB/s", bytes as f64 / 1e6 / seconds);
    // Read again: the ready file has the new process now.
    let source = cluster.source()?;
    report.add(OURS, MEMORY, "MiB", ours::peak_memory(source.agent.pid)?);
    report.add(OURS, BYTES, "x", ours::log_bytes(&source)? as f64 / bytes as f64);
    Ok(())
}

/// Every commit in a frame of its own: nothing to compress it with but itself.
async fn small_commits(bench: Bench, cluster: &Cluster, report: &mut Report) -> Result<()> {
    let source = cluster.source()?;
    let create = format!("CREATE TABLE {}.one (id INT PRIMARY KEY, v BIGINT)", data::SCHEMA);
    Cluster::run(&source, &create).await?;
    Cluster::run(&source, &format!("INSERT INTO {}.one VALUES (1, 0)", data::SCHEMA)).await?;
    let (_, before) = native::binlog_end(bench.family, &source).await?;
    let log_before = ours::log_bytes(&source)?;
    let mut conn = Cluster::connect(&source).await?;
    let update = conn.prep(format!("UPDATE {}.one SET v = v + 1", data::SCHEMA)).await?;
    for _ in 0..bench.size(5_000, 300) {
        conn.exec_drop(&update, ()).await?;
    }
    conn.disconnect().await?;
    let (_, after) = native::binlog_end(bench.family, &source).await?;
    let grown = ours::log_bytes(&source)? - log_before;
    report.add(OURS, SMALL_BYTES, "x", grown as f64 / (after - before) as f64);
    Ok(())
}

/// The peer: the binlog's files as they are, into `folder`.
async fn copy(family: Family, source: &Server, folder: &Path, bytes: u64) -> Result<Duration> {
    let Server { host, port, user, password, .. } = source;
    let mut command: tokio::process::Command = match family {
        Family::Mariadb => std::process::Command::new("mariadb-binlog"),
        Family::Mysql => servers::mysql_client("mysqlbinlog")?,
    }
    .into();
    command.args(["--no-defaults", "--read-from-remote-server", "--raw", "--to-last-log"]);
    match family {
        Family::Mariadb => command.arg("--skip-ssl"),
        // No side pays for encryption.
        Family::Mysql => command.args(["--ssl-mode=DISABLED", "--get-server-public-key"]),
    };
    command.arg(format!("--host={host}")).arg(format!("--port={port}"));
    command.arg(format!("--user={user}")).arg(format!("--password={password}"));
    command.arg("--protocol=tcp").arg(format!("--result-file={}/", folder.display()));
    command.arg("binlog.000001").stdin(Stdio::null()).kill_on_drop(true);

    std::fs::create_dir(folder).with_context(|| format!("make {}", folder.display()))?;
    settle()?;
    let began = Instant::now();
    let done = command.output().await.context("start the server's binlog client")?;
    let took = began.elapsed();
    let words = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "the server's binlog client: {}: {words}", done.status);
    let copied = std::fs::metadata(folder.join("binlog.000001")).context("the copy")?.len();
    ensure!(copied >= bytes, "{copied} bytes were copied, the binlog has {bytes}");
    std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    Ok(took)
}

/// Nobody starts with what another has left to be written.
#[allow(unsafe_code)]
fn settle() -> Result<()> {
    // SAFETY: sync takes nothing and cannot fail.
    unsafe { libc::sync() };
    Ok(())
}
