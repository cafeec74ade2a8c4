//! Prepared XA transactions, before a replica's server is opened as source.
//!
//! A replica keeps a prepared XA transaction as the number of its record, and applies it at its XA
//! COMMIT. That XA COMMIT comes from a client once this server is the source, so the transaction must
//! really be prepared by then: its rows are read from the log again, under its own id.
//!
//! It goes through this server's binlog, and so into the log, as a prepared transaction of the new
//! epoch: a server logs an XA COMMIT only where it has logged the XA PREPARE. The other replicas then
//! keep the newer record, which has the same rows.

use std::time::Duration;

use wal::{LogReader, Lsn};

use super::checkpoint::{self, Role};
use super::packet::{self, PacketLimit};
use super::{Error, context, feed};
use crate::config::ServerConfig;
use crate::server::{self, Family, Row, Session, quote_bytes};

const DEADLINE: Duration = Duration::from_secs(30);

/// Prepares what the checkpoint's server has parked. Gives how many it prepared.
///
/// May be cut off and called again at any point: what XA RECOVER names is prepared already, and only
/// then the note of it is deleted. The server's checkpoint must say already that it is a source, so
/// that no applier runs into the rows that these transactions lock; COMMITs are acknowledged by now.
///
/// # Errors
/// [`Error::Server`], also where the server refuses the rows; [`Error::UnknownXa`], [`Error::Log`]
/// where the log does not hold them.
pub async fn prepare_parked(reader: &LogReader, config: &ServerConfig) -> Result<usize, Error> {
    let mut session = Session::connect(config, DEADLINE).await?;
    session.without_binlog().await?;
    let mut done = 0;
    for (xid, lsn) in parked(&mut session).await? {
        if !prepared(&mut session).await?.contains(&xid) {
            prepare(reader, config, &xid, lsn).await?;
            done += 1;
        }
        let name = quote_bytes(xid.as_bytes());
        session.execute(format!("DELETE FROM plimsoll.xa_parked WHERE xid = {name}")).await?;
    }
    session.close().await;
    Ok(done)
}

/// What a server will ask of the log again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The first record that holds a prepared XA transaction of it; `None` where none is parked.
    pub prepared: Option<Lsn>,
    /// The record behind its checkpoint, where its applier begins after every restart: it may lie
    /// before what is applied, since records without changes move no checkpoint. `None` at a source.
    pub next: Option<Lsn>,
}

/// Asks the server.
///
/// # Errors
/// [`Error::Server`]; [`Error::BadRow`].
pub async fn needs(config: &ServerConfig) -> Result<Needs, Error> {
    let mut session = Session::connect(config, DEADLINE).await?;
    let tables = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'plimsoll' AND \
                  TABLE_NAME IN ('xa_parked', 'checkpoint')";
    // A server that was never a replica has no such tables.
    let mut needs = Needs::default();
    if session.value(tables).await?.is_some_and(|count| count != "0") {
        needs.prepared = parked(&mut session).await?.first().map(|(_, lsn)| *lsn);
        let checkpoint = checkpoint::read(&mut session).await?;
        let replica = checkpoint.filter(|found| found.role == Role::Replica);
        needs.next = replica.map(|found| Lsn::after(found.applied.map(|(lsn, _)| lsn)));
    }
    session.close().await;
    Ok(needs)
}

async fn parked(session: &mut Session) -> Result<Vec<(String, Lsn)>, Error> {
    let rows = session.rows("SELECT xid, lsn FROM plimsoll.xa_parked ORDER BY lsn").await?;
    rows.iter().map(parse_parked).collect()
}

fn parse_parked(row: &Row) -> Result<(String, Lsn), Error> {
    let text = |column: usize| {
        let bytes = row.get(column).cloned().flatten().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let lsn = text(1).parse().ok().and_then(Lsn::new);
    let lsn = lsn.ok_or_else(|| Error::BadRow { table: "xa_parked", found: format!("{row:?}") })?;
    Ok((text(0), lsn))
}

/// The ids of what is prepared at the server, as the log writes them.
async fn prepared(session: &mut Session) -> Result<Vec<String>, Error> {
    Ok(session.rows("XA RECOVER").await?.iter().filter_map(xid_of).collect())
}

/// From format id, length of the global and of the branch part, and both parts' bytes.
fn xid_of(row: &Row) -> Option<String> {
    let number = |column: usize| -> Option<usize> {
        std::str::from_utf8(row.get(column)?.as_deref()?).ok()?.parse().ok()
    };
    let (format, global, branch) = (number(0)?, number(1)?, number(2)?);
    let data = row.get(3)?.as_deref()?;
    let (global, branch) = data.get(..global.checked_add(branch)?)?.split_at(global);
    Some(crate::binlog::xid_text(global, branch, format as u64))
}

/// In a session of its own: the transaction stays with the server when that session ends.
async fn prepare(
    reader: &LogReader,
    config: &ServerConfig,
    xid: &str,
    lsn: Lsn,
) -> Result<(), Error> {
    let mut session = Session::connect(config, DEADLINE).await?;
    let limit = session.value("SELECT @@max_allowed_packet").await?.unwrap_or_default();
    let limit = limit.parse().map_err(|_| server::Error::Answer {
        what: "@@max_allowed_packet",
        found: limit.clone(),
    })?;
    let (reader, limit, id) = (reader.clone(), PacketLimit::new(limit), xid.to_owned());
    let read = tokio::task::spawn_blocking(move || feed::parked(&reader, lsn, &id, limit));
    let (format, changes) = read.await.map_err(|_| Error::ReaderGone)??;
    session.execute(context::ROWS).await?;
    session.execute(packet::format_statement(&format.event)).await?;
    if session.family() == Family::Mysql {
        session.execute("SET gtid_next='AUTOMATIC'").await?;
    }
    let (begin, end) = (format!("XA START {xid};"), format!("XA END {xid};XA PREPARE {xid}"));
    let checksum = !format.checksum.is_empty();
    for packet in packet::packets(&begin, changes.parts.iter(), &end, checksum, limit) {
        session.execute_unbounded(packet).await?;
    }
    session.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(parts: &[&str]) -> Row {
        parts.iter().map(|part| Some(part.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_the_server_recovers_has_the_id_of_the_log() {
        assert_eq!(xid_of(&row(&["1", "2", "0", "x1"])).unwrap(), "x'7831',x'',1");
        assert_eq!(xid_of(&row(&["77", "1", "2", "bbr"])).unwrap(), "x'62',x'6272',77");
        for bad in [&["1", "9", "0", "x1"][..], &["1", "x", "0", ""], &["1"]] {
            assert_eq!(xid_of(&row(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn a_note_without_a_record_is_an_error() {
        assert_eq!(parse_parked(&row(&["x'61',x'',1", "7"])).unwrap().1, Lsn::new(7).unwrap());
        assert!(parse_parked(&row(&["x'61',x'',1", "0"])).is_err());
    }
}
