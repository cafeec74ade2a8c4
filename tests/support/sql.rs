//! SQL sessions at a server of the playground.

use std::time::Duration;

use anyhow::{Context, Result};
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, OptsBuilder};

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
