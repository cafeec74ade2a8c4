//! `/v1/throttle`: gh-ost goes on while replicas follow, and waits while one does not.

use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::{Family, Playground, Result, Signal, ensure, http, on_both_families, wait};

on_both_families!(a_replica_that_lags_throttles);

const SOON: Duration = Duration::from_secs(30);
const PATH: &str = "/v1/throttle?max_lag=1s";

/// Asks with HEAD as gh-ost does, and with GET, until both say `status`.
async fn says(port: &str, status: u16, word: &str) -> Result<()> {
    wait::until("the throttle changes", SOON, async || {
        let (found, text) = http::get(port, PATH).await?;
        ensure!(found == status && text.contains(word), "{port}: {found}: {text}");
        let head = http::head(port, PATH).await?;
        ensure!(head == status, "{port}: HEAD {head}");
        Ok(())
    })
    .await
}

async fn a_replica_that_lags_throttles(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let (coordinator, source) = (play.coordinator()?, play.source()?);
    let (s2, s3) = (play.server("s2")?.agent.http, play.server("s3")?.agent.http);
    let ledger = Ledger::start(&source, 2).await?;
    ledger.grows(20, SOON).await?;
    for port in [&s2, &s3, &coordinator] {
        says(port, 200, "\"error\":null").await?;
    }
    ensure!(http::get(&source.agent.http, PATH).await?.0 == 409, "the source is no replica");
    ensure!(http::get(&s2, "/v1/throttle?max_lag=soon").await?.0 == 400, "no duration");

    // The replica's server hangs; its agent knows what is committed and not applied.
    play.signal("s2", Signal::Stop).await?;
    says(&s2, 429, "s2").await?;
    says(&coordinator, 429, "s2").await?;
    says(&s3, 200, "\"error\":null").await?;
    play.signal("s2", Signal::Continue).await?;
    for port in [&s2, &coordinator] {
        says(port, 200, "\"error\":null").await?;
    }
    ledger.stop().await?;
    // An idle cluster is no lagging one.
    tokio::time::sleep(Duration::from_secs(4)).await;
    says(&s2, 200, "\"error\":null").await?;

    // Nothing is heard from the source: what it committed since is not known.
    play.signal("s1-agent", Signal::Stop).await?;
    says(&s2, 429, "lags").await?;
    play.signal("s1-agent", Signal::Continue).await?;
    says(&s2, 200, "\"error\":null").await?;
    play.end().await
}
