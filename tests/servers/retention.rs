//! Retention: segments go when nobody needs them, and who needs them is named.

use std::time::Duration;

use serde_json::Value;

use crate::support::playground::{PLIMSOLL, Server};
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, on_both_families, sql, wait,
};

on_both_families!(segments_go_and_whoever_needs_them_is_named, who_is_given_up_is_told_the_way_out,);

const SOON: Duration = Duration::from_secs(30);

/// About 300 KiB of log: five segments.
async fn write(source: &Server) -> Result<()> {
    let value = format!("CONCAT({})", ["RANDOM_BYTES(1000)"; 8].join(", "));
    let insert =
        format!("INSERT INTO test.bulk (v) VALUES ({value}), ({value}), ({value}), ({value})");
    sql::run(source, &[&*insert; 10]).await
}

/// The `log` of an agent's status.
async fn log(server: &Server) -> Result<Value> {
    Ok(http::json(&server.agent.http, "/v1/status").await?["log"].clone())
}

async fn first(server: &Server) -> Result<u64> {
    let log = log(server).await?;
    log["first"].as_u64().with_context(|| format!("{}: {log}", server.name))
}

async fn begins_behind(server: &Server, lsn: u64) -> Result<()> {
    wait::until("old segments go", SOON, async || {
        let (first, log) = (first(server).await?, log(server).await?);
        ensure!(first > lsn, "{}: {log}, not behind {lsn}", server.name);
        Ok(())
    })
    .await
}

/// `plimsoll log verify`, beside the writer.
async fn sound(server: &Server) -> Result<()> {
    let mut verify = tokio::process::Command::new(PLIMSOLL);
    let done = verify.args(["log", "verify"]).arg(&server.agent.log).output().await?;
    ensure!(done.status.success(), "{}: {}", server.name, String::from_utf8_lossy(&done.stderr));
    Ok(())
}

async fn segments_go_and_whoever_needs_them_is_named(family: Family) -> Result<()> {
    let options = ["segment = \"64KiB\"", "keep_bytes = \"256KiB\""];
    let options = options.map(|option| ["--agent-option", option]).concat();
    let play = Playground::start_with(family, &options).await?;
    let (source, s2, s3) = (play.source()?, play.server("s2")?, play.server("s3")?);
    let table = "CREATE TABLE test.bulk (id INT AUTO_INCREMENT PRIMARY KEY, v BLOB)";
    sql::run(&source, &["CREATE DATABASE IF NOT EXISTS test", table]).await?;
    write(&source).await?;
    write(&source).await?;
    for server in [&source, &s2, &s3] {
        begins_behind(server, 1).await?;
    }

    // A member that is away holds what it lacks, at the others too, and is named.
    play.signal("s3-agent", Signal::Stop).await?;
    let began = first(&source).await?;
    for _ in 0..3 {
        write(&source).await?;
    }
    for server in [&source, &s2] {
        wait::until("the stopped member is named", SOON, async || {
            let log = log(server).await?;
            let holder = &log["held_by"][0];
            ensure!(holder["name"] == "s3" && holder["kind"] == "member", "{log}");
            ensure!(log["held_bytes"].as_u64() > Some(300_000), "{log}");
            let metrics = http::get(&server.agent.http, "/metrics").await?.1;
            ensure!(!metrics.contains("plimsoll_log_held_bytes 0\n"), "{metrics}");
            Ok(())
        })
        .await?;
    }
    let held = first(&source).await?;
    play.signal("s3-agent", Signal::Continue).await?;
    ensure!(held >= began, "the log begins at {held} and no longer at {began}");
    for server in [&source, &s2, &s3] {
        begins_behind(server, held + 20).await?;
    }

    killed_while_segments_go(&play, &source, &s2).await?;
    replaced_from_where_the_log_begins(&play, &source, &s3).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

async fn killed_while_segments_go(play: &Playground, source: &Server, s2: &Server) -> Result<()> {
    for _ in 0..3 {
        let began = first(s2).await?;
        write(source).await?;
        wait::until("a segment goes", SOON, async || {
            ensure!(first(s2).await? > began, "still {began}");
            Ok(())
        })
        .await?;
        play.signal("s2-agent", Signal::Kill).await?;
        sound(s2).await?;
        play.restart("s2-agent").await?;
        wait::until("it is back", SOON, async || first(s2).await).await?;
    }
    sound(s2).await
}

/// A new log folder cannot be filled from record 1 any more: it begins where the source's does.
async fn replaced_from_where_the_log_begins(
    play: &Playground,
    source: &Server,
    s3: &Server,
) -> Result<()> {
    play.signal("s3-agent", Signal::Kill).await?;
    std::fs::remove_dir_all(&s3.agent.log)?;
    play.restart("s3-agent").await?;
    let coordinator = play.coordinator()?;
    let replaced = wait::until("the member is replaced", SOON, async || {
        let mut replace = tokio::process::Command::new(PLIMSOLL);
        replace.args(["member", "replace", "s3", "--coordinator", &coordinator]);
        let done = replace.output().await?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    });
    replaced.await?;
    write(source).await?;
    let wanted = http::json(&source.agent.http, "/v1/status").await?["visible"].as_u64();
    wait::until("the new log has caught up", SOON, async || {
        let status = http::json(&s3.agent.http, "/v1/status").await?;
        ensure!(status["visible"].as_u64() >= wanted, "{status}");
        ensure!(status["log"]["first"].as_u64() > Some(1), "{status}");
        Ok(())
    })
    .await?;
    sound(s3).await
}

/// The disk is nearly full, it seems: the member that is away is given up, and told the way out.
async fn who_is_given_up_is_told_the_way_out(family: Family) -> Result<()> {
    let options = ["segment = \"64KiB\"", "keep_free = \"1048576GiB\""];
    let options = options.map(|option| ["--agent-option", option]).concat();
    let play = Playground::start_with(family, &options).await?;
    let (source, s3) = (play.source()?, play.server("s3")?);
    let table = "CREATE TABLE test.bulk (id INT AUTO_INCREMENT PRIMARY KEY, v BLOB)";
    sql::run(&source, &["CREATE DATABASE IF NOT EXISTS test", table]).await?;
    write(&source).await?;
    begins_behind(&source, 1).await?;
    play.signal("s3-agent", Signal::Kill).await?;
    let lost = http::json(&source.agent.http, "/v1/status").await?["visible"].as_u64();
    let lost = lost.context("visible")? + 1;
    write(&source).await?;
    write(&source).await?;
    begins_behind(&source, lost).await?;
    let words = play.words("s1-agent");
    ensure!(words.contains("PLM423") && words.contains("records that somebody needs"), "{words}");

    play.restart("s3-agent").await?;
    wait::until("the source says what its member lacks", SOON, async || {
        let status = http::json(&source.agent.http, "/v1/status").await?;
        let trouble = status["peers"]["s3"].as_str().unwrap_or_default();
        ensure!(trouble.contains("member replace s3"), "{status}");
        Ok(())
    })
    .await?;
    // Its new log begins behind what its server has: that needs a backup.
    replaced_from_where_the_log_begins(&play, &source, &s3).await?;
    wait::until("the replica says what it lacks", SOON, async || {
        let status = http::json(&s3.agent.http, "/v1/status").await?;
        ensure!(status["alarms"]["applier"]["code"] == "PLM509", "{status}");
        Ok(())
    })
    .await?;
    play.end().await
}
