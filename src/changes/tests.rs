use bytes::Bytes;
use proptest::prelude::*;
use wal::{BinlogPosition, Lsn, Timestamp, Transaction, TransactionClass};

use super::*;
use crate::binlog::{Checksum, Event, EventHeader, EventKind, events};

const CORPUS: [(&[u8], bool); 2] = [
    (include_bytes!("../../tests/corpus/binlog/mysql-9.7.bin"), false),
    (include_bytes!("../../tests/corpus/binlog/mariadb-10.11.bin"), true),
];

/// What changes rows, of a whole file, as if it were one transaction.
fn rows_of(file: &'static [u8]) -> Vec<Event> {
    let wanted = |event: &Event| {
        let kind = event.header.kind;
        kind == EventKind::TABLE_MAP || kind.is_rows() || kind == EventKind::TRANSACTION_PAYLOAD
    };
    let all = events(&Bytes::from_static(&file[4..]));
    all.map(|event| event.unwrap()).filter(wanted).collect()
}

fn transaction(events: &[Event]) -> Transaction {
    let raw: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
    Transaction {
        class: TransactionClass::Rows,
        start: BinlogPosition::new("b.1", 4),
        end: BinlogPosition::new("b.1", 8),
        gtid: None,
        commit_micros: 1_500_000,
        end_crc: 0,
        events: Bytes::from(raw),
    }
}

fn lines(of: &Transaction, mariadb: bool) -> Result<Vec<String>, Error> {
    let dialect = Dialect { checksum: Checksum::Crc32, mariadb };
    let timestamp = Timestamp::new(7, 1).unwrap();
    let envelope = Envelope::new("token".to_owned(), Lsn::FIRST, timestamp, of);
    envelope.lines(Changes::of(of, dialect)?, |_| true).collect()
}

#[test]
fn the_corpus_is_told() {
    for (file, mariadb) in CORPUS {
        let lines = lines(&transaction(&rows_of(file)), mariadb).unwrap();
        assert!(lines.len() > 10, "{}", lines.len());
        for (index, line) in lines.iter().enumerate() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["index"], index);
            assert_eq!(line["last"], index + 1 == lines.len());
            assert_eq!(line["commit_time"], "1970-01-01T00:00:01.500000Z");
        }
    }
}

#[test]
fn tables_are_chosen_and_the_last_line_is_marked() {
    let (file, mariadb) = CORPUS[0];
    let one = transaction(&rows_of(file));
    let dialect = Dialect { checksum: Checksum::Crc32, mariadb };
    let envelope = Envelope::new(String::new(), Lsn::FIRST, Timestamp::new(7, 1).unwrap(), &one);
    let mut names = Vec::new();
    for change in Changes::of(&one, dialect).unwrap() {
        if let Change::Row(row) = change.unwrap() {
            names.push(row.table.display());
        }
    }
    let wanted = names[0].clone();
    let count = names.iter().filter(|name| **name == wanted).count();
    assert!(count < names.len());
    let lines =
        envelope.lines(Changes::of(&one, dialect).unwrap(), |table| table.display() == wanted);
    let lines: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(lines.len(), count);
    assert!(lines.last().unwrap().contains("\"last\":true"));
    assert!(!lines.iter().rev().skip(1).any(|line| line.contains("\"last\":true")));
}

#[test]
fn a_statement_among_rows_is_an_error() {
    let mut raw = EventHeader {
        timestamp: 1,
        kind: EventKind::INCIDENT,
        server_id: 1,
        event_len: 23,
        log_pos: 0,
        flags: crate::binlog::EventFlags(0),
    }
    .encode()
    .to_vec();
    raw.extend_from_slice(&[0; 4]);
    let event = Event::new(Bytes::from(raw)).unwrap();
    let error = lines(&transaction(&[event]), false).unwrap_err();
    assert!(matches!(error, Error::Untellable { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any byte of any event, its length aside, may be anything.
    #[test]
    fn changed_bytes_are_survived(
        corpus in 0usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (file, mariadb) = CORPUS[corpus];
        let mut all = rows_of(file);
        let count = all.len();
        for (which, at, byte) in changes {
            let event = &mut all[which.index(count)];
            let mut raw = event.raw.to_vec();
            let body = EventHeader::LEN..raw.len();
            let at = body.start + at.index(body.len());
            raw[at] = byte;
            event.raw = Bytes::from(raw);
        }
        let _ = lines(&transaction(&all), mariadb);
    }

    #[test]
    fn any_json_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..16) {
        let bytes = [&[kind], &bytes[..]].concat();
        if let Some(json) = json::document(&bytes) {
            let text = json.to_string();
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            let _ = json::patch(json, &bytes);
        }
    }
}

/// Two entries that point at the same array, in each of many levels, would be 2^levels values.
#[test]
fn json_that_points_at_itself_is_refused() {
    // Large array of one element: itself.
    let mut bytes = vec![3, 1, 0, 0, 0, 13, 0, 0, 0, 3, 0, 0, 0, 0];
    assert_eq!(json::document(&bytes), None);
    bytes[1] = 2;
    assert_eq!(json::document(&bytes), None);
}
