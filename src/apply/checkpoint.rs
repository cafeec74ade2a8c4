//! The row that says where this server stands (I8).

use wal::{BinlogPosition, ClusterId, Epoch, Gtid, Lsn, Timestamp};

use super::Error;
use super::schedule::Mark;
use crate::cluster::MemberName;
use crate::server::{Row, Session, quote};

/// What the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It applies: everything up to `applied` is in it, and nothing after.
    Replica,
    /// It was opened as source of this epoch, at this place of its own binlog.
    Source {
        /// The reign; `None` if the row does not say.
        epoch: Option<Epoch>,
        /// P0.
        position: BinlogPosition,
    },
}

/// `plimsoll.checkpoint`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// What the server is.
    pub role: Role,
    /// Whose log.
    pub cluster: String,
    /// The last applied record and its timestamp; `None` before the first.
    pub applied: Option<(Lsn, Timestamp)>,
}

/// Where the last applied transaction stood at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub gtid: Option<Gtid>,
    /// Its end.
    pub end: BinlogPosition,
}

const COLUMNS: &str = "role, cluster, epoch, lsn, stamp, source_file, source_offset";

/// Reads the row; `None` if there is none yet.
///
/// # Errors
/// [`Error::BadRow`]; [`Error::Server`].
pub async fn read(session: &mut Session) -> Result<Option<Checkpoint>, Error> {
    let rows =
        session.rows(format!("SELECT {COLUMNS} FROM plimsoll.checkpoint WHERE id = 1")).await?;
    rows.first().map(parse).transpose()
}

fn parse(row: &Row) -> Result<Checkpoint, Error> {
    let text = |column: usize| {
        let bytes = row.get(column).and_then(Option::as_ref)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let bad = || Error::BadRow { table: "checkpoint", found: format!("{row:?}") };
    let number =
        |column: usize| text(column).map(|text| text.parse::<u64>().map_err(|_| bad())).transpose();
    let epoch = number(2)?.and_then(|epoch| Epoch::new(u32::try_from(epoch).ok()?));
    let role = match text(0).as_deref() {
        Some("replica") => Role::Replica,
        Some("source") => {
            let position =
                BinlogPosition::new(text(5).unwrap_or_default(), number(6)?.unwrap_or(0));
            Role::Source { epoch, position }
        }
        _ => return Err(bad()),
    };
    let applied = match (number(3)?, number(4)?) {
        (None, None) => None,
        (Some(lsn), Some(stamp)) => {
            let lsn = Lsn::new(lsn).ok_or_else(bad)?;
            Some((lsn, Timestamp::from_bits(stamp).ok_or_else(bad)?))
        }
        _ => return Err(bad()),
    };
    Ok(Checkpoint { role, cluster: text(1).unwrap_or_default(), applied })
}

/// The statement that moves the checkpoint, for the transaction of the rows that it covers.
pub fn advance(mark: &Mark, format: Lsn, origin: Option<&Origin>) -> String {
    let mut sql = format!(
        "UPDATE plimsoll.checkpoint SET role='replica',epoch={},lsn={},stamp={},format_lsn={format}",
        mark.epoch,
        mark.lsn,
        mark.timestamp.bits()
    );
    if let Some(Origin { gtid, end }) = origin {
        let gtid = gtid.as_ref().map_or("NULL".to_owned(), |gtid| quote(&gtid.to_string()));
        sql.push_str(&format!(
            ",gtid={gtid},source_file={},source_offset={}",
            quote(&end.file),
            end.offset
        ));
    }
    sql.push_str(" WHERE id=1");
    sql
}

/// Writes the row anew: a replica that stands at `applied` (adoption, or a first start).
///
/// # Errors
/// [`Error::Server`].
pub async fn place(
    session: &mut Session,
    cluster: ClusterId,
    member: &MemberName,
    applied: Option<(Lsn, Timestamp)>,
) -> Result<(), Error> {
    session.without_binlog().await?;
    let (lsn, stamp) = match applied {
        None => ("NULL".to_owned(), "NULL".to_owned()),
        Some((lsn, timestamp)) => (lsn.to_string(), timestamp.bits().to_string()),
    };
    let sql = format!(
        "BEGIN; DELETE FROM plimsoll.intent; DELETE FROM plimsoll.checkpoint; \
         INSERT INTO plimsoll.checkpoint (id, role, cluster, member, lsn, stamp) \
         VALUES (1, 'replica', '{cluster}', '{member}', {lsn}, {stamp}); COMMIT"
    );
    session.execute(sql).await?;
    Ok(())
}

/// Marks the server as source of `epoch` from `start` (P0) on, before it is opened (I8). From then
/// on no applier touches it: it would apply again what it has written itself.
///
/// # Errors
/// [`Error::Server`].
pub async fn mark_source(
    session: &mut Session,
    cluster: ClusterId,
    member: &MemberName,
    epoch: Epoch,
    start: &BinlogPosition,
) -> Result<(), Error> {
    session.without_binlog().await?;
    let sql = format!(
        "REPLACE INTO plimsoll.checkpoint (id, role, cluster, member, epoch, source_file, \
         source_offset) VALUES (1, 'source', '{cluster}', '{member}', {epoch}, {}, {})",
        quote(&start.file),
        start.offset
    );
    session.execute(sql).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: [Option<&str>; 7]) -> Row {
        values.iter().map(|value| value.map(|text| text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn rows_read_back() {
        let none = [Some("replica"), Some("ab"), None, None, None, None, None];
        assert_eq!(parse(&row(none)).unwrap().applied, None);
        let applied = [
            Some("replica"),
            Some("ab"),
            Some("2"),
            Some("7"),
            Some("1792"),
            Some("b.1"),
            Some("4"),
        ];
        let found = parse(&row(applied)).unwrap();
        assert_eq!(found.applied.unwrap().0, Lsn::new(7).unwrap());
        let source = [Some("source"), Some("ab"), Some("3"), None, None, Some("b.2"), Some("99")];
        let position = BinlogPosition::new("b.2", 99);
        let role = Role::Source { epoch: Epoch::new(3), position };
        assert_eq!(parse(&row(source)).unwrap().role, role);
        for bad in [
            [Some("x"), None, None, None, None, None, None],
            [Some("replica"), None, None, Some("7"), None, None, None],
            [Some("replica"), None, None, Some("0"), Some("0"), None, None],
        ] {
            assert!(parse(&row(bad)).is_err());
        }
    }

    #[test]
    fn the_statement_covers_place_and_origin() {
        let mark = Mark {
            lsn: Lsn::new(9).unwrap(),
            timestamp: Timestamp::from_bits(513).unwrap(),
            epoch: Epoch::FIRST,
        };
        let origin = Origin {
            gtid: Some("0-1-9".parse().unwrap()),
            end: BinlogPosition::new("bin.000001", 1234),
        };
        assert_eq!(
            advance(&mark, Lsn::FIRST, Some(&origin)),
            "UPDATE plimsoll.checkpoint SET role='replica',epoch=1,lsn=9,stamp=513,format_lsn=1,\
             gtid='0-1-9',source_file='bin.000001',source_offset=1234 WHERE id=1"
        );
    }
}
