//! COMMIT returns when the quorum holds, and not before.

use std::time::Duration;

use crate::support::playground::Server;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, on_both_families, sql, wait,
};

on_both_families!(
    a_commit_waits_for_the_quorum_and_is_seen_nowhere,
    a_new_connection_of_the_agent_is_no_acknowledgement,
    a_new_shipper_is_no_acknowledgement,
    one_of_three_may_be_lost,
    a_witness_counts,
    a_commit_waits_for_its_timestamp,
    a_timestamp_server_without_its_past_is_not_believed,
    an_idle_source_shows_that_its_quorum_holds,
);

const TABLE: &[&str] = &["CREATE DATABASE w", "CREATE TABLE w.t (id INT PRIMARY KEY)"];
/// What a COMMIT must at least be seen to wait.
const LONG: Duration = Duration::from_secs(3);
/// A healthy cluster answers far sooner.
const SOON: Duration = Duration::from_secs(20);

async fn insert(source: &Server, id: u32) -> Result<()> {
    sql::run(source, &[&format!("INSERT INTO w.t VALUES ({id})")]).await
}

async fn sees(server: &Server, id: u32) -> Result<bool> {
    Ok(sql::number(server, &format!("SELECT COUNT(*) FROM w.t WHERE id = {id}")).await? > 0)
}

async fn a_commit_waits_for_the_quorum_and_is_seen_nowhere(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, TABLE).await?;
    compare::caught_up(&play).await?;
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Stop).await?;
    }
    let mut commit = tokio::spawn({
        let source = source.clone();
        async move { insert(&source, 1).await }
    });
    let early = tokio::time::timeout(LONG, &mut commit).await;
    ensure!(early.is_err(), "COMMIT returned without a quorum: {early:?}");
    for server in play.ready()?.servers {
        ensure!(!sees(&server, 1).await?, "{} shows what is not committed", server.name);
    }
    let status = http::json(&source.agent.http, "/v1/status").await?;
    let awaited: Vec<&str> = status["waiting_for"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    ensure!(awaited.contains(&"s2") && awaited.contains(&"s3"), "waits for {awaited:?}: {status}");
    play.signal("s3-agent", Signal::Continue).await?;
    let returned = tokio::time::timeout(SOON, commit).await;
    returned.context("COMMIT does not return although the quorum is back")???;
    play.signal("s2-agent", Signal::Continue).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// Stops every replica's agent, and gives three COMMITs that wait on connections of their own.
async fn three_wait(play: &Playground) -> Result<tokio::task::JoinSet<Result<()>>> {
    let source = play.source()?;
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Stop).await?;
    }
    let mut commits = tokio::task::JoinSet::new();
    for id in 1..=3 {
        let server = source.clone();
        commits.spawn(async move { insert(&server, id).await });
        wait::until("the INSERT waits", SOON, async || {
            let find = format!(
                "SELECT COUNT(*) FROM information_schema.processlist \
                 WHERE info = 'INSERT INTO w.t VALUES ({id})'"
            );
            ensure!(sql::number(&source, &find).await? == 1, "it is not there yet");
            Ok(())
        })
        .await?;
    }
    Ok(commits)
}

/// None of them returns for a while, although the agent does what it does; then the replicas go on,
/// and all of them do.
async fn wait_and_return(
    play: Playground,
    mut commits: tokio::task::JoinSet<Result<()>>,
) -> Result<()> {
    let early = tokio::time::timeout(LONG, commits.join_next()).await;
    ensure!(early.is_err(), "COMMIT returned without a quorum: {early:?}");
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Continue).await?;
    }
    wait_for_all(&mut commits).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

async fn wait_for_all(commits: &mut tokio::task::JoinSet<Result<()>>) -> Result<()> {
    let all = async {
        while let Some(returned) = commits.join_next().await {
            returned??;
        }
        anyhow::Ok(())
    };
    let returned = tokio::time::timeout(SOON, all).await;
    returned.context("a COMMIT does not return although the quorum is back")?
}

/// Both families take the position that a semi-synchronous replica asks for as its ACK.
async fn a_new_connection_of_the_agent_is_no_acknowledgement(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, TABLE).await?;
    compare::caught_up(&play).await?;
    let commits = three_wait(&play).await?;
    let dumps: Vec<u64> = sql::rows(
        &source,
        "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'",
    )
    .await?;
    ensure!(!dumps.is_empty(), "the agent is not attached");
    for dump in dumps {
        sql::run(&source, &[&format!("KILL {dump}")]).await?;
    }
    wait_and_return(play, commits).await
}

/// Nor is the start of another shipper, before its EpochStart is committed.
async fn a_new_shipper_is_no_acknowledgement(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    sql::run(&play.source()?, TABLE).await?;
    compare::caught_up(&play).await?;
    let commits = three_wait(&play).await?;
    // The members answer, and so can be fenced; but without a timestamp nothing is committed.
    play.signal("s1-agent", Signal::Kill).await?;
    play.signal("timestamp-1", Signal::Stop).await?;
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Continue).await?;
    }
    play.restart("s1-agent").await?;
    wait::until("the new shipper has adopted the log, and lacks a timestamp", SOON, async || {
        let status = http::json(&play.source()?.agent.http, "/v1/status").await?;
        ensure!(status["alarms"]["timestamps"].is_object(), "{status}");
        Ok(())
    })
    .await?;
    let mut commits = commits;
    let early = tokio::time::timeout(LONG, commits.join_next()).await;
    ensure!(early.is_err(), "COMMIT returned although nothing is committed: {early:?}");
    play.signal("timestamp-1", Signal::Continue).await?;
    wait_for_all(&mut commits).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

async fn one_of_three_may_be_lost(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, TABLE).await?;
    play.signal("s2-agent", Signal::Stop).await?;
    let commits = async {
        for id in 0..50 {
            insert(&source, id).await?;
        }
        anyhow::Ok(())
    };
    let done = tokio::time::timeout(SOON, commits).await;
    done.context("COMMITs wait for one lost member of three")??;
    play.signal("s2-agent", Signal::Continue).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

async fn a_witness_counts(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1", "--witnesses", "1"]).await?;
    let source = play.source()?;
    sql::run(&source, TABLE).await?;
    play.signal("s2-agent", Signal::Stop).await?;
    let done = tokio::time::timeout(SOON, insert(&source, 1)).await;
    done.context("source and witness are a quorum")??;
    let witness = play.ready()?.witnesses.remove(0);
    let bytes = wait::until("the witness keeps a log", SOON, async || {
        let files = std::fs::read_dir(&witness.agent.log)?;
        files.map(|file| Ok(file?.metadata()?.len())).sum::<Result<u64>>()
    });
    ensure!(bytes.await? > 0, "the log of {} is empty", witness.name);
    play.signal("s2-agent", Signal::Continue).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// Timestamps are never taken ahead (I1), so without their server nothing can be committed.
async fn a_commit_waits_for_its_timestamp(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    sql::run(&source, TABLE).await?;
    play.signal("timestamp-1", Signal::Kill).await?;
    let mut commit = tokio::spawn({
        let source = source.clone();
        async move { insert(&source, 1).await }
    });
    let early = tokio::time::timeout(LONG, &mut commit).await;
    ensure!(early.is_err(), "COMMIT returned without a timestamp: {early:?}");
    for server in play.ready()?.servers {
        ensure!(!sees(&server, 1).await?, "{} shows what is not committed", server.name);
    }
    wait::until("the alarm is raised", SOON, async || {
        let status = http::json(&source.agent.http, "/v1/status").await?;
        let alarm = status["alarms"]["timestamps"]["text"].as_str().unwrap_or_default();
        ensure!(alarm.contains("no timestamps"), "{status}");
        Ok(())
    })
    .await?;
    play.restart("timestamp-1").await?;
    let returned = tokio::time::timeout(SOON, commit).await;
    returned.context("COMMIT does not return although timestamps are back")???;
    wait::until("the alarm is over", SOON, async || {
        let status = http::json(&source.agent.http, "/v1/status").await?;
        ensure!(status["alarms"].get("timestamps").is_none(), "{status}");
        Ok(())
    })
    .await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// Its folder is gone, and a new one is taken for a first start: neither an agent that knew it nor one
/// that was restarted meanwhile uses its times, and both go on by themselves when the state is back.
async fn a_timestamp_server_without_its_past_is_not_believed(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    sql::run(&source, TABLE).await?;
    let (state, aside) = (play.dir().join("timestamp-1"), play.dir().join("timestamp-1.aside"));
    for (row, restarted) in [(1, false), (2, true)] {
        play.signal("timestamp-1", Signal::Kill).await?;
        std::fs::rename(&state, &aside).context("take the state away")?;
        play.restart("timestamp-1").await?;
        if restarted {
            play.signal("s1-agent", Signal::Kill).await?;
            play.restart("s1-agent").await?;
        }
        let mut commit = tokio::spawn({
            let source = source.clone();
            async move { insert(&source, row).await }
        });
        wait::until("the agent says that COMMITs wait", SOON, async || {
            let status = http::json(&source.agent.http, "/v1/status").await?;
            let alarms = status["alarms"].to_string();
            ensure!(alarms.contains("COMMITs wait") && alarms.contains("PLM6"), "{status}");
            Ok(())
        })
        .await?;
        let early = tokio::time::timeout(LONG, &mut commit).await;
        ensure!(early.is_err(), "COMMIT returned with a time out of the blue: {early:?}");
        play.signal("timestamp-1", Signal::Kill).await?;
        std::fs::remove_dir_all(&state)?;
        std::fs::rename(&aside, &state).context("put the state back")?;
        play.restart("timestamp-1").await?;
        let returned = tokio::time::timeout(SOON, commit).await;
        returned.context("COMMIT does not return although the state is back")???;
        wait::until("the alarms are over", SOON, async || {
            let status = http::json(&source.agent.http, "/v1/status").await?;
            ensure!(status["alarms"] == serde_json::json!({}), "{status}");
            Ok(())
        })
        .await?;
    }
    compare::all_equal(&play).await?;
    play.end().await
}

/// A heartbeat record each second, committed by the quorum.
async fn an_idle_source_shows_that_its_quorum_holds(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    let committed = async || -> Result<u64> {
        let status = http::json(&source.agent.http, "/v1/status").await?;
        status["released"]["lsn"].as_u64().context("nothing is released")
    };
    let before = committed().await?;
    wait::until("heartbeats are committed", Duration::from_secs(8), async || {
        let now = committed().await?;
        ensure!(now >= before + 5, "{} records in idleness", now - before);
        Ok(())
    })
    .await?;
    play.end().await
}
