//! One SQL session, kept open.

use std::future::Future;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts, Value};

use super::{Error, Family};
use crate::config::{ServerConfig, TlsMode};

/// A row as the server's text protocol gives it: bytes, or NULL.
pub type Row = Vec<Option<Vec<u8>>>;

/// Too many connections.
const TOO_MANY_CONNECTIONS: u16 = 1040;
/// Access denied; the account's plugin is unknown; the account is locked; the password expired.
const LOGIN_REFUSED: [u16; 5] = [1045, 1524, 1698, 3118, 1862];
/// A dead peer is noticed although nothing is sent.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A logged-in session. One statement (or one packet of statements) at a time.
///
/// After [`Error::Lost`] or [`Error::Deadline`] it is of no more use.
#[derive(Debug)]
pub struct Session {
    conn: Conn,
    family: Family,
    version: String,
    id: u32,
    deadline: Duration,
}

impl Session {
    /// Logs in, within `deadline`; tries `fallback_port` where the main port has no connection left.
    /// Later statements get the same deadline each, except those of [`Session::execute_unbounded`].
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Login`], [`Error::Full`], [`Error::Deadline`].
    pub async fn connect(config: &ServerConfig, deadline: Duration) -> Result<Session, Error> {
        match Session::connect_to(config, config.port, deadline).await {
            Err(full @ Error::Full { .. }) => match config.fallback_port {
                Some(port) => Session::connect_to(config, port, deadline).await,
                None => Err(full),
            },
            done => done,
        }
    }

    async fn connect_to(
        config: &ServerConfig,
        port: u16,
        deadline: Duration,
    ) -> Result<Session, Error> {
        let what = || format!("a login at {}:{port}", config.host);
        let conn = within(deadline, what, async {
            Conn::new(options(config, port)).await.map_err(|e| connect_error(config, port, e))
        })
        .await?;
        let id = conn.id();
        let mut session =
            Session { conn, family: Family::Mysql, version: String::new(), id, deadline };
        let row = session.row("SELECT @@version, @@version_comment").await?;
        session.version = text(&row, 0);
        session.family = Family::detect(&session.version, &text(&row, 1));
        Ok(session)
    }

    /// The server's family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The server's `@@version`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The server's number for this session.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Asks whether the server still answers.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Deadline`].
    pub async fn ping(&mut self) -> Result<(), Error> {
        let ping = async { self.conn.ping().await.map_err(Error::from_driver) };
        within(self.deadline, || "a ping".to_owned(), ping).await
    }

    /// Runs one or more statements (`;` between them; any bytes, not only UTF-8) in one round trip.
    /// Gives the affected rows of each. The statements after a failing one are not run.
    ///
    /// # Errors
    /// [`Error::Server`] with the server's words; [`Error::Lost`]; [`Error::Deadline`].
    pub async fn execute(&mut self, sql: impl AsRef<[u8]>) -> Result<Vec<u64>, Error> {
        let sql = sql.as_ref();
        let deadline = self.deadline;
        within(deadline, || brief(sql), run(&mut self.conn, sql)).await
    }

    /// The same without a deadline, for what may rightly take hours (DDL, a large transaction).
    ///
    /// # Errors
    /// As [`Session::execute`], without [`Error::Deadline`].
    pub async fn execute_unbounded(&mut self, sql: impl AsRef<[u8]>) -> Result<Vec<u64>, Error> {
        run(&mut self.conn, sql.as_ref()).await
    }

    /// Runs one query and gives its rows, all in memory: for small answers.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn rows(&mut self, sql: impl AsRef<[u8]>) -> Result<Vec<Row>, Error> {
        let sql = sql.as_ref();
        let deadline = self.deadline;
        let query = async {
            let mut result = self.conn.query_iter(sql).await.map_err(Error::from_driver)?;
            let rows: Vec<mysql_async::Row> = result.collect().await.map_err(Error::from_driver)?;
            result.drop_result().await.map_err(Error::from_driver)?;
            Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(bytes).collect()).collect())
        };
        within(deadline, || brief(sql), query).await
    }

    /// The first row; empty where there is none.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn row(&mut self, sql: impl AsRef<[u8]>) -> Result<Row, Error> {
        Ok(self.rows(sql).await?.into_iter().next().unwrap_or_default())
    }

    /// The first column of the first row as text; `None` where there is no row, or NULL.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn value(&mut self, sql: impl AsRef<[u8]>) -> Result<Option<String>, Error> {
        let first = self.row(sql).await?.into_iter().next().flatten();
        Ok(first.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Switches this session's own binlog off: what the agent does itself is nobody's transaction.
    ///
    /// # Errors
    /// [`Error::Privilege`] names what to grant.
    pub async fn without_binlog(&mut self) -> Result<(), Error> {
        let done = self.execute("SET SESSION sql_log_bin=0").await;
        done.map(drop).map_err(|error| {
            error.or_privilege("switch its session's binlog off", "SUPER (or BINLOG ADMIN)")
        })
    }

    /// Says goodbye. Dropping the session does the same in the background.
    pub async fn close(self) {
        // A server that is gone needs no goodbye.
        let _ = tokio::time::timeout(self.deadline, self.conn.disconnect()).await;
    }
}

fn options(config: &ServerConfig, port: u16) -> OptsBuilder {
    let builder = OptsBuilder::default()
        .ip_or_hostname(config.host.clone())
        .tcp_port(port)
        .user(Some(config.user.clone()))
        .pass(Some(config.password.reveal().to_owned()))
        .prefer_socket(false)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(KEEPALIVE))
        .stmt_cache_size(0);
    match &config.tls {
        TlsMode::Disabled => builder,
        TlsMode::VerifyCa { ca } => {
            builder.ssl_opts(tls(ca).with_danger_skip_domain_validation(true))
        }
        TlsMode::VerifyFull { ca } => builder.ssl_opts(tls(ca)),
    }
}

fn tls(ca: &std::path::Path) -> SslOpts {
    SslOpts::default()
        .with_root_certs(vec![ca.to_path_buf().into()])
        .with_disable_built_in_roots(true)
}

fn connect_error(config: &ServerConfig, port: u16, source: mysql_async::Error) -> Error {
    let host = config.host.clone();
    match source {
        mysql_async::Error::Server(error) if error.code == TOO_MANY_CONNECTIONS => {
            Error::Full { host, port, message: error.message }
        }
        mysql_async::Error::Server(error) if LOGIN_REFUSED.contains(&error.code) => {
            Error::Login { host, port, user: config.user.clone(), message: error.message }
        }
        source => Error::Connect { host, port, source: Box::new(source) },
    }
}

async fn within<T>(
    deadline: Duration,
    what: impl FnOnce() -> String,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(deadline, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::Deadline { what: what(), waited: deadline }),
    }
}

async fn run(conn: &mut Conn, sql: &[u8]) -> Result<Vec<u64>, Error> {
    let mut result = conn.query_iter(sql).await.map_err(Error::from_driver)?;
    let mut affected = Vec::new();
    loop {
        // The driver stands on a result whose rows, if any, are not read yet; "empty" means that it
        // has none and is the last.
        affected.push(result.affected_rows());
        if result.is_empty() {
            return Ok(affected);
        }
        let _: Vec<mysql_async::Row> = result.collect().await.map_err(Error::from_driver)?;
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        // The text protocol gives nothing else; should it, its SQL text is what was meant.
        other => Some(other.as_sql(true).into_bytes()),
    }
}

/// A column as text; empty where there is none, or NULL.
pub fn text(row: &Row, column: usize) -> String {
    match row.get(column) {
        Some(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

/// The beginning of a statement, for an error's text.
fn brief(sql: &[u8]) -> String {
    let head = &sql[..sql.len().min(60)];
    String::from_utf8_lossy(head).into_owned()
}

/// A string literal that means the same under every `sql_mode` (also NO_BACKSLASH_ESCAPES) and
/// character set: hexadecimal, as binary.
pub fn quote_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "''".to_owned();
    }
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("X'");
    for byte in bytes {
        text.push_str(&format!("{byte:02X}"));
    }
    text.push('\'');
    text
}

/// A string literal of our own ASCII words; anything else goes through [`quote_bytes`] as utf8mb4.
pub fn quote(text: &str) -> String {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\'' && byte != b'\\') {
        format!("'{text}'")
    } else {
        format!("_utf8mb4 {}", quote_bytes(text.as_bytes()))
    }
}

/// An identifier in backquotes.
pub fn quote_name(name: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    quoted.push(b'`');
    for &byte in name {
        if byte == b'`' {
            quoted.push(b'`');
        }
        quoted.push(byte);
    }
    quoted.push(b'`');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_survive_every_sql_mode() {
        assert_eq!(quote("bin.000001"), "'bin.000001'");
        assert_eq!(quote("it's"), "_utf8mb4 X'69742773'");
        assert_eq!(quote("a\\b"), "_utf8mb4 X'615C62'");
        assert_eq!(quote_bytes(&[0, 255]), "X'00FF'");
        assert_eq!(quote_bytes(&[]), "''");
        assert_eq!(quote_name(b"a`b"), b"`a``b`");
    }
}
