//! Plain SQL clients: inserts from many sessions, each COMMIT timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Server};

/// What the clients do.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// First key; keys are dense from there.
    pub first: u64,
    pub sessions: u64,
    pub commits_per_session: u64,
    pub rows_per_commit: u64,
}

impl Work {
    pub fn commits(self) -> u64 {
        self.sessions * self.commits_per_session
    }

    pub fn rows(self) -> u64 {
        self.commits() * self.rows_per_commit
    }
}

/// How long COMMITs took, and all together.
#[derive(Debug)]
pub struct Timing {
    sorted: Vec<Duration>,
    pub took: Duration,
}

impl Timing {
    /// The time within which this part (0 to 1) of the COMMITs returned.
    pub fn within(&self, part: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let index = (last as f64 * part).round() as usize;
        self.sorted.get(index).copied().unwrap_or_default()
    }

    pub fn per_second(&self, number: u64) -> u64 {
        (number as f64 / self.took.as_secs_f64()).round() as u64
    }
}

/// Does the work. Any error of any COMMIT ends it.
pub async fn insert(server: &Server, work: Work, done: Option<Arc<AtomicU64>>) -> Result<Timing> {
    let mut sessions = JoinSet::new();
    let began = Instant::now();
    for session in 0..work.sessions {
        let (server, done) = (server.clone(), done.clone());
        sessions.spawn(async move { one_session(&server, work, session, done).await });
    }
    let mut sorted = Vec::new();
    while let Some(session) = sessions.join_next().await {
        sorted.extend(session.context("a session panicked")??);
    }
    let took = began.elapsed();
    sorted.sort_unstable();
    Ok(Timing { sorted, took })
}

async fn one_session(
    server: &Server,
    work: Work,
    session: u64,
    done: Option<Arc<AtomicU64>>,
) -> Result<Vec<Duration>> {
    let mut conn = Cluster::connect(server).await?;
    let mut times = Vec::new();
    for commit in 0..work.commits_per_session {
        let first =
            work.first + (session * work.commits_per_session + commit) * work.rows_per_commit;
        let rows = (first..first + work.rows_per_commit).map(|id| format!("({id}, 'row {id}')"));
        let insert = format!("INSERT INTO demo.t VALUES {}", rows.collect::<Vec<_>>().join(","));
        let began = Instant::now();
        conn.query_drop(insert).await.context("a COMMIT failed")?;
        times.push(began.elapsed());
        if let Some(done) = &done {
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    conn.disconnect().await?;
    Ok(times)
}
