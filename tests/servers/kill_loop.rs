//! Kill -9 at random instants: every kind of process, alone and in pairs, under load, also while the
//! one before is still coming back. Nothing is waited for between kills but now and then a proof of
//! life. At the end the ledger of acknowledged writes is held against every server.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::random::Choices;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families,
};

on_both_families!(any_process_at_any_instant);

const CLIENTS: u32 = 8;
/// Of one family.
const KILLS: usize = 60;
/// Every so many rounds the cluster must show that it lives.
const PROOF_EVERY: usize = 5;
const RECOVERY_MAX: Duration = Duration::from_secs(60);
/// Everything that runs in a playground of three members.
const PROCESSES: [&str; 8] =
    ["s1", "s1-agent", "s2", "s2-agent", "s3", "s3-agent", "coordinator-1", "timestamp-1"];

async fn any_process_at_any_instant(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let mut random = Choices::new("any process at any instant");
    let ledger = Ledger::start(&play.source()?, CLIENTS).await?;
    ledger.grows(100, RECOVERY_MAX).await?;
    let mut killed: BTreeMap<String, usize> = BTreeMap::new();
    let mut round = 0;
    while killed.values().sum::<usize>() < KILLS || killed.len() < PROCESSES.len() {
        round += 1;
        let victims = victims(&mut random);
        let names = victims.join(" and ");
        pause(&mut random, 0..500).await;
        for name in &victims {
            play.signal(name, Signal::Kill).await.with_context(|| names.clone())?;
            *killed.entry((*name).to_owned()).or_default() += 1;
            pause(&mut random, 0..40).await;
        }
        pause(&mut random, 0..300).await;
        for name in &victims {
            play.restart(name).await.with_context(|| format!("after killing {names}"))?;
        }
        if round % PROOF_EVERY == 0 {
            let alive = ledger.grows(20, RECOVERY_MAX).await;
            alive.with_context(|| format!("round {round}, after killing {names}"))?;
        }
    }
    ledger.grows(100, RECOVERY_MAX).await.context("after the last kill")?;
    let book = ledger.stop().await?;
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        book.check(&server).await?;
    }
    println!("killed {killed:?}: {} writes acknowledged", book.acknowledged.len());
    ensure!(killed.len() == PROCESSES.len(), "not everything was killed: {killed:?}");
    play.end().await
}

/// One process, or two different ones.
fn victims(random: &mut Choices) -> Vec<&'static str> {
    let mut pick = || PROCESSES[usize::try_from(random.pick(0..8)).expect("small")];
    let (first, second) = (pick(), pick());
    match first == second || random.pick(0..2) == 0 {
        true => vec![first],
        false => vec![first, second],
    }
}

async fn pause(random: &mut Choices, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.pick(millis))).await;
}
