//! Our own reader of events.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use plimsoll::binlog::{
    self, Checksum, Event, EventHeader, EventKind, Image, RowsEvent, TableMap, expand_compressed,
};

use super::{Cell, Seen};
use crate::support::{Context, Result};

/// What stands before the first event.
const MAGIC: usize = 4;
/// Compressed events are opened up to this.
const EVENT_MAX: u64 = 1 << 26;

/// All events of a file.
pub fn events(file: &Path) -> Result<Vec<Event>> {
    let bytes = Bytes::from(std::fs::read(file).with_context(|| file.display().to_string())?);
    binlog::events(&bytes.slice(MAGIC..)).map(|event| Ok(event?)).collect()
}

/// What we read.
pub fn read(file: &Path) -> Result<Vec<Seen>> {
    let mut tables = HashMap::new();
    events(file)?.iter().map(|event| seen(event, &mut tables)).collect()
}

fn seen(event: &Event, tables: &mut HashMap<u64, TableMap>) -> Result<Seen> {
    let EventHeader { kind, event_len, log_pos, .. } = event.header;
    let mut seen = Seen { kind: kind.0, len: event_len, next: log_pos, table: None, images: None };
    if kind == EventKind::TABLE_MAP {
        let table = TableMap::decode(event.body(Checksum::Crc32)?)?;
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        seen.table = Some((text(&table.database), text(&table.table), table.columns.len()));
        tables.insert(table.table_id, table);
    } else if kind.is_rows() {
        let event = expand_compressed(event, Checksum::Crc32, EVENT_MAX)?;
        let rows = RowsEvent::decode(event.header.kind, event.body(Checksum::Crc32)?)?;
        let table = tables.get(&rows.table_id).context("rows without a table map")?;
        seen.images = Some(images(&rows, table)?);
    }
    Ok(seen)
}

fn images(rows: &RowsEvent<'_>, table: &TableMap) -> Result<Vec<Vec<Cell>>> {
    let mut images: Vec<Vec<Cell>> = Vec::new();
    let mut now: Option<(usize, Image)> = None;
    rows.walk(table, |cell| {
        if now != Some((cell.row, cell.image)) {
            now = Some((cell.row, cell.image));
            images.push(vec![Cell::Absent; table.columns.len()]);
        }
        let value = match cell.value {
            None => Cell::Null,
            Some(_) if cell.partial => Cell::Other,
            Some(bytes) => value(cell.kind.code, bytes),
        };
        images.last_mut().expect("just made")[cell.column] = value;
    })?;
    Ok(images)
}

/// By the type's number in a table map.
fn value(code: u8, bytes: &[u8]) -> Cell {
    let number = || {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(whole)
    };
    match code {
        1 | 2 | 3 | 8 | 9 | 247 | 248 => Cell::Integer(number()),
        4 | 5 => Cell::Float(number()),
        15 | 252 | 253 | 254 => Cell::bytes(bytes),
        _ => Cell::Other,
    }
}
