//! Reading one's own writes: a token of the source, waited for at a replica.

use std::time::Duration;

use crate::support::{
    Family, Playground, Result, Signal, bail, compare, ensure, http, on_both_families, sql, wait,
};

on_both_families!(a_write_is_read_by_its_token, bad_tokens_are_refused, applied_means_readable);

const TABLE: &[&str] = &["CREATE DATABASE r", "CREATE TABLE r.t (id INT PRIMARY KEY)"];
const SOON: Duration = Duration::from_secs(10);

async fn a_write_is_read_by_its_token(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, TABLE).await?;
    for id in 0..20_u32 {
        sql::run(&source, &[&format!("INSERT INTO r.t VALUES ({id})")]).await?;
        let token = http::token(&source.agent.http).await?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        ensure!(token.bytes().all(legal), "{token:?} does not fit a URL");
        let count = "SELECT COUNT(*) FROM r.t";
        for replica in play.replicas()? {
            http::applied(&replica.agent.http, &token, SOON).await?;
            let seen = sql::number(&replica, count).await?;
            ensure!(
                seen == u64::from(id) + 1,
                "{} shows {seen} rows after {}",
                replica.name,
                id + 1
            );
        }
        let replica = wait::until("the coordinator names a replica", SOON, async || {
            http::json(&play.coordinator()?, &format!("/v1/replica?after={token}")).await
        });
        let named = replica.await?;
        let server = play.server(named["name"].as_str().unwrap_or_default())?;
        ensure!(named["port"] == server.port, "{named}");
        ensure!(sql::number(&server, count).await? == u64::from(id) + 1, "{named} lags");
    }
    play.end().await
}

async fn bad_tokens_are_refused(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let (source, replica) = (play.source()?, play.replicas()?.remove(0));
    sql::run(&source, TABLE).await?;
    let token = http::token(&source.agent.http).await?;
    let damaged = {
        let (head, last) = token.split_at(token.len() - 1);
        format!("{head}{}", if last == "A" { "B" } else { "A" })
    };
    for bad in [damaged.as_str(), "", "x", "....", &token[..token.len() / 2]] {
        for at in [&replica.agent.http, &play.coordinator()?] {
            let path = if *at == replica.agent.http { "wait" } else { "replica" };
            let (status, body) = http::get(at, &format!("/v1/{path}?after={bad}")).await?;
            ensure!((400..500).contains(&status), "{bad:?} gave {status}: {body}");
            ensure!(!body.trim().is_empty(), "{bad:?}: no reason given");
        }
    }

    // One that lags says so, in time.
    play.signal("s2", Signal::Stop).await?;
    sql::run(&source, &["INSERT INTO r.t VALUES (1)"]).await?;
    let token = http::token(&source.agent.http).await?;
    let (status, body) =
        http::get(&replica.agent.http, &format!("/v1/wait?after={token}&timeout=300ms")).await?;
    ensure!(status == 504, "a replica whose server stands still gave {status}: {body}");
    play.signal("s2", Signal::Continue).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// With `ack = "applied"`, source and one replica, a COMMIT that returned can be read on the replica.
async fn applied_means_readable(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1", "--ack", "applied"]).await?;
    let (source, replica) = (play.source()?, play.replicas()?.remove(0));
    sql::run(&source, TABLE).await?;
    for id in 0..100 {
        sql::run(&source, &[&format!("INSERT INTO r.t VALUES ({id})")]).await?;
        let seen = sql::number(&replica, "SELECT COUNT(*) FROM r.t").await?;
        if seen != id + 1 {
            bail!("COMMIT {id} returned, {} shows {seen} rows", replica.name);
        }
    }
    play.end().await
}
