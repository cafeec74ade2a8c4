//! Our processes beside servers that are there already: a source whose binlog is full, to be read from
//! its first transaction on.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::native;
use crate::cluster::{Cluster, Family, Server, get, program};

/// A log that does not have the binlog by then never gets it.
const CAPTURE_MAX: Duration = Duration::from_secs(300);
const INTRODUCTION_MAX: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Has the source's agent, at its first start, begin at the binlog's beginning.
///
/// # Errors
/// The file cannot be written.
pub fn start_at_earliest(cluster: &Cluster) -> Result<()> {
    // The table of the server is the last of the file.
    edit(cluster, "s1-agent.toml", |text| text + "start = \"earliest\"\n")
}

/// A cluster of one member: COMMIT waits for its flush alone.
///
/// # Errors
/// The file cannot be written.
pub fn tolerate_nothing(cluster: &Cluster) -> Result<()> {
    edit(cluster, "coordinator-1.toml", |text| text.replace("tolerate = 1", "tolerate = 0"))
}

fn edit(cluster: &Cluster, name: &str, change: impl Fn(String) -> String) -> Result<()> {
    let path = cluster.dir().join("conf").join(name);
    let before = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let after = change(before.clone());
    ensure!(after != before, "{} has nothing to change", path.display());
    std::fs::write(&path, after).with_context(|| path.display().to_string())
}

/// Ends our processes and has everybody forget that they were ever there.
///
/// # Errors
/// One does not end, or the source refuses.
pub async fn forget(cluster: &Cluster) -> Result<()> {
    cluster.forget_roles().await?;
    native::forget_ours(&cluster.source()?).await
}

/// Returns when the log of the source's agent has the whole binlog, released by the quorum.
///
/// # Errors
/// It has not in time; says what the agent says.
pub async fn captured(family: Family, source: &Server) -> Result<()> {
    let (file, offset) = native::binlog_end(family, source).await?;
    let until = Instant::now() + CAPTURE_MAX;
    loop {
        // Refused until it is up.
        let status = get(&source.agent.http, "/v1/status").await;
        if let Ok(status) = &status
            && reached(status, &file, offset)?
        {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the log does not reach {file}:{offset}: {status:?}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Starts a replica's agent and kills it as soon as the coordinator knows it: a cluster begins when all
/// of its members have been there once.
///
/// # Errors
/// It does not come up.
pub async fn introduce(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.restart(&format!("{name}-agent")).await?;
    let until = Instant::now() + INTRODUCTION_MAX;
    loop {
        let status = cluster.status().await?;
        let members = status["members"].as_array().into_iter().flatten();
        let mut known = members.filter(|member| member["http"].is_string());
        if known.any(|member| member["name"] == name) {
            return cluster.signal_agent(name, "KILL");
        }
        ensure!(Instant::now() < until, "the coordinator does not know {name}: {status}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn reached(status: &Value, file: &str, offset: u64) -> Result<bool> {
    let Some(at) = status["acknowledged"].as_str() else {
        return Ok(false);
    };
    let (at_file, at_offset) = at.rsplit_once(':').context("no position")?;
    let at_offset: u64 = at_offset.parse().context("no offset")?;
    Ok((at_file, at_offset) >= (file, offset))
}

/// Bytes of the agent's log, every one checked.
///
/// # Errors
/// The log is damaged.
pub fn log_bytes(server: &Server) -> Result<u64> {
    let mut verify = Command::new(program());
    verify.args(["log", "verify"]).arg(&server.agent.log);
    let done = verify.output().context("start plimsoll log verify")?;
    let said = String::from_utf8_lossy(&done.stdout);
    let words = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "plimsoll log verify: {said}{words}");
    let first = said.lines().next().unwrap_or_default();
    let bytes = first.strip_suffix(" bytes").and_then(|rest| rest.rsplit(' ').next());
    bytes.and_then(|word| word.parse().ok()).with_context(|| format!("no bytes in {said}"))
}

/// The most memory that a process ever held, in MiB.
///
/// # Errors
/// It is gone.
pub fn peak_memory(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
