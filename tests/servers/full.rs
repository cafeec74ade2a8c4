//! The disk of one member's log is full: it says so, the others go on, and so does it once there is
//! room. Its log lies on a small file system, in a mount namespace of the playground's own.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::support::playground::PLIMSOLL;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, run, sql, wait,
};

const SOON: Duration = Duration::from_secs(60);

/// 8 MB that do not compress.
const FILL: &str = "INSERT INTO full.t SELECT random_bytes(1024) FROM full.seq_1_to_8000";

#[test]
fn a_member_without_room_says_so_and_goes_on_by_itself() {
    run(Family::Mariadb, without_room);
}

async fn without_room(family: Family) -> Result<()> {
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
    if !probe.output().await.is_ok_and(|done| done.status.success()) {
        println!("left out: this user may not mount");
        return Ok(());
    }
    let play = Playground::start_in_own_mounts(family).await?;
    let source = play.source()?;
    let replica = play.server("s2")?;
    let folder = replica.agent.log.parent().context("the log has no folder")?.to_owned();
    play.signal("s2-agent", Signal::Kill).await?;
    // Room for the segment that is being written, and for no other.
    small_disk(&play, &folder).await?;
    play.restart("s2-agent").await?;

    sql::run(&source, &["CREATE DATABASE full", "CREATE TABLE full.t (b BLOB)"]).await?;
    // COMMITs return though s2 takes no more: the other two are enough.
    sql::run(&source, &[FILL; 9]).await?;
    wait::until("the member says that it has no room", SOON, async || {
        let status = http::json(&replica.agent.http, "/v1/status").await?;
        ensure!(status["no_room"] == true, "{status}");
        let (_, metrics) = http::get(&replica.agent.http, "/metrics").await?;
        ensure!(metrics.contains("plimsoll_log_no_room 1"), "{metrics}");
        let cluster = http::json(&play.coordinator()?, "/v1/status").await?;
        ensure!(cluster.to_string().contains("PLM403"), "{cluster}");
        Ok(())
    })
    .await?;
    let (_, flushed) = verified(&play, &replica.agent.log).await?;
    sql::run(&source, &[FILL]).await?;
    ensure!(verified(&play, &replica.agent.log).await?.1 == flushed, "it wrote without room");

    shell(&play, &format!("mount -o remount,size=400m {}", folder.display())).await?;
    wait::until("the member goes on", SOON, async || {
        let (_, metrics) = http::get(&replica.agent.http, "/metrics").await?;
        ensure!(metrics.contains("plimsoll_log_no_room 0"), "{metrics}");
        Ok(())
    })
    .await?;
    compare::all_equal(&play).await?;
    let (said, records) = verified(&play, &replica.agent.log).await?;
    ensure!(records > flushed, "{said}");
    // The playground removes its folder, which the mount would keep.
    shell(&play, &format!("umount --lazy {}", folder.display())).await?;
    play.end().await
}

/// Puts a file system of 67 MiB over `folder`, with the files that are there.
async fn small_disk(play: &Playground, folder: &Path) -> Result<()> {
    let it = folder.display();
    let copy = format!("cp -a {it} {it}.copy && mount -t tmpfs -o size=67m none {it}");
    shell(play, &format!("{copy} && cp -a {it}.copy/. {it}/ && rm -r {it}.copy")).await.map(drop)
}

/// Runs a command where the playground's processes run.
async fn shell(play: &Playground, script: &str) -> Result<String> {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &play.pid()?.to_string(), "sh", "-c", script]);
    let done = command.output().await.context("start nsenter")?;
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(done.status.success(), "{script}: {said}");
    Ok(said)
}

/// What `plimsoll log verify` says, and how many records there are.
async fn verified(play: &Playground, log: &Path) -> Result<(String, u64)> {
    let said = shell(play, &format!("{PLIMSOLL} log verify {}", log.display())).await?;
    let records = said.strip_prefix("sound: ").and_then(|rest| rest.split(' ').next());
    let records = records.and_then(|number| number.parse().ok()).context("not sound")?;
    Ok((said, records))
}
