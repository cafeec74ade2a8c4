//! A damaged log is mended from another member: by its own agent, and by `plimsoll log repair`.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::playground::PLIMSOLL;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, run, wait,
};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn damage_is_found_and_mended_from_another_member() {
    run(Family::Mariadb, mended);
}

async fn mended(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let ledger = Ledger::start(&play.source()?, 4).await?;
    ledger.grows(100, SOON).await?;
    // A new reign begins a segment: the first one is sealed then.
    play.signal("s1-agent", Signal::Kill).await?;
    play.restart("s1-agent").await?;
    ledger.grows(100, SOON).await?;
    let (ours, theirs) = (first_segment(&play, "s2")?, first_segment(&play, "s3")?);
    let sound = fs::read(&ours)?;
    ensure!(sound == fs::read(&theirs)?, "two members keep different bytes");

    // While the agent runs nobody reads that file again; one that starts looks.
    play.signal("s2-agent", Signal::Kill).await?;
    flip(&ours, sound.len() as u64 / 2)?;
    ensure!(verify(&play, "s2").await?.contains("PLM408"), "the flipped byte is not found");
    play.restart("s2-agent").await?;
    mended_to(&ours, &sound).await?;
    let agent = play.server("s2")?.agent.http;
    wait::until("the alarm is over and the mending counted", SOON, async || {
        let status = http::json(&agent, "/v1/status").await?;
        ensure!(status["alarms"].get("log").is_none(), "{status}");
        let (_, metrics) = http::get(&agent, "/metrics").await?;
        ensure!(metrics.contains("plimsoll_log_mended_total 1"), "{metrics}");
        Ok(())
    })
    .await?;

    // A damaged header keeps the agent from starting: the verb mends it.
    play.signal("s2-agent", Signal::Kill).await?;
    flip(&ours, 50)?;
    let said = repair(&play, "s2", "s3").await?;
    ensure!(said.contains("mended from s3") && said.contains("sound:"), "{said}");
    ensure!(fs::read(&ours)? == sound, "the segment was not written anew as it was");
    play.restart("s2-agent").await?;

    ledger.grows(50, SOON).await?;
    let book = ledger.stop().await?;
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        book.check(&server).await?;
        let said = verify(&play, &server.name).await?;
        ensure!(said.contains("sound:"), "{}: {said}", server.name);
    }
    play.end().await
}

/// The oldest segment of a member's log, which must be sealed.
fn first_segment(play: &Playground, name: &str) -> Result<PathBuf> {
    let mut segments: Vec<PathBuf> = fs::read_dir(play.server(name)?.agent.log)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    segments.retain(|path| path.extension().is_some_and(|found| found == "seg"));
    segments.sort();
    ensure!(segments.len() >= 2, "{name} has {segments:?}");
    Ok(segments.remove(0))
}

fn flip(path: &Path, offset: u64) -> Result<()> {
    let file = fs::File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    file.write_all_at(&[byte[0] ^ 0x10], offset)?;
    Ok(())
}

async fn mended_to(path: &Path, sound: &[u8]) -> Result<()> {
    wait::until("the agent has mended its log", SOON, async || {
        ensure!(fs::read(path)? == sound, "{} is still damaged", path.display());
        Ok(())
    })
    .await
}

/// What `plimsoll log verify` says of a member's log.
async fn verify(play: &Playground, name: &str) -> Result<String> {
    let mut command = tokio::process::Command::new(PLIMSOLL);
    command.args(["log", "verify"]).arg(play.server(name)?.agent.log);
    words(command).await
}

async fn repair(play: &Playground, name: &str, from: &str) -> Result<String> {
    let config = |name: &str| play.dir().join(format!("conf/{name}-agent.toml"));
    let text = fs::read_to_string(config(from))?;
    let listen = text.lines().find_map(|line| line.trim().strip_prefix("listen = \""));
    let listen = listen.context("no agent.listen")?.trim_end_matches('"').to_owned();
    let mut command = tokio::process::Command::new(PLIMSOLL);
    command.args(["log", "repair"]).arg(play.server(name)?.agent.log);
    command.arg("--config").arg(config(name)).args(["--from", &listen]);
    words(command).await
}

async fn words(mut command: tokio::process::Command) -> Result<String> {
    let done = command.output().await.context("start plimsoll log")?;
    Ok([done.stdout, done.stderr].concat().iter().map(|&byte| char::from(byte)).collect())
}
