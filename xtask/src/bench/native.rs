//! The peer: the server's own replication, set up by SQL as its manual says.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mysql_async::Row;
use mysql_async::prelude::Queryable;

use crate::cluster::{Cluster, Family, Server};

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The schema of our agents at a server.
const OURS: &str = "plimsoll";
const ATTACH_MAX: Duration = Duration::from_secs(60);

/// How a replica follows.
#[derive(Debug, Clone, Copy)]
pub struct Follow {
    /// It acknowledges, and COMMIT at the source waits for one such replica.
    pub semi_sync: bool,
    /// It flushes its relay log before it acknowledges: as durable as ours. Else as shipped.
    pub flush_relay_log: bool,
    /// Threads that apply, in parallel; as shipped (MariaDB 1, MySQL 4) if not given.
    pub workers: Option<u32>,
}

/// Has the replicas follow the source from its binlog's first transaction on, and returns when they do.
///
/// # Errors
/// A server refuses, or a setting was not taken.
pub async fn follow(
    family: Family,
    source: &Server,
    replicas: &[Server],
    how: Follow,
) -> Result<()> {
    if how.semi_sync {
        statements(source, &acknowledged_source(family)).await?;
    }
    for replica in replicas {
        configure(family, source, replica, how).await?;
        start(family, replica).await?;
    }
    if how.semi_sync {
        attached(family, source, replicas.len()).await?;
    }
    Ok(())
}

/// Tells the replica whom to follow and how; it does not start yet.
///
/// # Errors
/// The server refuses, or a setting was not taken.
pub async fn configure(
    family: Family,
    source: &Server,
    replica: &Server,
    how: Follow,
) -> Result<()> {
    statements(replica, &settings(family, how)).await?;
    statements(replica, &[change_source(family, source)]).await?;
    let flushes = Cluster::number(replica, "SELECT @@GLOBAL.sync_relay_log").await?;
    let name = &replica.name;
    ensure!((flushes == 1) == how.flush_relay_log, "{name} has sync_relay_log = {flushes}");
    Ok(())
}

/// Starts the replica's threads.
///
/// # Errors
/// The server refuses.
pub async fn start(family: Family, replica: &Server) -> Result<()> {
    let start = match family {
        Family::Mariadb => "START SLAVE",
        Family::Mysql => "START REPLICA",
    };
    Cluster::run(replica, start).await
}

/// Returns when the replica has applied what the source has in its binlog now.
///
/// # Errors
/// It has not within that time.
pub async fn caught_up(
    family: Family,
    source: &Server,
    replica: &Server,
    within: Duration,
) -> Result<()> {
    let (end, wait) = match family {
        Family::Mariadb => ("SELECT @@GLOBAL.gtid_binlog_pos", "MASTER_GTID_WAIT"),
        Family::Mysql => ("SELECT @@GLOBAL.gtid_executed", "WAIT_FOR_EXECUTED_GTID_SET"),
    };
    let end = Cluster::text(source, end).await?.replace('\n', "");
    let seconds = within.as_secs();
    let mut conn = Cluster::connect(replica).await?;
    let waited: Option<Option<i64>> =
        conn.query_first(format!("SELECT {wait}('{end}', {seconds})")).await?;
    if waited != Some(Some(0)) {
        let status = match family {
            Family::Mariadb => "SHOW SLAVE STATUS",
            Family::Mysql => "SHOW REPLICA STATUS",
        };
        let status: Option<Row> = conn.query_first(status).await?;
        let errors = status.map(|row| errors(&row)).unwrap_or_default();
        bail!("{} did not reach {end} within {seconds} s {errors}", replica.name);
    }
    Ok(conn.disconnect().await?)
}

/// Empties a replica, whoever followed there, as if nothing had ever been applied.
///
/// # Errors
/// The server refuses.
pub async fn forget(family: Family, replica: &Server, schema: &str) -> Result<()> {
    let mut all = vec!["SET sql_log_bin=0".to_owned()];
    all.extend(
        match family {
            Family::Mariadb => ["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL gtid_slave_pos=''"],
            Family::Mysql => ["STOP REPLICA", "RESET REPLICA ALL", "RESET BINARY LOGS AND GTIDS"],
        }
        .map(str::to_owned),
    );
    for schema in [schema, OURS] {
        all.push(format!("DROP DATABASE IF EXISTS {schema}"));
    }
    statements(replica, &all).await
}

/// Removes what our agent keeps at a source.
///
/// # Errors
/// The server refuses.
pub async fn forget_ours(source: &Server) -> Result<()> {
    let drop = format!("DROP DATABASE IF EXISTS {OURS}");
    statements(source, &["SET sql_log_bin=0".to_owned(), drop]).await
}

/// Whether COMMIT flushes binlog and redo log: not while a binlog is made, which is no part of the
/// figures; always while something is measured.
///
/// # Errors
/// The server refuses.
pub async fn flush_commits(server: &Server, flush: bool) -> Result<()> {
    let (binlog, redo) = if flush { (1, 1) } else { (0, 2) };
    let redo = format!("SET GLOBAL innodb_flush_log_at_trx_commit={redo}");
    statements(server, &[format!("SET GLOBAL sync_binlog={binlog}"), redo]).await
}

/// File and offset of the binlog's end.
///
/// # Errors
/// The server has no binlog.
pub async fn binlog_end(family: Family, source: &Server) -> Result<(String, u64)> {
    let ask = match family {
        Family::Mariadb => "SHOW MASTER STATUS",
        Family::Mysql => "SHOW BINARY LOG STATUS",
    };
    let mut conn = Cluster::connect(source).await?;
    let row: Option<Row> = conn.query_first(ask).await?;
    conn.disconnect().await?;
    let row = row.with_context(|| format!("{ask}: no row"))?;
    let file = row.get(0).context("no file")?;
    Ok((file, row.get(1).context("no offset")?))
}

/// COMMITs that were acknowledged, and that were not, since the source was started.
///
/// # Errors
/// The server has no semi-sync.
pub async fn acknowledged(family: Family, source: &Server) -> Result<(u64, u64)> {
    let status = |what: &str| format!("SHOW GLOBAL STATUS LIKE '{}_{what}'", status_prefix(family));
    Ok((
        Cluster::number(source, &status("yes_tx")).await?,
        Cluster::number(source, &status("no_tx")).await?,
    ))
}

fn status_prefix(family: Family) -> &'static str {
    match family {
        Family::Mariadb => "Rpl_semi_sync_master",
        Family::Mysql => "Rpl_semi_sync_source",
    }
}

/// Every acknowledging replica is there: from now on COMMIT waits for one of them.
async fn attached(family: Family, source: &Server, replicas: usize) -> Result<()> {
    let clients = format!("SHOW GLOBAL STATUS LIKE '{}_clients'", status_prefix(family));
    let until = Instant::now() + ATTACH_MAX;
    loop {
        let found = Cluster::number(source, &clients).await?;
        if usize::try_from(found)? == replicas {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{found} of {replicas} replicas acknowledge");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The same demands as ours: AFTER_SYNC, and never a fall-back to asynchronous.
fn acknowledged_source(family: Family) -> Vec<String> {
    let (name, alone) = match family {
        Family::Mariadb => ("rpl_semi_sync_master", "no_slave"),
        Family::Mysql => ("rpl_semi_sync_source", "no_replica"),
    };
    let mut all = Vec::new();
    if family == Family::Mysql {
        all.push("SET sql_log_bin=0".to_owned());
        all.push("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'".to_owned());
    }
    all.push(format!("SET GLOBAL {name}_timeout=4294967295"));
    all.push(format!("SET GLOBAL {name}_wait_point=AFTER_SYNC"));
    all.push(format!("SET GLOBAL {name}_wait_{alone}=1"));
    all.push(format!("SET GLOBAL {name}_enabled=1"));
    all
}

fn settings(family: Family, how: Follow) -> Vec<String> {
    let mut all = vec!["SET sql_log_bin=0".to_owned()];
    let (semi_sync, workers) = match family {
        Family::Mariadb => ("rpl_semi_sync_slave_enabled", "slave_parallel_threads"),
        Family::Mysql => ("rpl_semi_sync_replica_enabled", "replica_parallel_workers"),
    };
    if how.semi_sync {
        if family == Family::Mysql {
            let plugin = "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'";
            all.push(plugin.to_owned());
        }
        all.push(format!("SET GLOBAL {semi_sync}=1"));
    }
    if how.flush_relay_log {
        all.push("SET GLOBAL sync_relay_log=1".to_owned());
    }
    if let Some(number) = how.workers {
        all.push(format!("SET GLOBAL {workers}={number}"));
        // Their own defaults, named because the figures hang on them.
        all.push(match family {
            Family::Mariadb => "SET GLOBAL slave_parallel_mode=optimistic".to_owned(),
            Family::Mysql => "SET GLOBAL replica_preserve_commit_order=1".to_owned(),
        });
    }
    all
}

/// Positions by GTID: the one that survives a crash in the same transaction as the rows, as ours does.
fn change_source(family: Family, source: &Server) -> String {
    let Server { host, port, user, password, .. } = source;
    match family {
        Family::Mariadb => format!(
            "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USER='{user}', \
             MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"
        ),
        Family::Mysql => format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', SOURCE_PORT={port}, \
             SOURCE_USER='{user}', SOURCE_PASSWORD='{password}', SOURCE_AUTO_POSITION=1, \
             GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1"
        ),
    }
}

/// One after another, in one session.
async fn statements(server: &Server, all: &[String]) -> Result<()> {
    let mut conn = Cluster::connect(server).await?;
    for statement in all {
        let done = conn.query_drop(statement).await;
        done.with_context(|| format!("{}: {statement}", server.name))?;
    }
    Ok(conn.disconnect().await?)
}

/// What a replica's status says went wrong.
fn errors(row: &Row) -> String {
    let columns = row.columns_ref().iter().enumerate();
    let errors = columns.filter(|(_, column)| column.name_str().ends_with("_Error"));
    let texts = errors.filter_map(|(index, _)| row.get_opt::<String, usize>(index)?.ok());
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}
