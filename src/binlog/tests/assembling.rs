//! Transactions by their real bounds.

use std::fmt::Write;

use super::corpus::{Captured, MARIADB, MYSQL};
use crate::binlog::*;

/// One line a transaction: class, GTID, offsets, then its events; payloads and compressed events opened.
fn describe(captured: &Captured) -> String {
    let mut text = String::new();
    for transaction in captured.transactions() {
        let gtid = transaction.gtid.as_ref().map_or("-".to_owned(), |gtid| match gtid {
            wal::Gtid::Mysql { tag, number, .. } => format!("{tag}:{number}"),
            mariadb => mariadb.to_string(),
        });
        let (start, end) = (transaction.start.offset, transaction.end.offset);
        write!(text, "{start}-{end} {:?} {gtid}", transaction.class).unwrap();
        describe_events(&mut text, &transaction.events);
        text.push('\n');
    }
    text
}

fn describe_events(text: &mut String, bytes: &bytes::Bytes) {
    for event in events(bytes) {
        let event = event.unwrap();
        event.verify(Checksum::Crc32).unwrap();
        let mut event_text = String::new();
        if event.header.kind == EventKind::TRANSACTION_PAYLOAD {
            text.push_str(" PAYLOAD[");
            describe_events(text, &expand_payload(&event, Checksum::Crc32, 1 << 20).unwrap());
            text.push_str(" ]");
            continue;
        }
        let opened = expand_compressed(&event, Checksum::Crc32, 1 << 20).unwrap();
        opened.verify(Checksum::Crc32).unwrap();
        if opened.header.kind == EventKind::QUERY {
            let query = QueryEvent::decode(opened.body(Checksum::Crc32).unwrap()).unwrap();
            query.session().unwrap();
            let sql = String::from_utf8_lossy(query.text);
            let short: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
            let short: String = short.chars().take(24).collect();
            event_text = format!("({short})");
        }
        write!(text, " {}{event_text}", event.header.kind.name().unwrap()).unwrap();
    }
}

#[test]
fn transactions_of_real_binlogs() {
    for captured in [MYSQL, MARIADB] {
        let described = describe(&captured);
        assert_eq!(described, captured.expected, "{}:\n{described}", captured.name);
    }
}

#[test]
fn transactions_join_without_a_gap_and_their_bytes_are_the_files() {
    for captured in [MYSQL, MARIADB] {
        let transactions = captured.transactions();
        for pair in transactions.windows(2) {
            assert!(pair[0].end <= pair[1].start);
        }
        for transaction in transactions {
            let (start, end) = (transaction.start.offset as usize, transaction.end.offset as usize);
            assert_eq!(&transaction.events[..], &captured.bytes[start..end]);
            let crc = &transaction.events[transaction.events.len() - 4..];
            assert_eq!(transaction.end_crc.to_le_bytes(), crc);
        }
    }
}
