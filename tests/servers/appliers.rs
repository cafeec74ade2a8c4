//! Replicas that cannot go on say why, and the others go on.

use std::time::Duration;

use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, on_both_families, sql, wait,
};

on_both_families!(
    a_conflict_stops_one_replica_with_its_reason,
    a_statement_event_stops_the_replicas,
    an_idle_replica_notices_that_its_server_is_gone
);

const SOON: Duration = Duration::from_secs(30);

async fn a_conflict_stops_one_replica_with_its_reason(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, &["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)"]).await?;
    compare::caught_up(&play).await?;
    let (first, second) = (play.server("s2")?, play.server("s3")?);
    sql::run(&first, &["SET sql_log_bin = 0", "INSERT INTO d.t VALUES (7)"]).await?;
    sql::run(&source, &["INSERT INTO d.t VALUES (7)", "INSERT INTO d.t VALUES (8)"]).await?;
    let token = http::token(&source.agent.http).await?;
    http::applied(&second.agent.http, &token, SOON).await.context("the other replica goes on")?;
    wait::until("the replica says why it stopped", SOON, async || {
        let status = http::json(&first.agent.http, "/v1/status").await?.to_string();
        ensure!(status.contains("1062") || status.contains("Duplicate"), "{status}");
        Ok(())
    })
    .await?;
    sql::run(&first, &["SET sql_log_bin = 0", "DELETE FROM d.t WHERE id = 7"]).await?;
    play.restart("s2-agent").await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// What is not in row format cannot be applied safely, and is not (I9).
async fn a_statement_event_stops_the_replicas(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let (source, replica) = (play.source()?, play.replicas()?.remove(0));
    sql::run(&source, &["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)"]).await?;
    compare::caught_up(&play).await?;
    let statement = ["SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO d.t VALUES (1)"];
    let written = tokio::time::timeout(SOON, sql::run(&source, &statement)).await;
    drop(written);
    wait::until("somebody says why", SOON, async || {
        let mut said = String::new();
        for agent in [&source.agent.http, &replica.agent.http] {
            said += &http::json(agent, "/v1/status").await?.to_string();
        }
        ensure!(said.to_ascii_lowercase().contains("binlog_format"), "{said}");
        Ok(())
    })
    .await?;
    let seen = sql::number(&replica, "SELECT COUNT(*) FROM d.t").await?;
    ensure!(seen == 0, "a statement was applied");
    play.end().await
}

/// Nothing is written meanwhile: no transaction finds out that the server is away.
async fn an_idle_replica_notices_that_its_server_is_gone(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let replica = play.replicas()?.remove(0);
    compare::caught_up(&play).await?;
    play.signal(&replica.name, Signal::Kill).await?;
    wait::until("its agent says that the server is gone", SOON, async || {
        let status = http::json(&replica.agent.http, "/v1/status").await?;
        ensure!(status["serving"] == false, "{status}");
        ensure!(status["alarms"]["applier"]["code"].is_string(), "without a reason: {status}");
        Ok(())
    })
    .await?;
    play.restart(&replica.name).await?;
    wait::until("it serves again", SOON, async || {
        let status = http::json(&replica.agent.http, "/v1/status").await?;
        ensure!(status["serving"] == true && status["alarms"]["applier"].is_null(), "{status}");
        Ok(())
    })
    .await?;
    play.end().await
}
