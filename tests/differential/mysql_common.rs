//! mysql_common's reader.

use std::path::Path;

use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::{EventData, RowsEventData, TableMapEvent};
use mysql_common::binlog::value::BinlogValue;
use mysql_common::constants::ColumnType;
use mysql_common::value::Value;

use super::{Cell, Seen, ours};
use crate::support::{Context, Result};

/// MariaDB's own types begin here: unknown there.
const MARIADB_TYPES: u8 = 160;

pub fn read(file: &Path) -> Result<Vec<Seen>> {
    let mut stream = EventStreamReader::new(BinlogVersion::Version4);
    let mut all = Vec::new();
    for event in ours::events(file)? {
        let mut raw = &event.raw[..];
        let event = stream.read(&mut raw)?.context("an event")?;
        let header = event.header();
        let (kind, len, next) = (header.event_type_raw(), header.event_size(), header.log_pos());
        let mut seen = Seen { kind, len, next, table: None, images: None };
        if kind < MARIADB_TYPES {
            match event.read_data()? {
                Some(EventData::TableMapEvent(map)) => {
                    let columns = usize::try_from(map.columns_count())?;
                    let (database, table) = (map.database_name(), map.table_name());
                    seen.table = Some((database.into_owned(), table.into_owned(), columns));
                }
                Some(EventData::RowsEvent(rows)) => {
                    let map = stream.get_tme(rows.table_id()).context("a table map")?;
                    seen.images = images(&rows, map)?;
                }
                _ => {}
            }
        }
        all.push(seen);
    }
    Ok(all)
}

/// `None` for a table with a column that it does not know (MariaDB's compressed ones).
fn images(rows: &RowsEventData<'_>, map: &TableMapEvent<'_>) -> Result<Option<Vec<Vec<Cell>>>> {
    let columns = usize::try_from(map.columns_count())?;
    if (0..columns).any(|column| !matches!(map.get_raw_column_type(column), Ok(Some(_)))) {
        return Ok(None);
    }
    let mut images = Vec::new();
    for row in rows.rows(map) {
        let (before, after) = row?;
        for image in [before, after].into_iter().flatten() {
            if image.len() < columns {
                images.push(vec![Cell::Absent; columns]);
                continue;
            }
            let mut cells = Vec::new();
            for index in 0..image.len() {
                let value = image.as_ref(index).context("a value")?;
                let column = image.columns_ref()[index].column_type();
                cells.push(cell(column, value));
            }
            images.push(cells);
        }
    }
    Ok(Some(images))
}

fn cell(column: ColumnType, value: &BinlogValue<'_>) -> Cell {
    match (column, value) {
        (_, BinlogValue::Value(Value::NULL)) => Cell::Null,
        // A negative one is read as a large one.
        (ColumnType::MYSQL_TYPE_INT24, _) => Cell::Other,
        (_, BinlogValue::Value(Value::Int(number))) => integer(column, *number),
        (_, BinlogValue::Value(Value::UInt(number))) => integer(column, number.cast_signed()),
        (_, BinlogValue::Value(Value::Float(number))) => Cell::Float(number.to_bits().into()),
        (_, BinlogValue::Value(Value::Double(number))) => Cell::Float(number.to_bits()),
        (
            ColumnType::MYSQL_TYPE_VARCHAR
            | ColumnType::MYSQL_TYPE_VAR_STRING
            | ColumnType::MYSQL_TYPE_STRING
            | ColumnType::MYSQL_TYPE_BLOB,
            BinlogValue::Value(Value::Bytes(bytes)),
        ) => Cell::bytes(bytes),
        _ => Cell::Other,
    }
}

/// The number of the column's own bytes, without its sign.
fn integer(column: ColumnType, number: i64) -> Cell {
    let bits = match column {
        ColumnType::MYSQL_TYPE_TINY => 8,
        ColumnType::MYSQL_TYPE_SHORT => 16,
        ColumnType::MYSQL_TYPE_LONG => 32,
        ColumnType::MYSQL_TYPE_LONGLONG => 64,
        _ => return Cell::Other,
    };
    Cell::Integer(number.cast_unsigned() & (u64::MAX >> (64 - bits)))
}
