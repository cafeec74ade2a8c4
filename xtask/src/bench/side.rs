//! A side of a comparison: a source and two replicas, fresh servers with the same options, and what
//! replicates between them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;

use super::native::{self, Follow};
use super::{Bench, sysbench};
use crate::cluster::{Cluster, Server};

/// A replica that is not there by then is stuck.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(600);
/// The longest that one question to an agent may wait.
const WAIT: Duration = Duration::from_secs(50);

/// Who replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Plimsoll: COMMIT returns when two of three members have flushed it.
    Ours,
    /// Native semi-sync: COMMIT returns when a replica has *received* it.
    SemiSync,
    /// Native semi-sync with `sync_relay_log=1`: when a replica has flushed it.
    SemiSyncFlushed,
    /// Native, COMMIT waits for nobody.
    Asynchronous,
    /// No replica at all.
    Alone,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::Ours => "ours",
            Side::SemiSync => "native semi-sync",
            Side::SemiSyncFlushed => "native semi-sync, relay log flushed",
            Side::Asynchronous => "native asynchronous",
            Side::Alone => "no replica",
        }
    }

    fn follow(self, workers: Option<u32>) -> Option<Follow> {
        let (semi_sync, flush_relay_log) = match self {
            Side::Ours | Side::Alone => return None,
            Side::SemiSync => (true, false),
            Side::SemiSyncFlushed => (true, true),
            Side::Asynchronous => (false, false),
        };
        Some(Follow { semi_sync, flush_relay_log, workers })
    }

    /// Starts fresh servers and the replication. `workers`: threads of a native applier.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(self, bench: Bench, workers: Option<u32>) -> Result<Running> {
        let mut arguments = bench.server_options();
        match self {
            Side::Ours => {}
            Side::Alone => arguments.extend(["--bare", "--replicas", "0"]),
            _ => arguments.push("--bare"),
        }
        let cluster = Cluster::start(bench.family, &arguments).await?;
        let running = Running { side: self, bench, cluster };
        if let Some(how) = self.follow(workers) {
            native::follow(bench.family, &running.source()?, &running.replicas()?, how).await?;
        }
        Ok(running)
    }
}

/// A side that runs.
pub struct Running {
    side: Side,
    bench: Bench,
    cluster: Cluster,
}

impl Running {
    pub fn source(&self) -> Result<Server> {
        self.cluster.source()
    }

    pub fn replicas(&self) -> Result<Vec<Server>> {
        let servers = self.cluster.servers()?.into_iter();
        Ok(servers.filter(|server| server.role == "replica").collect())
    }

    /// Makes the schema of the load.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn create_schema(&self) -> Result<()> {
        Cluster::run(&self.source()?, &format!("CREATE DATABASE {}", sysbench::SCHEMA)).await
    }

    /// Returns when each replica has applied everything that the source has committed so far; how long
    /// the slowest took.
    ///
    /// # Errors
    /// One does not.
    pub async fn caught_up(&self) -> Result<Duration> {
        let began = Instant::now();
        let source = self.source()?;
        for replica in self.replicas()? {
            match self.side {
                Side::Ours => ours_caught_up(&source, &replica).await?,
                _ => native::caught_up(self.bench.family, &source, &replica, CATCH_UP_MAX).await?,
            }
        }
        Ok(began.elapsed())
    }

    /// Every replica has the source's rows.
    ///
    /// # Errors
    /// One has not.
    pub async fn all_equal(&self) -> Result<()> {
        let source = self.source()?;
        for replica in self.replicas()? {
            same_rows(&source, &replica, sysbench::SCHEMA).await?;
        }
        Ok(())
    }

    /// COMMITs waited for an ACK, and none went without; where they should. (The server's count of those
    /// that waited is not exact: one whose ACK comes very early does not get there.)
    ///
    /// # Errors
    /// It was not so.
    pub async fn waited(&self) -> Result<()> {
        if matches!(self.side, Side::Alone | Side::Asynchronous) {
            return Ok(());
        }
        let (yes, no) = native::acknowledged(self.bench.family, &self.source()?).await?;
        let name = self.side.name();
        ensure!(yes > 0, "{name}: no COMMIT waited for an acknowledgement");
        ensure!(no == 0, "{name}: {no} COMMITs went without an acknowledgement");
        Ok(())
    }

    /// Ends everything.
    ///
    /// # Errors
    /// Something is left.
    pub async fn end(self) -> Result<()> {
        ensure!(self.cluster.end().await?, "{}: something is left", self.side.name());
        Ok(())
    }
}

/// Returns when the replica has applied everything that was acknowledged before this was called.
pub async fn ours_caught_up(source: &Server, replica: &Server) -> Result<()> {
    let token = Cluster::token(source).await?;
    let until = Instant::now() + CATCH_UP_MAX;
    loop {
        match Cluster::applied(replica, &token, WAIT).await {
            Err(error) if Instant::now() > until => {
                return Err(error).with_context(|| format!("{} catches up", replica.name));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Both have the same tables in the schema, with the same checksums.
///
/// # Errors
/// They have not; names the table.
pub async fn same_rows(source: &Server, replica: &Server, schema: &str) -> Result<()> {
    let (ours, theirs) = (checksums(source, schema).await?, checksums(replica, schema).await?);
    ensure!(!ours.is_empty(), "{} has no table in {schema}", source.name);
    ensure!(ours == theirs, "{} has {theirs:?}, the source {ours:?}", replica.name);
    Ok(())
}

async fn checksums(server: &Server, schema: &str) -> Result<Vec<(String, Option<u64>)>> {
    let mut conn = Cluster::connect(server).await?;
    let tables: Vec<String> = conn
        .query(format!(
            "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables \
             WHERE table_schema = '{schema}' ORDER BY 1"
        ))
        .await?;
    let mut sums = Vec::new();
    for table in tables {
        let sum: Option<(String, Option<u64>)> =
            conn.query_first(format!("CHECKSUM TABLE {table} EXTENDED")).await?;
        sums.push(sum.with_context(|| format!("no checksum of {table}"))?);
    }
    conn.disconnect().await?;
    Ok(sums)
}
