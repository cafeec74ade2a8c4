//! Old segments become smaller at a source and a replica, under load and through a kill.

use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::playground::{PLIMSOLL, Server};
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, on_both_families, sql, wait,
};

on_both_families!(old_segments_become_smaller);

const SOON: Duration = Duration::from_secs(60);
/// Hexadecimal digits: LZ4 stores them, Zstandard halves them.
const ROW: &str = "INSERT INTO r.digits (d) VALUES \
     (CONCAT(SHA2(RAND(), 512), SHA2(RAND(), 512), SHA2(RAND(), 512), SHA2(RAND(), 512)))";

/// `s1` and `s2` with small segments that are old at once; `s3` compresses nothing again.
async fn start(family: Family) -> Result<Playground> {
    let play = Playground::start(family).await?;
    for (name, after) in [("s1", "1s"), ("s2", "1s"), ("s3", "off")] {
        let file = play.dir().join("conf").join(format!("{name}-agent.toml"));
        let config = std::fs::read_to_string(&file).context("read the agent's configuration")?;
        let agent = format!("[agent]\nsegment = \"64KiB\"\nrecompress_after = {after:?}\n");
        std::fs::write(&file, config.replacen("[agent]\n", &agent, 1))?;
        play.restart(&format!("{name}-agent")).await?;
    }
    Ok(play)
}

async fn metric(server: &Server, name: &str) -> Result<f64> {
    let (_, text) = http::get(&server.agent.http, "/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.map_or(Ok(0.0), str::parse)?)
}

async fn become_smaller(servers: &[Server], segments: f64) -> Result<()> {
    for server in servers {
        wait::until("segments are compressed again", SOON, async || {
            let done = metric(server, "plimsoll_log_recompressed_segments_total").await?;
            ensure!(done >= segments, "{} has {done} of {segments}", server.name);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn old_segments_become_smaller(family: Family) -> Result<()> {
    let play = start(family).await?;
    let source = play.source()?;
    let table = "CREATE TABLE r.digits (id INT AUTO_INCREMENT PRIMARY KEY, d TEXT) ENGINE=InnoDB";
    sql::run(&source, &["CREATE DATABASE r", table]).await?;
    let rows = [ROW; 300];
    let ledger = Ledger::start(&source, 2).await?;
    sql::run(&source, &rows).await?;
    let (s1, s2) = (play.server("s1")?, play.server("s2")?);
    become_smaller(&[s1, s2], 2.0).await?;

    play.signal("s2-agent", Signal::Kill).await?;
    sql::run(&source, &rows).await?;
    play.restart("s2-agent").await?;
    let (s1, s2, s3) = (play.server("s1")?, play.server("s2")?, play.server("s3")?);
    become_smaller(std::slice::from_ref(&s2), 2.0).await?;
    let book = ledger.stop().await?;
    compare::all_equal(&play).await?;
    for server in [&s1, &s2, &s3] {
        book.check(server).await?;
        let mut command = tokio::process::Command::new(PLIMSOLL);
        let verified = command.args(["log", "verify"]).arg(&server.agent.log).output().await?;
        let said = String::from_utf8_lossy(&verified.stdout);
        ensure!(verified.status.success(), "{}: {said}", server.name);
    }
    let (small, large) =
        (metric(&s2, "plimsoll_log_bytes").await?, metric(&s3, "plimsoll_log_bytes").await?);
    ensure!(small < large * 0.95, "{small} bytes at s2, {large} at s3");
    play.end().await
}
