//! A replica that writes its own binlog, under the source's GTIDs.

use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families, sql,
};

on_both_families!(a_replica_writes_its_own_binlog);

const SOON: Duration = Duration::from_secs(60);

async fn a_replica_writes_its_own_binlog(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    let file = play.dir().join("conf").join("s2-agent.toml");
    let config = std::fs::read_to_string(&file).context("read the agent's configuration")?;
    // The last table is [agent.server].
    std::fs::write(&file, config + "replica_binlog = true\n")?;
    play.restart("s2-agent").await?;

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

    let expected = sql::gtids(&source, family).await?;
    let found = sql::gtids(&play.server("s2")?, family).await?;
    ensure!(found == expected, "s2 has transactions {found:?}, the source {expected:?}");
    let without = sql::gtids(&play.server("s3")?, family).await?;
    ensure!(without.is_empty(), "s3 writes no binlog, but names transactions: {without:?}");
    play.end().await
}
