//! COMMITs that wait use up every connection; the agent comes back nevertheless.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::support::{
    Context, Family, Playground, Result, Signal, bail, compare, ensure, on_both_families, sql, wait,
};

on_both_families!(an_agent_returns_to_a_server_full_of_waiting_commits);

/// Small, so that it fills quickly; the agent's own sessions are among them.
const CONNECTIONS: u32 = 24;

async fn an_agent_returns_to_a_server_full_of_waiting_commits(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    let limit = format!("SET GLOBAL max_connections = {CONNECTIONS}");
    sql::run(&source, &["CREATE DATABASE m", "CREATE TABLE m.t (id INT PRIMARY KEY)", &limit])
        .await?;
    compare::caught_up(&play).await?;
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Stop).await?;
    }
    let mut looking = sql::connect(&source).await?;
    let mut commits = JoinSet::new();
    let mut count = 0_u64;
    loop {
        let mut conn = match sql::connect(&source).await {
            Ok(conn) => conn,
            Err(error) if format!("{error:#}").contains("1040") => break,
            Err(error) => return Err(error),
        };
        ensure!(count < 10 * u64::from(CONNECTIONS), "the server never fills");
        let insert = format!("INSERT INTO m.t VALUES ({count})");
        commits.spawn(async move { conn.query_drop(insert).await });
        count += 1;
    }
    ensure!(count >= 5, "only {count} connections fitted");
    wait::until("every COMMIT waits", Duration::from_secs(20), async || {
        let query = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO m.t %'";
        let waiting: Option<u64> = looking.query_first(query).await?;
        ensure!(waiting == Some(count), "{waiting:?} of {count}");
        Ok(())
    })
    .await?;

    play.signal("s1-agent", Signal::Kill).await?;
    play.restart("s1-agent").await?;
    for name in ["s2-agent", "s3-agent"] {
        play.signal(name, Signal::Continue).await?;
    }
    let all = async {
        while let Some(commit) = commits.join_next().await {
            commit?.context("a COMMIT that waited failed")?;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(Duration::from_secs(60), all).await {
        Ok(returned) => returned?,
        Err(_) => bail!("{} of {count} COMMITs still wait", commits.len()),
    }
    looking.disconnect().await?;
    ensure!(sql::number(&source, "SELECT COUNT(*) FROM m.t").await? == count, "rows are missing");
    compare::all_equal(&play).await?;
    play.end().await
}
