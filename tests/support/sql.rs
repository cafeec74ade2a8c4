//! SQL sessions at a server of the playground.

use std::time::Duration;

use anyhow::{Context, Result};
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, OptsBuilder};

use super::Family;
use super::playground::Server;

/// A login that takes longer is none.
const LOGIN_MAX: Duration = Duration::from_secs(10);

/// Logs in as the playground's user.
pub async fn connect(server: &Server) -> Result<Conn> {
    let options = OptsBuilder::default()
        .ip_or_hostname(server.host.clone())
        .tcp_port(server.port)
        .prefer_socket(false)
        .user(Some(server.user.clone()))
        .pass(Some(server.password.clone()))
        .max_allowed_packet(Some(64 << 20));
    let conn = tokio::time::timeout(LOGIN_MAX, Conn::new(options)).await;
    let conn = conn.with_context(|| format!("log in at {}: no answer", server.name))?;
    conn.with_context(|| format!("log in at {}", server.name))
}

/// Runs statements one after another on a session of their own.
pub async fn run(server: &Server, statements: &[&str]) -> Result<()> {
    let mut conn = connect(server).await?;
    for statement in statements {
        let start: String = statement.chars().take(200).collect();
        conn.query_drop(*statement).await.with_context(|| format!("{}: {start}", server.name))?;
    }
    Ok(conn.disconnect().await?)
}

/// All rows of a query on a session of its own.
pub async fn rows<T: FromRow + Send + 'static>(server: &Server, query: &str) -> Result<Vec<T>> {
    let mut conn = connect(server).await?;
    let rows = conn.query(query).await.with_context(|| format!("{}: {query}", server.name))?;
    conn.disconnect().await?;
    Ok(rows)
}

/// The single number that a query gives.
pub async fn number(server: &Server, query: &str) -> Result<u64> {
    let rows: Vec<u64> = rows(server, query).await?;
    rows.first().copied().with_context(|| format!("{query}: no row"))
}

/// Lets COMMITs return without anybody's ACK, those that wait now too: for servers whose agent is dead.
pub async fn unprotect(server: &Server, family: Family) -> Result<()> {
    let off = match family {
        Family::Mariadb => "SET GLOBAL rpl_semi_sync_master_enabled = 0",
        Family::Mysql => "SET GLOBAL rpl_semi_sync_source_enabled = 0",
    };
    run(server, &[off]).await
}

/// The binlog's end, `FILE:POS`.
pub async fn binlog_end(server: &Server, family: Family) -> Result<String> {
    let show = match family {
        Family::Mariadb => "SHOW MASTER STATUS",
        Family::Mysql => "SHOW BINARY LOG STATUS",
    };
    let row: mysql_async::Row = rows(server, show).await?.pop().context("no binlog")?;
    let file: String = row.get(0).context("no file")?;
    let offset: u64 = row.get(1).context("no offset")?;
    Ok(format!("{file}:{offset}"))
}

/// All transactions that the binlog names, as a GTID set without blanks.
pub async fn gtids(server: &Server, family: Family) -> Result<String> {
    let query = match family {
        Family::Mariadb => "SELECT @@global.gtid_binlog_pos",
        Family::Mysql => "SELECT @@global.gtid_executed",
    };
    let text: String = rows(server, query).await?.pop().context("no GTIDs")?;
    Ok(text.split_whitespace().collect())
}
