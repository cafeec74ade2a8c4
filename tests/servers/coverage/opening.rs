//! XA across crashes, and before a replica's server is opened as source.

use std::time::Duration;

use plimsoll::apply::prepare_parked;
use plimsoll::config::{Secret, ServerConfig, TlsMode};
use wal::LogReader;

use crate::support::playground::Server;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families, sql, wait,
};

on_both_families!(
    a_prepared_transaction_survives_every_crash,
    parked_transactions_are_prepared_before_opening
);

const SOON: Duration = Duration::from_secs(40);

const PREPARE: &[&str] = &[
    "CREATE DATABASE x",
    "CREATE TABLE x.t (id INT PRIMARY KEY, v INT)",
    "INSERT INTO x.t VALUES (1, 1)",
    "XA START 'held', 'b', 5",
    "INSERT INTO x.t VALUES (2, 2)",
    "UPDATE x.t SET v = 7 WHERE id = 1",
    "XA END 'held', 'b', 5",
    "XA PREPARE 'held', 'b', 5",
];

/// Kill the replica between XA PREPARE and XA COMMIT, and the source too, which has it prepared
/// itself then.
async fn a_prepared_transaction_survives_every_crash(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    sql::run(&play.source()?, PREPARE).await?;
    compare::caught_up(&play).await?;
    for name in ["s2-agent", "s2", "s1"] {
        play.signal(name, Signal::Kill).await?;
        play.restart(name).await?;
    }
    let source = play.source()?;
    ensure!(recovered(&source).await? == 1, "the source has lost it");
    wait::until("the source takes writes again", SOON, async || {
        sql::run(&source, &["INSERT IGNORE INTO x.t VALUES (3, 3)"]).await
    })
    .await?;
    sql::run(&source, &["XA COMMIT 'held', 'b', 5", "UPDATE x.t SET v = v + 1"]).await?;
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        ensure!(recovered(&server).await? == 0, "{} still has one prepared", server.name);
    }
    play.end().await
}

/// What a promotion will do, at a replica whose agent is gone: prepared once, however often it is
/// called, and committed from there.
async fn parked_transactions_are_prepared_before_opening(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    sql::run(&play.source()?, PREPARE).await?;
    compare::caught_up(&play).await?;
    let replica = play.server("s2")?;
    ensure!(recovered(&replica).await? == 0, "a replica only parks it");
    play.signal("s2-agent", Signal::Kill).await?;
    // Nobody acknowledges COMMITs here.
    sql::unprotect(&replica, family).await?;
    let reader = LogReader::open(&play.dir().join("s2-agent").join("log"))?;
    let config = config(&replica);
    ensure!(prepare_parked(&reader, &config).await? == 1, "one was parked");
    ensure!(recovered(&replica).await? == 1, "XA RECOVER does not know it");
    let parked = "SELECT COUNT(*) FROM plimsoll.xa_parked";
    ensure!(sql::number(&replica, parked).await? == 0, "it is still noted");
    // As after a crash before the note was deleted.
    let note = "INSERT INTO plimsoll.xa_parked VALUES (\"x'68656c64',x'62',5\", 1)";
    sql::run(&replica, &["SET sql_log_bin = 0", note]).await?;
    ensure!(prepare_parked(&reader, &config).await? == 0, "it was prepared twice");
    ensure!(sql::number(&replica, parked).await? == 0, "it is noted again");

    sql::run(&replica, &["SET GLOBAL read_only = 0", "XA COMMIT 'held', 'b', 5"]).await?;
    let rows: Vec<(u32, u32)> = sql::rows(&replica, "SELECT id, v FROM x.t ORDER BY id").await?;
    ensure!(rows == [(1, 7), (2, 2)], "{rows:?}");
    let (kinds, log) =
        (binlog_kinds(&play, &replica, family).await?, "both phases are in its binlog");
    ensure!(kinds.contains("XA COMMIT") && kinds.contains("XA START"), "{log}: {kinds}");
    drop(play);
    Ok(())
}

async fn recovered(server: &Server) -> Result<usize> {
    let rows: Vec<mysql_async::Row> = sql::rows(server, "XA RECOVER").await?;
    Ok(rows.len())
}

/// The statements in the server's newest binlog.
async fn binlog_kinds(_: &Playground, server: &Server, family: Family) -> Result<String> {
    let end = sql::binlog_end(server, family).await?;
    let (file, _) = end.rsplit_once(':').context("no position")?;
    let rows: Vec<mysql_async::Row> =
        sql::rows(server, &format!("SHOW BINLOG EVENTS IN '{file}'")).await?;
    let info = |row: &mysql_async::Row| row.get::<String, _>(5).unwrap_or_default();
    Ok(rows.iter().map(info).collect::<Vec<_>>().join("\n"))
}

fn config(server: &Server) -> ServerConfig {
    ServerConfig {
        host: server.host.clone(),
        port: server.port,
        fallback_port: None,
        user: server.user.clone(),
        password: Secret::new(&server.password),
        tls: TlsMode::Disabled,
    }
}
