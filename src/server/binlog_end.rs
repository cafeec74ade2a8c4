//! Where a server's binlog begins and ends.

use wal::BinlogPosition;

use super::session::text;
use super::{Error, Family, Row, Session};

/// Syntax error: the server does not know this spelling.
const SYNTAX: u16 = 1064;

/// The end of the binlog now: what is written so far, also transactions that still wait.
///
/// # Errors
/// [`Error::NoBinlog`]; [`Error::Privilege`]; as [`Session::rows`].
pub async fn binlog_end(session: &mut Session) -> Result<BinlogPosition, Error> {
    let row = status(session).await?;
    if row.is_empty() {
        return Err(Error::NoBinlog);
    }
    let offset = text(&row, 1);
    let offset = offset
        .parse()
        .map_err(|_| Error::Answer { what: "the binlog's status", found: offset.clone() })?;
    Ok(BinlogPosition::new(text(&row, 0), offset))
}

/// The status row: file, offset, … MySQL renamed the statement; MariaDB keeps the old spelling.
async fn status(session: &mut Session) -> Result<Row, Error> {
    let spellings: &[&str] = match session.family() {
        Family::Mysql => &["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"],
        Family::Mariadb => &["SHOW MASTER STATUS", "SHOW BINLOG STATUS"],
    };
    let mut refused = Error::NoBinlog;
    for spelling in spellings {
        match session.row(spelling).await {
            Err(error) if error.number() == Some(SYNTAX) => refused = error,
            done => return done.map_err(|error| error.or_privilege(WHAT, PRIVILEGES)),
        }
    }
    Err(refused)
}

const WHAT: &str = "ask for the binlog's end";
const PRIVILEGES: &str = "REPLICATION CLIENT (MariaDB: BINLOG MONITOR)";

/// The oldest binlog file that the server still has.
///
/// # Errors
/// [`Error::NoBinlog`]; [`Error::Privilege`]; as [`Session::rows`].
pub async fn first_binlog_file(session: &mut Session) -> Result<String, Error> {
    match session.row("SHOW BINARY LOGS").await {
        Ok(row) if row.is_empty() => Err(Error::NoBinlog),
        Ok(row) => Ok(text(&row, 0)),
        // 1381: the server was not started with binary logging.
        Err(error) if error.number() == Some(1381) => Err(Error::NoBinlog),
        Err(error) => Err(error.or_privilege(WHAT, PRIVILEGES)),
    }
}

/// What the server has executed, as text: MySQL's `gtid_executed`, MariaDB's `gtid_binlog_pos`.
/// Empty on MySQL with GTIDs off.
///
/// # Errors
/// As [`Session::rows`].
pub async fn executed_gtids(session: &mut Session) -> Result<String, Error> {
    let sql = match session.family() {
        Family::Mysql => "SELECT @@GLOBAL.gtid_executed",
        Family::Mariadb => "SELECT @@GLOBAL.gtid_binlog_pos",
    };
    let found = session.value(sql).await?.unwrap_or_default();
    Ok(found.chars().filter(|letter| !letter.is_whitespace()).collect())
}
