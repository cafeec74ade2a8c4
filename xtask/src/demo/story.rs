//! The story itself, chapter by chapter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::load::{self, Work};
use super::screen::{Screen, count, time};
use crate::cluster::{Cluster, Family, Server};

/// Keys of single rows, apart from those of the loads.
const SINGLE: u64 = 10_000_000;
const SOON: Duration = Duration::from_secs(30);
/// How long COMMIT must be seen to wait.
const WAIT_SEEN: Duration = Duration::from_secs(3);

struct Story<'s> {
    screen: &'s mut Screen,
    cluster: Cluster,
    source: Server,
    /// Rows whose COMMIT has returned.
    rows: u64,
}

/// Tells it.
pub async fn tell(screen: &mut Screen, family: Family) -> Result<()> {
    screen.chapter("A cluster: a source, two replicas, an agent beside each");
    let began = Instant::now();
    let cluster = Cluster::start(family, &[]).await?;
    let source = cluster.source()?;
    let version = Cluster::connect(&source).await?.server_version();
    screen.say(&format!(
        "unmodified {} {}.{}.{}; usable after {}",
        family.name(),
        version.0,
        version.1,
        version.2,
        time(began.elapsed())
    ));
    for server in cluster.servers()? {
        let (name, role) = (&server.name, &server.role);
        let (at, agent) = (server.port, &server.agent.http);
        screen.say(&format!("{name}  {role:<8} 127.0.0.1:{at:<6} agent http://{agent}"));
    }
    let mut story = Story { screen, cluster, source, rows: 0 };
    story.writes().await?;
    story.one_stopped().await?;
    story.two_stopped().await?;
    story.agent_killed().await?;
    story.token_reads().await?;
    story.all_equal().await?;
    story.end().await
}

impl Story<'_> {
    async fn load(&mut self, work: Work, done: Option<Arc<AtomicU64>>) -> Result<load::Timing> {
        let timing = load::insert(&self.source, work, done).await?;
        self.rows += work.rows();
        Ok(timing)
    }

    async fn writes(&mut self) -> Result<()> {
        self.screen.chapter("50,000 rows through plain SQL");
        Cluster::run(&self.source, "CREATE DATABASE demo").await?;
        let create = "CREATE TABLE demo.t (id BIGINT PRIMARY KEY, note VARCHAR(60)) ENGINE=InnoDB";
        Cluster::run(&self.source, create).await?;
        let work = Work { first: 0, sessions: 40, commits_per_session: 250, rows_per_commit: 5 };
        let timing = self.load(work, None).await?;
        let (rows, commits) = (work.rows(), work.commits());
        self.screen.say(&format!(
            "{} rows in {} COMMITs over {} sessions: {}, {} COMMITs a second",
            count(rows),
            count(commits),
            work.sessions,
            time(timing.took),
            count(timing.per_second(commits)),
        ));
        self.screen.say(&format!(
            "COMMIT took {} (median), {} (99 of 100); each waited until two members had it on disk",
            time(timing.within(0.5)),
            time(timing.within(0.99)),
        ));
        let alone =
            Work { first: SINGLE, sessions: 1, commits_per_session: 300, rows_per_commit: 1 };
        let timing = self.load(alone, None).await?;
        let (median, late) = (time(timing.within(0.5)), time(timing.within(0.99)));
        self.screen.say(&format!("one session alone: {median} (median), {late} (99 of 100)"));
        self.who_acknowledged().await
    }

    /// Which member has flushed how far, as the coordinator knows it.
    async fn who_acknowledged(&mut self) -> Result<()> {
        let until = Instant::now() + SOON;
        let (status, holders) = loop {
            let status = self.cluster.status().await?;
            let commit = status["commit_lsn"].as_u64().unwrap_or_default();
            let members = status["members"].as_array().cloned().unwrap_or_default();
            let flushed =
                |member: &&serde_json::Value| member["flushed_lsn"].as_u64() >= Some(commit);
            let holders = members.iter().filter(flushed).count();
            if (commit > 0 && holders >= 2) || Instant::now() > until {
                break (status, holders);
            }
        };
        let rule = status["rule"].as_str().unwrap_or_default();
        let commit = status["commit_lsn"].as_u64().unwrap_or_default();
        self.screen.say(&format!(
            "epoch {}, rule {rule}, committed up to record {}",
            status["epoch"],
            count(commit)
        ));
        for member in status["members"].as_array().into_iter().flatten() {
            let number = |key: &str| member[key].as_u64().map_or("-".to_owned(), count);
            let name = member["name"].as_str().unwrap_or_default();
            let (flushed, applied) = (number("flushed_lsn"), number("applied_lsn"));
            self.screen.say(&format!("{name}  flushed to record {flushed}, applied to {applied}"));
        }
        self.screen
            .check(holders >= 2, "at least two members hold everything that was acknowledged");
        Ok(())
    }

    async fn one_stopped(&mut self) -> Result<()> {
        self.screen.chapter("One member stops (SIGSTOP): commits go on");
        self.cluster.signal_agent("s2", "STOP")?;
        let work =
            Work { first: 100_000, sessions: 20, commits_per_session: 50, rows_per_commit: 1 };
        let done = tokio::time::timeout(SOON, self.load(work, None)).await;
        let holds = matches!(done, Ok(Ok(_)));
        if let Ok(timing) = done {
            let timing = timing?;
            let (commits, median) = (count(work.commits()), time(timing.within(0.5)));
            self.screen.say(&format!("{commits} COMMITs without s2, {median} (median)"));
        }
        self.screen.check(holds, "COMMITs return with two of three members");
        Ok(())
    }

    async fn two_stopped(&mut self) -> Result<()> {
        self.screen.chapter("Two stopped: COMMIT waits, and tells nobody a lie");
        self.cluster.signal_agent("s3", "STOP")?;
        let (source, id) = (self.source.clone(), SINGLE + 1_000);
        let began = Instant::now();
        let mut commit = tokio::spawn(async move {
            Cluster::run(&source, &format!("INSERT INTO demo.t VALUES ({id}, 'waits')")).await
        });
        let early = tokio::time::timeout(WAIT_SEEN, &mut commit).await.is_ok();
        self.screen
            .check(!early, &format!("COMMIT has not returned after {}", time(began.elapsed())));
        let query = format!("SELECT COUNT(*) FROM demo.t WHERE id = {id}");
        let mut seen = 0;
        for server in self.cluster.servers()? {
            seen += Cluster::number(&server, &query).await?;
        }
        self.screen.check(seen == 0, "no server shows the row meanwhile");
        let status = self.cluster.status().await?;
        self.screen.say(&format!("the coordinator says it waits for {}", status["waiting_for"]));

        let back = Instant::now();
        self.cluster.signal_agent("s3", "CONT")?;
        let returned = tokio::time::timeout(SOON, commit).await;
        let returned = returned.is_ok_and(|joined| joined.is_ok_and(|done| done.is_ok()));
        self.screen.check(
            returned,
            &format!("s3 is back: COMMIT returned after {}", time(back.elapsed())),
        );
        self.cluster.signal_agent("s2", "CONT")?;
        self.rows += 1;
        Ok(())
    }

    async fn agent_killed(&mut self) -> Result<()> {
        self.screen.chapter("The source's agent is killed with -9 under load");
        let work =
            Work { first: 200_000, sessions: 16, commits_per_session: 250, rows_per_commit: 1 };
        let (done, source) = (Arc::new(AtomicU64::new(0)), self.source.clone());
        let counter = Arc::clone(&done);
        let load = tokio::spawn(async move { load::insert(&source, work, Some(counter)).await });
        reaches(&done, work.commits() / 4).await?;
        self.cluster.signal_agent("s1", "KILL")?;
        let killed = Instant::now();
        self.cluster.restart("s1-agent").await?;
        let held = done.load(Ordering::Relaxed);
        reaches(&done, held + 1).await?;
        let gap = time(killed.elapsed());
        let timing = tokio::time::timeout(SOON, load).await;
        let timing = timing.context("COMMITs still wait")?.context("the load panicked")?;
        let holds = timing.is_ok();
        let timing = timing?;
        self.rows += work.rows();
        self.screen.say(&format!(
            "killed after {} COMMITs; the next one returned {gap} later",
            count(held)
        ));
        let longest = time(timing.within(1.0));
        self.screen.check(
            holds,
            &format!("every COMMIT that waited has returned; the longest took {longest}"),
        );
        let status = self.cluster.status().await?;
        self.screen.say(&format!("the epoch is now {}", status["epoch"]));
        Ok(())
    }

    async fn token_reads(&mut self) -> Result<()> {
        self.screen.chapter("A write is read on a replica, by its token");
        let replicas =
            self.cluster.servers()?.into_iter().filter(|server| server.role == "replica");
        let replicas: Vec<Server> = replicas.collect();
        let (mut times, mut seen) = (Vec::new(), 0);
        let rounds = 100;
        for round in 0..rounds {
            let id = SINGLE + 2_000 + round;
            Cluster::run(&self.source, &format!("INSERT INTO demo.t VALUES ({id}, 'mine')"))
                .await?;
            self.rows += 1;
            let replica = &replicas[usize::try_from(round)? % replicas.len()];
            let token = Cluster::token(&self.source).await?;
            if round == 0 {
                self.screen.say(&format!("a token: {token}"));
            }
            let began = Instant::now();
            Cluster::applied(replica, &token, SOON).await?;
            times.push(began.elapsed());
            let query = format!("SELECT COUNT(*) FROM demo.t WHERE id = {id}");
            seen += Cluster::number(replica, &query).await?;
        }
        times.sort_unstable();
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        self.screen.say(&format!("waited {} (median), {} (longest)", time(median), time(longest)));
        let claim = format!("{seen} of {rounds} writes were there when the replica said so");
        self.screen.check(seen == rounds, &claim);
        Ok(())
    }

    async fn all_equal(&mut self) -> Result<()> {
        self.screen.chapter("All servers, row for row");
        let token = Cluster::token(&self.source).await?;
        let (mut counts, mut sums) = (Vec::new(), Vec::new());
        for server in self.cluster.servers()? {
            if server.role == "replica" {
                Cluster::applied(&server, &token, SOON).await?;
            }
            let rows = Cluster::number(&server, "SELECT COUNT(*) FROM demo.t").await?;
            let sum = Cluster::number(&server, "CHECKSUM TABLE demo.t EXTENDED").await?;
            self.screen.say(&format!("{}  {} rows, checksum {sum}", server.name, count(rows)));
            counts.push(rows);
            sums.push(sum);
        }
        let expected = self.rows;
        let claim = format!("every server has the {} rows that were acknowledged", count(expected));
        self.screen.check(counts.iter().all(|rows| *rows == expected), &claim);
        self.screen.check(sums.windows(2).all(|two| two[0] == two[1]), "all checksums are equal");
        Ok(())
    }

    async fn end(self) -> Result<()> {
        self.screen.chapter("The end");
        let clean = self.cluster.end().await?;
        self.screen.check(clean, "every process has ended, and nothing is left on the disk");
        self.screen.verdict();
        Ok(())
    }
}

async fn reaches(done: &AtomicU64, target: u64) -> Result<()> {
    let until = Instant::now() + SOON;
    while done.load(Ordering::Relaxed) < target {
        anyhow::ensure!(Instant::now() < until, "COMMITs do not go on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
