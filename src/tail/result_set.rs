//! One text row of a result set: all that is ever asked for here.

use super::Error;
use super::login::Connection;
use crate::binlog::reader::Reader;

/// Columns asked for at most.
const MAX_COLUMNS: u64 = 64;

/// Runs `sql` and returns its first row; `None` where there is none. NULL is `None`.
///
/// # Errors
/// [`Error::Server`] and those of the connection.
pub async fn first_row(
    connection: &mut Connection,
    doing: &'static str,
    sql: &str,
) -> Result<Option<Vec<Option<String>>>, Error> {
    let mut payload = vec![3];
    payload.extend_from_slice(sql.as_bytes());
    connection.command(doing, &payload).await?;
    let broken = || Error::Protocol { what: doing };
    let head = connection.answer().await?;
    let columns = Reader::new(&head, "result set").lenenc().map_err(|_| broken())?;
    if columns == 0 || columns > MAX_COLUMNS {
        return Err(broken());
    }
    for _ in 0..columns {
        connection.answer().await?;
    }
    if !is_eof(&connection.answer().await?) {
        return Err(broken());
    }
    let mut first = None;
    loop {
        let packet = connection.answer().await?;
        if is_eof(&packet) {
            return Ok(first);
        }
        if first.is_none() {
            first = Some(row(&packet, columns).ok_or_else(broken)?);
        }
    }
}

fn is_eof(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

fn row(packet: &[u8], columns: u64) -> Option<Vec<Option<String>>> {
    let mut reader = Reader::new(packet, "row");
    let mut row = Vec::new();
    for _ in 0..columns {
        if reader.rest().first() == Some(&0xfb) {
            reader.take(1).ok()?;
            row.push(None);
            continue;
        }
        let len = reader.lenenc().ok()?;
        row.push(Some(String::from_utf8_lossy(reader.take_u64(len).ok()?).into_owned()));
    }
    Some(row)
}
