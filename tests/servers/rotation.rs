//! The cluster's secret is changed under load, in two steps, without a refused commit.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families, wait,
};

on_both_families!(a_secret_is_changed_under_load);

const SOON: Duration = Duration::from_secs(30);
const RENEWED: &str = "secrets and certificates renewed";
const NEW: &str = "the-secret-of-tomorrow";

struct Secrets<'a> {
    play: &'a Playground,
    file: PathBuf,
}

impl Secrets<'_> {
    fn write(&self, lines: &[&str]) -> Result<()> {
        std::fs::write(&self.file, lines.join("\n") + "\n").context("write the secret")
    }

    /// SIGHUP, and the process has said `word` once more.
    async fn hang_up(&self, name: &str, word: &str) -> Result<()> {
        let said = |name| self.play.words(name).matches(word).count();
        let before = said(name);
        self.play.signal(name, Signal::Hangup).await?;
        wait::until("a process has read its files again", SOON, async || {
            ensure!(said(name) > before, "{name} has not said {word:?}");
            Ok(())
        })
        .await
    }

    /// A process that must shake hands anew with everybody.
    async fn begin_anew(&self, name: &str, ledger: &Ledger) -> Result<()> {
        self.play.signal(name, Signal::Kill).await?;
        self.play.restart(name).await?;
        ledger.grows(30, SOON).await.with_context(|| format!("after the restart of {name}"))
    }
}

async fn a_secret_is_changed_under_load(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let secrets = Secrets { play: &play, file: play.dir().join("conf/secret") };
    let old = std::fs::read_to_string(&secrets.file)?.trim_end().to_owned();
    let all = ["s1-agent", "s2-agent", "s3-agent", "coordinator-1", "timestamp-1"];
    let ledger = Ledger::start(&play.source()?, 4).await?;
    ledger.grows(50, SOON).await?;

    // First step, half of it: those that know both meet those that know the old one only.
    secrets.write(&[NEW, &old])?;
    for name in ["s2-agent", "timestamp-1"] {
        secrets.hang_up(name, RENEWED).await?;
    }
    secrets.begin_anew("s3-agent", &ledger).await.context("half-way through the first step")?;
    for name in all {
        secrets.hang_up(name, RENEWED).await?;
    }
    ledger.grows(30, SOON).await?;

    // Second step, half of it: those that know the new one only meet those that know both.
    secrets.write(&[NEW])?;
    secrets.hang_up("s1-agent", RENEWED).await?;
    secrets.begin_anew("s2-agent", &ledger).await.context("half-way through the second step")?;
    for name in all {
        secrets.hang_up(name, RENEWED).await?;
    }
    secrets.begin_anew("coordinator-1", &ledger).await?;

    // A file that cannot be used changes nothing.
    secrets.write(&["short"])?;
    secrets.hang_up("s1-agent", "what was in force stays").await?;
    ledger.grows(30, SOON).await?;
    secrets.write(&[NEW])?;
    secrets.begin_anew("s3-agent", &ledger).await.context("with the new secret alone")?;

    let book = ledger.stop().await?;
    ensure!(
        book.acknowledged == book.attempted,
        "{} of {} commits were refused",
        book.attempted.len() - book.acknowledged.len(),
        book.attempted.len()
    );
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        book.check(&server).await?;
    }
    play.end().await
}
