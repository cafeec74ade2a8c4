//! A replica that writes its own binlog, under the source's GTIDs.

use std::time::Duration;

use super::path;
use crate::support::ledger::Ledger;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families, sql,
};

on_both_families!(a_replica_writes_its_own_binlog, all_kinds_pass_its_own_binlog);

const SOON: Duration = Duration::from_secs(60);

/// Its first start is done when nothing has been written yet, so that it names everything.
async fn start(family: Family) -> Result<Playground> {
    let play = Playground::start(family).await?;
    let file = play.dir().join("conf").join("s2-agent.toml");
    let config = std::fs::read_to_string(&file).context("read the agent's configuration")?;
    // The last table is [agent.server].
    std::fs::write(&file, config + "replica_binlog = true\n")?;
    play.restart("s2-agent").await?;
    Ok(play)
}

/// s2 names the source's transactions, all and no other; s3 has no binlog of its own.
async fn same_names(play: &Playground, family: Family) -> Result<()> {
    let expected = sql::gtids(&play.source()?, family).await?;
    let found = sql::gtids(&play.server("s2")?, family).await?;
    ensure!(found == expected, "s2 has transactions {found:?}, the source {expected:?}");
    let without = sql::gtids(&play.server("s3")?, family).await?;
    ensure!(without.is_empty(), "s3 writes no binlog, but names transactions: {without:?}");
    Ok(())
}

async fn a_replica_writes_its_own_binlog(family: Family) -> Result<()> {
    let play = start(family).await?;
    let source = play.source()?;
    let ledger = Ledger::start(&source, 4).await?;
    for name in ["s2-agent", "s2"] {
        ledger.grows(60, SOON).await?;
        let table = format!("CREATE TABLE ledger.`at {name}` (id INT PRIMARY KEY)");
        sql::run(&source, &[&table]).await?;
        play.signal(name, Signal::Kill).await?;
        ledger.grows(20, SOON).await?;
        play.restart(name).await?;
    }
    ledger.grows(60, SOON).await?;
    sql::run(
        &source,
        &[
            "ALTER TABLE ledger.entries ADD more INT NOT NULL DEFAULT 7",
            "ALTER TABLE ledger.entries DROP more",
            "DROP TABLE ledger.`at s2`",
            "CREATE TABLE ledger.copy ENGINE=InnoDB AS SELECT * FROM ledger.entries LIMIT 5",
        ],
    )
    .await?;
    let book = ledger.stop().await?;
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        book.check(&server).await?;
    }
    same_names(&play, family).await?;
    play.end().await
}

/// Everything that is not just rows of InnoDB: DDL of all kinds, other engines, XA.
async fn all_kinds_pass_its_own_binlog(family: Family) -> Result<()> {
    let play = start(family).await?;
    let source = play.source()?;
    path::mix(&source).await?;
    sql::run(
        &source,
        &[
            "CREATE DATABASE k",
            "CREATE TABLE k.plain (id INT PRIMARY KEY, v INT) ENGINE=MyISAM",
            "INSERT INTO k.plain VALUES (1, 1), (2, 2)",
            "UPDATE k.plain SET v = v + 1",
            "DELETE FROM k.plain WHERE id = 2",
            "CREATE TABLE k.rows_only (id INT PRIMARY KEY) ENGINE=InnoDB",
            "XA START 'x'",
            "INSERT INTO k.rows_only VALUES (1)",
            "XA END 'x'",
            "XA PREPARE 'x'",
            "XA COMMIT 'x'",
            "XA START 'y'",
            "INSERT INTO k.rows_only VALUES (2)",
            "XA END 'y'",
            "XA PREPARE 'y'",
            "XA ROLLBACK 'y'",
            "CREATE USER someone IDENTIFIED BY 'pw'",
            "GRANT SELECT ON k.* TO someone",
            "INSERT INTO k.rows_only VALUES (3)",
        ],
    )
    .await?;
    compare::all_equal(&play).await?;
    same_names(&play, family).await?;
    play.end().await
}
