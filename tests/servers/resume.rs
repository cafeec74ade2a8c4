//! A shipper goes on exactly where the log ends, on the same binlog, or not at all (I17).

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::ledger::Ledger;
use crate::support::playground::Server;
use crate::support::{
    Context, Family, Playground, Result, Signal, bail, compare, ensure, http, on_both_families,
    sql, wait,
};

on_both_families!(
    a_master_that_lost_its_tail_is_refused,
    a_master_that_wrote_its_tail_anew_is_refused,
    a_reset_under_a_living_agent_is_refused,
    a_server_restart_commits_its_tail_before_it_opens,
    a_restart_of_server_and_agent_commits_the_tail_before_it_opens,
    the_binlog_rotates_and_agents_resume,
);

const ROWS: &[&str] = &[
    "CREATE DATABASE r",
    "CREATE TABLE r.t (id INT PRIMARY KEY)",
    "INSERT INTO r.t VALUES (1), (2)",
    "INSERT INTO r.t VALUES (3)",
    "UPDATE r.t SET id = 4 WHERE id = 3",
];
/// A healthy cluster answers far sooner.
const SOON: Duration = Duration::from_secs(30);
/// What must not happen is watched for this long.
const LONG: Duration = Duration::from_secs(3);

fn insert(source: &Server, id: u32) -> JoinHandle<Result<()>> {
    let source = source.clone();
    tokio::spawn(
        async move { sql::run(&source, &[&format!("INSERT INTO r.t VALUES ({id})")]).await },
    )
}

fn reset(family: Family) -> &'static str {
    match family {
        Family::Mariadb => "RESET MASTER",
        Family::Mysql => "RESET BINARY LOGS AND GTIDS",
    }
}

async fn a_master_that_lost_its_tail_is_refused(family: Family) -> Result<()> {
    is_refused(family, &[]).await
}

/// The same statements again: file names, offsets and (on MariaDB) GTIDs may all be as they were.
async fn a_master_that_wrote_its_tail_anew_is_refused(family: Family) -> Result<()> {
    is_refused(family, ROWS).await
}

async fn is_refused(family: Family, anew: &[&str]) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, ROWS).await?;
    compare::caught_up(&play).await?;
    let before = sql::binlog_end(&source, family).await?;
    play.signal("s1-agent", Signal::Kill).await?;
    sql::unprotect(&source, family).await?;
    sql::run(&source, &[reset(family)]).await?;
    if !anew.is_empty() {
        sql::run(&source, &["SET sql_log_bin = 0", "DROP DATABASE r"]).await?;
        sql::run(&source, anew).await?;
    }
    println!("{before} before, {} after", sql::binlog_end(&source, family).await?);
    play.restart("s1-agent").await?;
    refused(&play).await?;
    play.end().await
}

/// Nobody waits at that moment, and nothing but the binlog is gone: the agent keeps its connection.
async fn a_reset_under_a_living_agent_is_refused(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, ROWS).await?;
    compare::caught_up(&play).await?;
    sql::run(&source, &[reset(family)]).await?;
    // Neither family tells its dump thread: what is committed now is not sent, and so must wait.
    let mut commit = insert(&source, 99);
    let early = tokio::time::timeout(LONG, &mut commit).await;
    ensure!(early.is_err(), "a COMMIT was acknowledged: {early:?}");
    for server in play.ready()?.servers {
        let rows = sql::number(&server, "SELECT COUNT(*) FROM r.t").await?;
        ensure!(rows == 3, "{} has {rows} rows", server.name);
    }
    play.restart("s1-agent").await?;
    let early = tokio::time::timeout(LONG, &mut commit).await;
    commit.abort();
    ensure!(early.is_err(), "a COMMIT was acknowledged by the next agent: {early:?}");
    refused(&play).await?;
    play.end().await
}

/// The agent says why, the coordinator shows it, no epoch is complete, and no COMMIT returns.
async fn refused(play: &Playground) -> Result<()> {
    let source = play.source()?;
    wait::until("the source is refused with the reason", SOON, async || {
        let status = http::json(&source.agent.http, "/v1/status").await?;
        let alarm = status["alarms"]["source"]["text"].as_str().unwrap_or_default();
        ensure!(alarm.contains("lost acknowledged data"), "{status}");
        ensure!(status["alarms"]["source"]["code"] == "PLM217", "{status}");
        Ok(())
    })
    .await?;
    let coordinator = play.coordinator()?;
    wait::until("the coordinator says so", SOON, async || {
        let status = http::json(&coordinator, "/v1/status").await?;
        let alarms = status["alarms"].to_string() + &status["members"].to_string();
        ensure!(alarms.contains("lost acknowledged data"), "{status}");
        Ok(())
    })
    .await?;
    let mut commit = insert(&source, 100);
    let early = tokio::time::timeout(LONG, &mut commit).await;
    commit.abort();
    ensure!(early.is_err(), "a COMMIT was acknowledged: {early:?}");
    let status = http::json(&coordinator, "/v1/status").await?;
    ensure!(status["complete"] == Value::Bool(false), "an epoch is complete: {status}");
    ensure!(status["healthy"] == Value::Bool(false), "it is healthy: {status}");
    for replica in play.replicas()? {
        let rows = sql::number(&replica, "SELECT COUNT(*) FROM r.t").await?;
        ensure!(rows == 3, "{} has {rows} rows", replica.name);
    }
    Ok(())
}

async fn is_open(server: &Server) -> Result<()> {
    let read_only = sql::number(server, "SELECT @@global.read_only").await?;
    ensure!(read_only == 0, "{} is read-only", server.name);
    Ok(())
}

/// A server that restarts has committed its unacknowledged tail before anybody vouched for it.
async fn a_server_restart_commits_its_tail_before_it_opens(family: Family) -> Result<()> {
    restarts(family, &["s1"]).await
}

async fn a_restart_of_server_and_agent_commits_the_tail_before_it_opens(
    family: Family,
) -> Result<()> {
    restarts(family, &["s1", "s1-agent"]).await
}

async fn restarts(family: Family, killed: &[&str]) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, ROWS).await?;
    compare::caught_up(&play).await?;
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Stop).await?;
    }
    let end = sql::binlog_end(&source, family).await?;
    let commit = insert(&source, 100);
    wait::until("the COMMIT waits, its row in the binlog", SOON, async || {
        ensure!(!commit.is_finished(), "COMMIT returned without a quorum");
        ensure!(waiting(&source).await? > 0, "nobody waits behind {end}");
        Ok(())
    })
    .await?;
    for name in killed {
        play.signal(name, Signal::Kill).await?;
    }
    let broken = tokio::time::timeout(SOON, commit).await;
    let broken = broken.context("the client does not see that its server died")??;
    ensure!(broken.is_err(), "COMMIT said yes although its server died without a quorum");
    for name in killed {
        play.restart(name).await?;
    }
    match wait::until("it opens", LONG, async || is_open(&source).await).await {
        Ok(()) => bail!("the server was opened although no quorum could commit its tail"),
        Err(error) => println!("as it should be: {error:#}"),
    }
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Continue).await?;
    }
    wait::until("the server is opened", SOON, async || is_open(&source).await).await?;
    // Nothing has been written since: what the token covers is what was committed before it opened.
    let token = http::token(&source.agent.http).await?;
    let row = "SELECT COUNT(*) FROM r.t WHERE id = 100";
    let at_source = sql::number(&source, row).await?;
    for replica in play.replicas()? {
        http::applied(&replica.agent.http, &token, SOON).await?;
        let there = sql::number(&replica, row).await?;
        ensure!(there == at_source, "{there} at {}, {at_source} at the source", replica.name);
    }
    println!("the row of the hanging COMMIT is there {at_source} times");
    tokio::time::timeout(SOON, insert(&source, 101)).await.context("COMMITs wait")???;
    compare::all_equal(&play).await?;
    play.end().await
}

/// Sessions whose COMMIT waits for an ACK.
async fn waiting(server: &Server) -> Result<u64> {
    let query = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_%_wait_sessions'";
    let rows: Vec<(String, String)> = sql::rows(server, query).await?;
    let (_, number) = rows.first().context("no semi-sync")?;
    Ok(number.parse()?)
}

/// Rotations under load, with and without an agent that sees them.
async fn the_binlog_rotates_and_agents_resume(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    let ledger = Ledger::start(&source, 4).await?;
    let mut conn = sql::connect(&source).await?;
    let flush = "FLUSH BINARY LOGS";
    for round in 0..4 {
        ledger.grows(40, SOON).await.with_context(|| format!("round {round}"))?;
        let rotated = tokio::time::timeout(SOON, conn.query_drop(flush)).await;
        rotated.context("a rotation waits although the quorum is there")??;
        if round % 2 == 0 {
            ledger.grows(10, SOON).await?;
        }
        play.signal("s1-agent", Signal::Kill).await?;
        // With COMMITs that wait, this waits as well (MariaDB) or rotates unseen (MySQL).
        let unseen = tokio::spawn(async move { conn.query_drop(flush).await.map(|()| conn) });
        play.restart("s1-agent").await?;
        let rotated = tokio::time::timeout(SOON, unseen).await;
        conn = rotated.context("a rotation waits although the agent is back")???;
    }
    ledger.grows(40, SOON).await.context("after the last rotation")?;
    let files: Vec<mysql_async::Row> = sql::rows(&source, "SHOW BINARY LOGS").await?;
    ensure!(files.len() > 8, "{} binlog files only", files.len());
    let book = ledger.stop().await?;
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        book.check(&server).await?;
    }
    play.end().await
}
