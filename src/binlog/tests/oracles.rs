//! The same bytes read by other crates, where those are right.
//!
//! Not compared, since they are wrong there: `mysql_cdc` on types 38-42 and 165-171 (it passes over
//! them), non-UTF-8 text, negative TIME; `mysql_common` on MariaDB's own types, negative MEDIUMINT.

use std::collections::HashMap;

use mysql_cdc::events::binlog_event::BinlogEvent as CdcEvent;
use mysql_cdc::events::event_header::EventHeader as CdcHeader;
use mysql_cdc::events::event_parser::EventParser;
use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::{EventData, RowsEventData};
use mysql_common::binlog::value::BinlogValue;
use mysql_common::value::Value;

use super::corpus::{Captured, MARIADB, MYSQL};
use crate::binlog::*;

/// Rows and cells that are not NULL, by our walk.
fn rows_of(table: &TableMap, event: &Event) -> (usize, usize) {
    let event = expand_compressed(event, Checksum::Crc32, 1 << 20).unwrap();
    let body = event.body(Checksum::Crc32).unwrap();
    let rows = RowsEvent::decode(event.header.kind, body).unwrap();
    let mut values = 0;
    let count = rows.walk(table, |cell| values += usize::from(cell.value.is_some())).unwrap();
    (count, values)
}

fn each_with_table(captured: &Captured, mut visit: impl FnMut(&Event, &HashMap<u64, TableMap>)) {
    let mut tables = HashMap::new();
    for event in captured.events() {
        if event.header.kind == EventKind::TABLE_MAP {
            let table = TableMap::decode(event.body(Checksum::Crc32).unwrap()).unwrap();
            tables.insert(table.table_id, table);
        }
        visit(&event, &tables);
    }
}

fn table_of<'a>(event: &Event, tables: &'a HashMap<u64, TableMap>) -> &'a TableMap {
    let mut id = [0; 8];
    id[..6].copy_from_slice(&event.raw[EventHeader::LEN..EventHeader::LEN + 6]);
    &tables[&u64::from_le_bytes(id)]
}

#[test]
fn every_row_of_the_corpus_can_be_walked() {
    for captured in [MYSQL, MARIADB] {
        let mut rows = 0;
        each_with_table(&captured, |event, tables| {
            if event.header.kind.is_rows() {
                rows += rows_of(table_of(event, tables), event).0;
            }
        });
        assert!(rows > 20, "{}: {rows}", captured.name);
    }
}

#[test]
fn mysql_common_agrees_on_headers_tables_and_rows() {
    for captured in [MYSQL, MARIADB] {
        let mut stream = EventStreamReader::new(BinlogVersion::Version4);
        let mut compared = 0;
        each_with_table(&captured, |ours, tables| {
            let mut raw = &ours.raw[..];
            let theirs = stream.read(&mut raw).unwrap().unwrap();
            let header = theirs.header();
            assert_eq!(header.timestamp(), ours.header.timestamp);
            assert_eq!(header.event_type_raw(), ours.header.kind.0);
            assert_eq!(header.server_id(), ours.header.server_id);
            assert_eq!(header.event_size(), ours.header.event_len);
            assert_eq!(header.log_pos(), ours.header.log_pos);
            assert_eq!(header.flags_raw(), ours.header.flags.0);
            // MariaDB's own types are unknown there.
            if ours.header.kind.0 >= 160 {
                return;
            }
            match theirs.read_data().unwrap() {
                Some(EventData::TableMapEvent(map)) => {
                    let table = table_of(ours, tables);
                    assert_eq!(map.table_id(), table.table_id);
                    assert_eq!(map.database_name_raw(), table.database);
                    assert_eq!(map.table_name_raw(), table.table);
                    assert_eq!(map.columns_count(), table.columns.len() as u64);
                    compared += 1;
                }
                Some(EventData::GtidEvent(gtid)) => {
                    let body = ours.body(Checksum::Crc32).unwrap();
                    let event = MysqlGtidEvent::decode(&ours.header, body).unwrap();
                    let Some(wal::Gtid::Mysql { uuid, tag, number }) = event.gtid else { panic!() };
                    assert_eq!((gtid.sid(), gtid.gno()), (uuid, number));
                    assert_eq!(gtid.tag().map_or("", |tag| tag.as_str()), tag);
                    assert_eq!(gtid.immediate_commit_timestamp(), event.immediate_commit_micros);
                    assert_eq!(gtid.original_commit_timestamp(), event.original_commit_micros);
                    assert_eq!(gtid.tx_length(), event.transaction_length);
                    assert_eq!(gtid.last_committed() as i64, event.last_committed);
                    assert_eq!(gtid.sequence_number() as i64, event.sequence_number);
                    compared += 1;
                }
                Some(EventData::RowsEvent(rows)) => {
                    compared += usize::from(same_rows(&stream, &rows, ours, tables));
                }
                _ => {}
            }
        });
        assert!(compared > 20, "{}: {compared}", captured.name);
    }
}

/// `false` where the oracle cannot read the table (compressed columns).
fn same_rows(
    stream: &EventStreamReader,
    rows: &RowsEventData<'_>,
    ours: &Event,
    tables: &HashMap<u64, TableMap>,
) -> bool {
    let table = table_of(ours, tables);
    if table.columns.iter().any(|column| matches!(column.code, 140 | 141)) {
        return false;
    }
    let map = stream.get_tme(rows.table_id()).unwrap();
    let mut theirs = Vec::new();
    let mut count = 0;
    for row in rows.rows(map) {
        let (before, after) = row.unwrap();
        count += 1;
        for image in [before, after].into_iter().flatten() {
            theirs.extend(
                (0..image.len()).map(|index| image.as_ref(index).unwrap().clone().into_owned()),
            );
        }
    }
    let event = expand_compressed(ours, Checksum::Crc32, 1 << 20).unwrap();
    let body = event.body(Checksum::Crc32).unwrap();
    let walked = RowsEvent::decode(event.header.kind, body).unwrap();
    let mut values = theirs.iter();
    let rows = walked.walk(table, |cell| same_value(&cell, values.next().unwrap())).unwrap();
    assert_eq!((rows, values.next()), (count, None));
    true
}

/// Texts and integers are the same bytes; of the rest only whether it is NULL, or a difference.
fn same_value(cell: &Cell<'_>, theirs: &BinlogValue<'_>) {
    let Some(bytes) = cell.value else {
        assert_eq!(theirs, &BinlogValue::Value(Value::NULL));
        return;
    };
    assert_eq!(cell.partial, matches!(theirs, BinlogValue::JsonDiff(_)));
    match (cell.kind.code, theirs) {
        (15 | 248 | 252 | 254, BinlogValue::Value(Value::Bytes(text))) => assert_eq!(bytes, text),
        (1 | 2 | 3 | 8 | 247, BinlogValue::Value(Value::Int(number))) => {
            assert_eq!(bytes, &number.to_le_bytes()[..bytes.len()]);
        }
        (1 | 2 | 3 | 8, BinlogValue::Value(Value::UInt(number))) => {
            assert_eq!(bytes, &number.to_le_bytes()[..bytes.len()]);
        }
        (1 | 2 | 3 | 8 | 15 | 247 | 248 | 252 | 254, other) => panic!("{cell:?} {other:?}"),
        _ => assert_ne!(theirs, &BinlogValue::Value(Value::NULL)),
    }
}

#[test]
fn mysql_cdc_agrees_on_headers_tables_and_rows() {
    for captured in [MYSQL, MARIADB] {
        let mut parser = EventParser::new();
        let mut compared = 0;
        each_with_table(&captured, |ours, tables| {
            let header = CdcHeader::parse(&ours.raw).unwrap();
            assert_eq!(header.event_type, ours.header.kind.0);
            assert_eq!(header.event_length, ours.header.event_len);
            assert_eq!(header.next_event_position, ours.header.log_pos);
            // An error there is its own: text that is not UTF-8, types that it does not know.
            let Ok(theirs) = parser.parse_event(&header, &ours.raw[EventHeader::LEN..]) else {
                return;
            };
            let rows = match theirs {
                CdcEvent::TableMapEvent(map) => {
                    let table = table_of(ours, tables);
                    assert_eq!(map.table_id, table.table_id);
                    assert_eq!(map.database_name.as_bytes(), table.database);
                    assert_eq!(map.table_name.as_bytes(), table.table);
                    assert_eq!(map.column_types.len(), table.columns.len());
                    compared += 1;
                    return;
                }
                CdcEvent::WriteRowsEvent(event) => event.rows.len(),
                CdcEvent::UpdateRowsEvent(event) => event.rows.len(),
                CdcEvent::DeleteRowsEvent(event) => event.rows.len(),
                _ => return,
            };
            assert_eq!(rows_of(table_of(ours, tables), ours).0, rows);
            compared += 1;
        });
        assert!(compared > 15, "{}: {compared}", captured.name);
    }
}
