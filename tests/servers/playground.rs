//! The playground keeps its promises: what is there, what can be restarted, what is left at the end.

use std::time::Duration;

use crate::support::{Family, Playground, Result, Signal, ensure, on_both_families, sql, wait};

on_both_families!(
    everything_is_there_and_gone_at_the_end,
    restart_starts_what_was_killed_and_what_still_runs,
    a_killed_playground_leaves_no_process,
    a_bare_one_has_servers_and_starts_the_rest_when_asked,
);

async fn everything_is_there_and_gone_at_the_end(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1", "--witnesses", "1"]).await?;
    let ready = play.ready()?;
    ensure!(ready.servers.len() == 2 && ready.witnesses.len() == 1, "{ready:?}");
    ensure!(ready.coordinators.len() == 1 && ready.timestamps.len() == 1, "{ready:?}");
    let roles: Vec<&str> = ready.servers.iter().map(|server| server.role.as_str()).collect();
    ensure!(roles == ["source", "replica"], "{roles:?}");
    for server in &ready.servers {
        ensure!(server.agent.log.is_dir(), "{} is no folder", server.agent.log.display());
    }
    for timestamp in &ready.timestamps {
        tokio::net::TcpStream::connect(&timestamp.addr).await?;
    }
    let (source, replica) = (play.source()?, play.replicas()?.remove(0));
    ensure!(
        sql::number(&source, "SELECT @@GLOBAL.read_only").await? == 0,
        "the source is read-only"
    );
    ensure!(sql::number(&replica, "SELECT @@GLOBAL.read_only").await? == 1, "the replica is not");
    play.end().await
}

async fn restart_starts_what_was_killed_and_what_still_runs(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1", "--witnesses", "1"]).await?;
    for name in ["s2", "s2-agent", "witness-1", "coordinator-1", "timestamp-1"] {
        let before = play.pid_of(name)?;
        play.signal(name, Signal::Kill).await?;
        play.restart(name).await?;
        let between = play.pid_of(name)?;
        ensure!(between != before, "{name}: the file still has pid {before}");
        play.restart(name).await?;
        ensure!(play.pid_of(name)? != between, "{name}: one that ran was not stopped");
    }
    ensure!(play.restart("s9").await.is_err(), "there is no s9");
    play.end().await
}

async fn a_killed_playground_leaves_no_process(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let pids = play.pids()?;
    crate::support::playground::send(play.pid()?, Signal::Kill)?;
    wait::until("its children are gone", Duration::from_secs(10), async || {
        // Zombies wait for whoever inherited them.
        let runs = |pid: &&u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let left: Vec<&u32> = pids.iter().filter(runs).collect();
        ensure!(left.is_empty(), "{left:?} still run");
        Ok(())
    })
    .await
}

async fn a_bare_one_has_servers_and_starts_the_rest_when_asked(family: Family) -> Result<()> {
    let options = ["--bare", "--replicas", "1", "--server-option", "max_connections=77"];
    let play = Playground::start_with(family, &options).await?;
    for server in &play.ready()?.servers {
        let most = sql::number(server, "SELECT @@GLOBAL.max_connections").await?;
        ensure!(most == 77, "{} has max_connections = {most}", server.name);
        ensure!(server.agent.pid == 0, "the agent of {} runs", server.name);
    }
    // Nobody acknowledges, and nobody waits.
    sql::run(&play.source()?, &["CREATE DATABASE bare"]).await?;
    for name in ["timestamp-1", "coordinator-1", "s1-agent"] {
        play.restart(name).await?;
        ensure!(play.pid_of(name)? != 0, "{name} has no pid in the file");
    }
    play.end().await
}
