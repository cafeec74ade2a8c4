//! Carries out cases, and holds their outcome against what they say.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::super::changes::dumped;
use super::observe::Seen;
use crate::coverage::events::{Fate, ROWS};
use crate::coverage::{Case, Outcome, page};
use crate::support::playground::{PLIMSOLL, Server};
use crate::support::{
    Context, Family, Playground, Result, bail, compare, ensure, http, sql, verify, wait,
};

const SOON: Duration = Duration::from_secs(40);

/// Whether the log's changes are to be told, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    AsChanges,
    ByOthers,
}

/// Cases that are applied: all of them, then every replica equals the source.
pub async fn applied(family: Family, cases: &[Case], told: Told) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    let version: String = sql::rows(&source, "SELECT VERSION()").await?.pop().context("a row")?;
    page::ran_on(family, version.split('-').next().unwrap_or_default())?;
    for case in cases.iter().filter(|case| case.runs_on(family)) {
        ensure!(case.outcome == Outcome::Applied, "{}: not for this test", case.name);
        written(&play, family, case).await.with_context(|| format!("case {:?}", case.name))?;
    }
    compare::all_equal(&play).await?;
    let expected = accounts(&source).await?;
    for replica in play.replicas()? {
        let found = accounts(&replica).await?;
        ensure!(found == expected, "{}: {found:#?}, the source {expected:#?}", replica.name);
    }
    verify::equal(&play).await?;
    if told == Told::AsChanges {
        dumped(&play).await?;
    }
    play.end().await
}

/// Cases that stop the replicas, one after another: each is then moved behind it by hand.
pub async fn stopped(family: Family, cases: &[Case]) -> Result<()> {
    let play = Playground::start(family).await?;
    for case in cases.iter().filter(|case| case.runs_on(family)) {
        stops(&play, family, case).await.with_context(|| format!("case {:?}", case.name))?;
    }
    compare::all_equal(&play).await?;
    play.end().await
}

async fn stops(play: &Playground, family: Family, case: &Case) -> Result<()> {
    let Outcome::Stops(alarm) = case.outcome else { bail!("not for this test") };
    let (source, database) = (play.source()?, case.database());
    sql::run(
        &source,
        &[
            &format!("CREATE DATABASE {database}"),
            &format!("CREATE TABLE {database}.marks (word VARCHAR(20) PRIMARY KEY)"),
            &format!("INSERT INTO {database}.marks VALUES ('before')"),
        ],
    )
    .await?;
    compare::caught_up(play).await?;
    written(play, family, case).await?;
    sql::run(&source, &[&format!("INSERT INTO {database}.marks VALUES ('after')")]).await?;
    for replica in play.replicas()? {
        wait::until("the replica says why it stopped", SOON, async || {
            let status = http::json(&replica.agent.http, "/v1/status").await?;
            let said = status["alarms"].to_string();
            ensure!(said.contains(alarm) && said.contains("source position"), "{said}");
            Ok(())
        })
        .await?;
        let marks: Vec<String> =
            sql::rows(&replica, &format!("SELECT word FROM {database}.marks")).await?;
        ensure!(marks == ["before"], "{}: {marks:?}", replica.name);
    }
    let status = http::json(&source.agent.http, "/v1/status").await?;
    ensure!(status["serving"] == true && status["phase"] == "shipping", "the source: {status}");
    let end = sql::binlog_end(&source, family).await?;
    for replica in play.replicas()? {
        adopt(play, &replica, &end).await?;
    }
    for server in play.ready()?.servers {
        let drop = format!("DROP DATABASE {database}");
        sql::run(&server, &["SET sql_log_bin = 0", &drop]).await?;
    }
    Ok(())
}

async fn adopt(play: &Playground, replica: &Server, at: &str) -> Result<()> {
    let mut command = tokio::process::Command::new(PLIMSOLL);
    command.args(["adopt", "--replica", &replica.name, "--at", at]);
    let done = command.args(["--coordinator", &play.coordinator()?]).output().await?;
    ensure!(done.status.success(), "adopt: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Runs a case's statements, and checks that the binlog then holds what the case says, and nothing
/// that the table does not know.
pub async fn written(play: &Playground, family: Family, case: &Case) -> Result<()> {
    let source = play.source()?;
    let start = sql::binlog_end(&source, family).await?;
    sql::run(&source, &[&format!("CREATE DATABASE IF NOT EXISTS {}", case.database())]).await?;
    let mut conn = session(&source, case).await?;
    for statement in case.sql {
        if *statement == "-- new session" {
            ended(&source, conn).await?;
            conn = session(&source, case).await?;
        } else if *statement == "-- settle" {
            compare::caught_up(play).await?;
        } else if let Some(statement) = statement.strip_prefix("-- everywhere: ") {
            for server in play.ready()?.servers {
                sql::run(&server, &[statement]).await?;
            }
            // It counts for the sessions to come: the replicas' appliers', too.
            for replica in play.replicas()? {
                play.restart(&format!("{}-agent", replica.name)).await?;
            }
            conn.disconnect().await?;
            conn = session(&source, case).await?;
        } else {
            statement_of(&mut conn, statement).await?;
        }
    }
    conn.disconnect().await?;
    let seen = Seen::since(play, &start)?;
    for kind in case.events {
        ensure!(seen.events.contains(kind), "no {kind} was written, but {:?}", seen.events);
    }
    for code in case.columns {
        ensure!(seen.columns.contains(code), "no column type {code}, but {:?}", seen.columns);
    }
    for row in ROWS.iter().filter(|row| seen.events.contains(&row.kind)) {
        ensure!(row.fate(family) != Fate::Never, "{family} does write {}", row.kind);
        let stops = matches!(row.fate(family), Fate::Stops(_) | Fate::StopsStream(_));
        ensure!(!stops || case.outcome != Outcome::Applied, "{} was written", row.kind);
    }
    Ok(())
}

async fn session(source: &Server, case: &Case) -> Result<Conn> {
    let mut conn = sql::connect(source).await?;
    conn.query_drop(format!("USE {}", case.database())).await?;
    Ok(conn)
}

/// Ends a session and waits until the server has: only then do its prepared XA transactions belong
/// to everybody.
async fn ended(source: &Server, conn: Conn) -> Result<()> {
    let id = conn.id();
    conn.disconnect().await?;
    let query = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
    wait::until("the server ends a session", SOON, async || {
        let there: Vec<u64> = sql::rows(source, &query).await?;
        ensure!(there == [0], "session {id} is still there");
        Ok(())
    })
    .await
}

async fn statement_of(conn: &mut Conn, statement: &str) -> Result<()> {
    let start: String = statement.chars().take(160).collect();
    let Some(failing) = statement.strip_prefix("-- fails ") else {
        return conn.query_drop(statement).await.context(start);
    };
    let (code, failing) = failing.split_once(": ").context("fails N: …")?;
    match conn.query_drop(failing).await {
        Err(mysql_async::Error::Server(error)) if error.code.to_string() == code => Ok(()),
        done => bail!("{start}: {done:?}"),
    }
}

/// Accounts, roles, and what they may do.
async fn accounts(server: &Server) -> Result<Vec<String>> {
    let mut conn = sql::connect(server).await?;
    let names: Vec<(String, String)> = conn
        .query("SELECT user, host FROM mysql.user WHERE user LIKE 'c\\_%' ORDER BY 1, 2")
        .await?;
    let mut all = Vec::new();
    for (user, host) in names {
        // MariaDB's roles have no host.
        let at = if host.is_empty() { String::new() } else { format!("@'{host}'") };
        let grants: Vec<String> = conn.query(format!("SHOW GRANTS FOR '{user}'{at}")).await?;
        all.push(format!("{user}@{host}: {grants:?}"));
    }
    conn.disconnect().await?;
    Ok(all)
}
