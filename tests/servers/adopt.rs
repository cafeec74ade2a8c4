//! A replica restored from a backup is told where it stands, and goes on from there.

use std::process::Output;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row};

use crate::support::playground::{PLIMSOLL, Server};
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, on_both_families, sql, wait,
};

on_both_families!(a_restored_replica_is_adopted);

const SCHEMA: &[&str] = &[
    "CREATE DATABASE a",
    "CREATE TABLE a.keyed (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(40), amount DECIMAL(12,3), \
     at DATETIME(6), bytes BLOB) ENGINE=InnoDB",
    "CREATE TABLE a.keyless (n INT, word VARCHAR(40)) ENGINE=InnoDB",
];
const SOON: Duration = Duration::from_secs(30);

/// What a backup tool would bring: definitions, rows, and their place at the source.
struct Backup {
    tables: Vec<(String, Vec<Row>)>,
    gtids: String,
    position: String,
}

impl Backup {
    /// Nobody writes meanwhile.
    async fn take(source: &Server, family: Family) -> Result<Backup> {
        let mut conn = sql::connect(source).await?;
        let mut tables = Vec::new();
        for table in ["a.keyed", "a.keyless"] {
            let create: Option<(String, String)> =
                conn.query_first(format!("SHOW CREATE TABLE {table}")).await?;
            let (_, create) = create.context("no table")?;
            // Unqualified there.
            let create = create.replacen("TABLE `", "TABLE `a`.`", 1);
            let rows = conn.exec(format!("SELECT * FROM {table}"), ()).await?;
            let marks = if table == "a.keyed" { "?, ?, ?, ?, ?" } else { "?, ?" };
            tables.push((format!("{create};INSERT INTO {table} VALUES ({marks})"), rows));
        }
        let gtids = sql::gtids(source, family).await?;
        Ok(Backup { tables, gtids, position: sql::binlog_end(source, family).await? })
    }

    /// In place of what the server has, which forgets where it stood.
    async fn restore(&self, server: &Server) -> Result<()> {
        let mut conn = sql::connect(server).await?;
        for statement in [
            "SET sql_log_bin = 0",
            "DROP DATABASE a",
            "DELETE FROM plimsoll.checkpoint",
            "CREATE DATABASE a",
        ] {
            conn.query_drop(statement).await.context(statement)?;
        }
        for (statements, rows) in &self.tables {
            let (create, insert) = statements.rsplit_once(';').context("two statements")?;
            conn.query_drop(create).await.context("make a table")?;
            let rows = rows.iter().map(|row| Params::Positional(row.clone().unwrap()));
            conn.exec_batch(insert, rows).await.context("load rows")?;
        }
        Ok(conn.disconnect().await?)
    }
}

/// Rows that are added, changed and removed: what is applied twice, or not at all, shows.
async fn work(source: &Server, round: u32) -> Result<()> {
    let mut conn: Conn = sql::connect(source).await?;
    for n in 0..20 {
        let statements = [
            "BEGIN".to_owned(),
            format!(
                "INSERT INTO a.keyed (word, amount, at, bytes) VALUES \
                 ('r{round}', {n}.125, '2024-02-29 12:00:00.00000{round}', X'00FF{n:02}')"
            ),
            format!("INSERT INTO a.keyless VALUES ({n}, 'r{round}')"),
            "UPDATE a.keyed SET amount = amount + 1 ORDER BY id LIMIT 3".to_owned(),
            "COMMIT".to_owned(),
            format!("DELETE FROM a.keyless WHERE n = {n} AND word <> 'r{round}' LIMIT 1"),
        ];
        for statement in statements {
            conn.query_drop(statement).await?;
        }
    }
    Ok(conn.disconnect().await?)
}

async fn adopt(play: &Playground, replica: &str, at: &str) -> Result<Output> {
    let mut command = tokio::process::Command::new(PLIMSOLL);
    command.args(["adopt", "--replica", replica, "--at", at, "--coordinator"]);
    command.arg(play.coordinator()?);
    let done = tokio::time::timeout(SOON, command.output()).await;
    done.context("plimsoll adopt does not end")?.context("start plimsoll adopt")
}

async fn a_restored_replica_is_adopted(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, SCHEMA).await?;
    work(&source, 1).await?;
    let backup = Backup::take(&source, family).await?;
    work(&source, 2).await?;
    compare::all_equal(&play).await?;
    for (name, at) in [("s2", &backup.gtids), ("s3", &backup.position)] {
        let agent = format!("{name}-agent");
        play.signal(&agent, Signal::Kill).await?;
        backup.restore(&play.server(name)?).await?;
        work(&source, 3).await?;
        play.restart(&agent).await?;
        stops_and_says_what_to_do(&play, name).await?;
        if name == "s2" {
            refuses_what_is_not_in_the_log(&play, family).await?;
        }
        let done = adopt(&play, name, at).await?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "adopt {name} at {at}: {}: {said}", done.status);
        work(&source, 4).await?;
        compare::all_equal(&play).await.with_context(|| format!("{name} was adopted at {at}"))?;
    }
    // It runs: nobody else may say where it stands.
    let done = adopt(&play, "s3", &backup.position).await?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.code() == Some(1), "adopted while it applies: {} {said}", done.status);
    compare::all_equal(&play).await?;
    play.end().await
}

async fn stops_and_says_what_to_do(play: &Playground, name: &str) -> Result<()> {
    let http_at = play.server(name)?.agent.http;
    wait::until("the replica says that it must be adopted", SOON, async || {
        let status = http::json(&http_at, "/v1/status").await?;
        let alarm = status["alarms"]["applier"]["text"].as_str().unwrap_or_default();
        ensure!(alarm.contains("plimsoll adopt"), "{status}");
        Ok(())
    })
    .await
}

async fn refuses_what_is_not_in_the_log(play: &Playground, family: Family) -> Result<()> {
    let (foreign, ahead) = match family {
        Family::Mariadb => ("77-7-7", "0-1-999999".to_owned()),
        Family::Mysql => {
            let gtids = sql::gtids(&play.source()?, family).await?;
            let uuid = gtids.split(':').next().unwrap_or_default().to_owned();
            ("77777777-7777-7777-7777-777777777777:1-7", format!("{uuid}:1-999999"))
        }
    };
    for nonsense in [foreign, &ahead, "binlog.000777:4"] {
        let done = adopt(play, "s2", nonsense).await?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.code() == Some(1), "{nonsense}: {}: {said}", done.status);
        ensure!(said.contains("no record of the log stands at"), "{nonsense}: {said}");
        println!("{nonsense}: {said}");
    }
    stops_and_says_what_to_do(play, "s2").await
}
