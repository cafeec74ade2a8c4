//! Kill -9 under load, at random instants, several times. A ledger of acknowledged writes is held
//! against every server at the end: none missing, none twice.

use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::random::Choices;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families, wait,
};

on_both_families!(
    the_sources_agent,
    the_sources_agent_while_replicas_are_ahead,
    a_replicas_agent,
    the_coordinator,
    the_timestamp_server,
    a_replicas_server,
    the_sources_server,
    several_at_once,
    a_wiped_log_does_not_count_until_it_is_replaced,
);

const CLIENTS: u32 = 8;
const ROUNDS: usize = 4;
/// Writes must go on within this once everything is back.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// Kills and restarts `names` together, `ROUNDS` times under load, then holds the book against all.
async fn under_load(family: Family, names: &[&str]) -> Result<()> {
    let play = Playground::start(family).await?;
    let mut random = Choices::new(&format!("kill {names:?}"));
    let ledger = Ledger::start(&play.source()?, CLIENTS).await?;
    for round in 1..=ROUNDS {
        ledger
            .grows(random.pick(20..400), RECOVERY_MAX)
            .await
            .with_context(|| format!("round {round}"))?;
        for name in names {
            play.signal(name, Signal::Kill).await?;
        }
        for name in names {
            play.restart(name).await?;
        }
    }
    ledger.grows(50, RECOVERY_MAX).await.context("after the last kill")?;
    finish(play, ledger).await
}

async fn finish(play: Playground, ledger: Ledger) -> Result<()> {
    let book = ledger.stop().await?;
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        book.check(&server).await?;
    }
    println!("{} acknowledged of {}", book.acknowledged.len(), book.attempted.len());
    play.end().await
}

async fn the_sources_agent(family: Family) -> Result<()> {
    under_load(family, &["s1-agent"]).await
}

/// The source's agent never has a durable log of its own ahead of the others: its restart must take
/// the longer log from them.
async fn the_sources_agent_while_replicas_are_ahead(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let mut random = Choices::new("replicas ahead");
    let ledger = Ledger::start(&play.source()?, CLIENTS).await?;
    for _ in 0..ROUNDS {
        ledger.grows(random.pick(20..200), RECOVERY_MAX).await?;
        // One replica lags, the other is in the quorum with the source; then the source dies, and
        // comes back while only the lagging one and the one that is ahead answer, one after another.
        play.signal("s2-agent", Signal::Stop).await?;
        ledger.grows(random.pick(20..200), RECOVERY_MAX).await.context("with one stopped")?;
        play.signal("s1-agent", Signal::Kill).await?;
        play.signal("s2-agent", Signal::Continue).await?;
        play.restart("s1-agent").await?;
    }
    ledger.grows(50, RECOVERY_MAX).await?;
    finish(play, ledger).await
}

async fn a_replicas_agent(family: Family) -> Result<()> {
    under_load(family, &["s2-agent"]).await
}

/// Commits need no coordinator.
async fn the_coordinator(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let ledger = Ledger::start(&play.source()?, CLIENTS).await?;
    for _ in 0..ROUNDS {
        ledger.grows(50, RECOVERY_MAX).await?;
        play.signal("coordinator-1", Signal::Kill).await?;
        ledger.grows(200, RECOVERY_MAX).await.context("without a coordinator")?;
        play.restart("coordinator-1").await?;
    }
    ledger.grows(50, RECOVERY_MAX).await?;
    finish(play, ledger).await
}

async fn the_timestamp_server(family: Family) -> Result<()> {
    under_load(family, &["timestamp-1"]).await
}

async fn a_replicas_server(family: Family) -> Result<()> {
    under_load(family, &["s3"]).await
}

async fn the_sources_server(family: Family) -> Result<()> {
    under_load(family, &["s1"]).await
}

async fn several_at_once(family: Family) -> Result<()> {
    under_load(family, &["s1-agent", "s2-agent", "coordinator-1"]).await
}

/// I16: a member that lost its log has promised and flushed things that it no longer knows.
async fn a_wiped_log_does_not_count_until_it_is_replaced(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let ledger = Ledger::start(&play.source()?, CLIENTS).await?;
    ledger.grows(100, RECOVERY_MAX).await?;
    play.signal("s2-agent", Signal::Kill).await?;
    std::fs::remove_dir_all(play.server("s2")?.agent.log).context("wipe the log")?;
    play.restart("s2-agent").await?;
    ledger.grows(100, RECOVERY_MAX).await.context("with a wiped member")?;

    // It must not stand in for the member that is lost now.
    play.signal("s3-agent", Signal::Stop).await?;
    let stalled = wait::until("COMMITs wait", RECOVERY_MAX, async || {
        let before = ledger.acknowledged();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = ledger.acknowledged();
        ensure!(before == after, "{} COMMITs returned in 3 s with one true member", after - before);
        Ok(())
    });
    stalled.await?;
    play.signal("s3-agent", Signal::Continue).await?;
    ledger.grows(50, RECOVERY_MAX).await?;

    let coordinator = play.coordinator()?;
    let mut replace = tokio::process::Command::new(crate::support::playground::PLIMSOLL);
    replace.args(["member", "replace", "s2", "--coordinator", &coordinator]);
    let done = replace.output().await?;
    ensure!(done.status.success(), "member replace: {}", String::from_utf8_lossy(&done.stderr));
    ledger.grows(50, RECOVERY_MAX).await?;
    wait::until("the replaced member counts", RECOVERY_MAX, async || {
        play.signal("s3-agent", Signal::Stop).await?;
        let grown = ledger.grows(20, Duration::from_secs(5)).await;
        play.signal("s3-agent", Signal::Continue).await?;
        grown
    })
    .await?;
    finish(play, ledger).await
}
