//! Opening the source's snapshot, and proving which transactions it shows.
//!
//! MariaDB says it itself: the snapshot's own place in the binlog. MySQL does not. There the agent
//! stops acknowledging for some milliseconds: behind the last ACK nothing becomes visible
//! (AFTER_SYNC), and once the server has executed the last acknowledged GTID, nothing else can.

use std::time::Duration;

use wal::{BinlogPosition, Gtid};

use super::Error;
use super::place::Place;
use crate::server::{self, Family, Session, quote};

/// For how long at most COMMITs are held up so that MySQL comes to rest.
const REST_MAX: Duration = Duration::from_millis(30);
const LOOK: Duration = Duration::from_millis(1);

const OPEN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// Opens a snapshot, wherever it stands; ends one that was open.
///
/// # Errors
/// The server's.
pub async fn open(session: &mut Session) -> Result<(), Error> {
    session.execute("ROLLBACK").await?;
    session.execute(OPEN).await?;
    Ok(())
}

/// Opens a snapshot on MariaDB, and gives its place in the binlog: everything that ends at or before
/// it is shown, and nothing else.
///
/// # Errors
/// [`Error::Answer`] where the server writes no binlog; the server's.
pub async fn open_mariadb(session: &mut Session) -> Result<BinlogPosition, Error> {
    open(session).await?;
    let rows = session.rows("SHOW STATUS LIKE 'Binlog\\_snapshot\\_%'").await?;
    let value = |name: &str| {
        let text = |bytes: &Option<Vec<u8>>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        let row = rows.iter().find(|row| row.first().map(text).as_deref() == Some(name))?;
        row.get(1).map(text)
    };
    let file = value("Binlog_snapshot_file").filter(|file| !file.is_empty());
    let offset = value("Binlog_snapshot_position").and_then(|offset| offset.parse().ok());
    match (file, offset) {
        (Some(file), Some(offset)) => Ok(BinlogPosition::new(file, offset)),
        _ => Err(Error::Answer("Binlog_snapshot_position")),
    }
}

/// Whether no transaction lies between the log's last one and the snapshot's place: they are the same
/// place, or MariaDB's GTID state is the same at both (a new file, and nothing in it yet).
///
/// # Errors
/// The server's.
pub async fn nothing_between(
    session: &mut Session,
    found: &Place,
    snapshot: &BinlogPosition,
) -> Result<bool, Error> {
    if found.end == *snapshot || found.next.is_some() {
        return Ok(true);
    }
    let at = |place: &BinlogPosition| {
        format!("BINLOG_GTID_POS({},{})", quote(&place.file), place.offset)
    };
    let same = format!("SELECT {}={}", at(&found.end), at(snapshot));
    Ok(session.value(same).await?.as_deref() == Some("1"))
}

/// Whether this server can be brought to rest so that a snapshot's place is known.
///
/// # Errors
/// [`Error::NoGtids`]; the server's.
pub async fn check_mysql(session: &mut Session) -> Result<(), Error> {
    if session.family() != Family::Mysql {
        return Ok(());
    }
    let gtid_mode = session.value("SELECT @@GLOBAL.gtid_mode").await?.unwrap_or_default();
    let ordered = session.value("SELECT @@GLOBAL.binlog_order_commits").await?.unwrap_or_default();
    if gtid_mode != "ON" || ordered != "1" {
        return Err(Error::NoGtids { gtid_mode, ordered });
    }
    Ok(())
}

/// Opens a snapshot on MySQL while no ACK is given, `last` being the last transaction that was
/// acknowledged. `false` where the server did not come to rest: the ACK may have ended inside a
/// group, which then waits for the next one.
///
/// # Errors
/// The server's.
pub async fn open_mysql(session: &mut Session, last: Option<&Gtid>) -> Result<bool, Error> {
    session.execute("ROLLBACK").await?;
    let alone = server::semi_sync(session).await?;
    if !alone.is_some_and(|now| now.enabled && now.active && now.clients == 1) {
        return Ok(false);
    }
    let Some(before) = at_rest(session, last).await? else { return Ok(false) };
    session.execute(OPEN).await?;
    Ok(session.value(EXECUTED).await?.as_deref() == Some(before.as_str()))
}

const EXECUTED: &str = "SELECT @@GLOBAL.gtid_executed";

/// Waits until the server has executed `last`; gives what it has executed then.
async fn at_rest(session: &mut Session, last: Option<&Gtid>) -> Result<Option<String>, Error> {
    let until = tokio::time::Instant::now() + REST_MAX;
    loop {
        let has = match last {
            Some(last) => {
                let last = quote(&last.to_string());
                let sql = format!("SELECT GTID_SUBSET({last},@@GLOBAL.gtid_executed)");
                session.value(sql).await?.as_deref() == Some("1")
            }
            None => true,
        };
        if has {
            return Ok(session.value(EXECUTED).await?);
        }
        if tokio::time::Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}
