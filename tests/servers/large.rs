//! Transactions larger than what is kept in memory (I14).

use std::time::Duration;

use mysql_async::prelude::Queryable;

use crate::support::playground::{PLIMSOLL, Server};
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families, sql, verify,
    wait,
};

on_both_families!(seen_as_a_whole_or_not_at_all, begun_again_after_each_kill);

/// No process of ours may ever hold more, though each would need some copies of the transaction if it
/// took it as a whole.
const MEMORY_MAX_MIB: u64 = 160;
const ROWS: u64 = 32_768;
const SOON: Duration = Duration::from_secs(60);

/// One transaction of some 120 MB: many statements, one large one, a savepoint gone back to.
async fn large(source: &Server) -> Result<()> {
    let mut conn = sql::connect(source).await?;
    conn.query_drop("BEGIN").await?;
    conn.query_drop("INSERT INTO large.t (v) VALUES (REPEAT('0123456789', 140))").await?;
    for _ in 0..15 {
        conn.query_drop("INSERT INTO large.t (v) SELECT CONCAT(id, v) FROM large.t").await?;
    }
    conn.query_drop("SAVEPOINT kept").await?;
    conn.query_drop("DELETE FROM large.t WHERE id % 3 = 0").await?;
    conn.query_drop("ROLLBACK TO kept").await?;
    conn.query_drop("UPDATE large.t SET v = REPEAT('abc', id % 300)").await?;
    conn.query_drop("COMMIT").await?;
    Ok(conn.disconnect().await?)
}

async fn prepared(family: Family) -> Result<Playground> {
    let play = Playground::start(family).await?;
    let create = "CREATE TABLE large.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARBINARY(3000))";
    sql::run(&play.source()?, &["CREATE DATABASE large", create]).await?;
    compare::caught_up(&play).await?;
    Ok(play)
}

async fn seen_as_a_whole_or_not_at_all(family: Family) -> Result<()> {
    let play = prepared(family).await?;
    let (source, replica) = (play.source()?, play.server("s2")?);
    let looking = tokio::spawn(async move {
        let mut seen = 0;
        while seen == 0 {
            seen = sql::number(&replica, "SELECT COUNT(*) FROM large.t").await?;
            ensure!(seen == 0 || seen >= ROWS, "a replica shows {seen} rows");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    });
    large(&source).await?;
    sql::run(&source, &["INSERT INTO large.t (v) VALUES ('behind it')"]).await?;
    tokio::time::timeout(SOON, looking).await.context("no replica shows it")???;
    compare::all_equal(&play).await?;
    verify::equal(&play).await?;
    for server in play.ready()?.servers {
        let peak = peak_memory_mib(server.agent.pid)?;
        println!("{}: {peak} MiB at most", server.name);
        ensure!(peak <= MEMORY_MAX_MIB, "the agent of {} held {peak} MiB", server.name);
    }
    ensure!(pieces(&source).await? > 50, "the log has no pieces of it");
    let updates = dumped(&source, &[], "\"op\":\"update\"").await?;
    ensure!(updates as u64 == ROWS, "{updates} updates are told of it");
    play.end().await
}

/// The source's agent reads it again from the beginning, and replicas forget what they began.
async fn begun_again_after_each_kill(family: Family) -> Result<()> {
    let play = prepared(family).await?;
    let source = play.source()?;
    let writer = { tokio::spawn(async move { large(&source).await }) };
    for name in ["s1-agent", "s2-agent", "s1-agent", "s3"] {
        let before = pieces(&play.source()?).await?;
        wait::until("pieces of it are logged", SOON, async || {
            let now = pieces(&play.source()?).await?;
            ensure!(now > before, "{now} pieces");
            Ok(())
        })
        .await?;
        play.signal(name, Signal::Kill).await?;
        play.restart(name).await?;
        if writer.is_finished() {
            break;
        }
    }
    tokio::time::timeout(SOON, writer).await.context("its COMMIT does not return")???;
    sql::run(&play.source()?, &["INSERT INTO large.t (v) VALUES ('behind it')"]).await?;
    compare::all_equal(&play).await?;
    let rows = sql::number(&play.source()?, "SELECT COUNT(*) FROM large.t").await?;
    ensure!(rows == ROWS + 1, "{rows} rows");
    play.end().await
}

/// Pieces in the log of the server's agent.
async fn pieces(server: &Server) -> Result<usize> {
    dumped(server, &["--heads"], "\"kind\":\"chunk\"").await
}

/// How many lines of the log's dump have `what` in them.
async fn dumped(server: &Server, how: &[&str], what: &str) -> Result<usize> {
    let mut dump = tokio::process::Command::new(PLIMSOLL);
    dump.args(["log", "dump", "--json"]).args(how).arg(&server.agent.log);
    let done = dump.output().await?;
    let text = String::from_utf8_lossy(&done.stdout);
    Ok(text.lines().filter(|line| line.contains(what)).count())
}

/// The most memory that a process has held.
fn peak_memory_mib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.split_whitespace().next().context("no figure")?.parse()?;
    Ok(kib / 1024)
}
