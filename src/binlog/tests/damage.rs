//! Damaged and hostile bytes: an error, never a panic, and no more memory than the input explains.

use bytes::Bytes;
use proptest::prelude::*;
use wal::BinlogPosition;

use super::corpus::{Captured, MARIADB, MYSQL};
use crate::binlog::*;
use crate::fuzzing::{read_event, walk_rows};

/// The corpus with one event changed: bytes flipped at some places, then cut.
fn damaged(captured: &Captured, which: usize, flips: &[(prop::sample::Index, u8)]) -> Vec<Event> {
    let mut events = captured.events();
    let at = which % events.len();
    let mut raw = events[at].raw.to_vec();
    for (place, with) in flips {
        // Length and type stay, so that the damage goes deeper than the first check.
        let place = place.index(raw.len());
        if !(9..13).contains(&place) {
            raw[place] ^= with;
        }
    }
    let end = raw.len() - 4;
    let crc = crc32fast::hash(&raw[..end]).to_le_bytes();
    raw[end..].copy_from_slice(&crc);
    let header = EventHeader::decode(&raw).unwrap();
    events[at] = Event { header, raw: Bytes::from(raw) };
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn flipped_bytes_are_survived(
        mysql: bool,
        which in 0usize..1000,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let captured = if mysql { MYSQL } else { MARIADB };
        let events = damaged(&captured, which, &flips);
        events.iter().for_each(|event| read_event(event, Checksum::Crc32));
        walk_rows(&events, Checksum::Crc32);
        let mut assembler = captured.assembler();
        for event in &events {
            if assembler.push(&event.raw, false).is_err() {
                break;
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind: u8) {
        let mut raw = bytes;
        raw.resize(raw.len().max(EventHeader::LEN), 0);
        raw[4] = kind;
        let len = raw.len() as u32;
        raw[9..13].copy_from_slice(&len.to_le_bytes());
        let event = Event::new(Bytes::from(raw)).unwrap();
        read_event(&event, Checksum::None);
        read_event(&event, Checksum::Crc32);
        if let Ok(rows) = event.body(Checksum::None).and_then(|b| RowsEvent::decode(event.header.kind, b)) {
            prop_assert!(rows.columns <= event.raw.len() * 8);
        }
    }

    #[test]
    fn cut_files_end_in_an_error(cut in 4usize..9000) {
        let bytes = Bytes::from_static(&MARIADB.bytes[4..cut.max(5)]);
        let (good, bad): (Vec<_>, Vec<_>) = events(&bytes).partition(|event| event.is_ok());
        prop_assert!(bad.len() <= 1);
        let whole: usize = good.iter().map(|event| event.as_ref().unwrap().raw.len()).sum();
        prop_assert_eq!(whole == bytes.len(), bad.is_empty());
    }
}

#[test]
fn one_flipped_bit_is_found_and_named() {
    for captured in [MYSQL, MARIADB] {
        let events = captured.events();
        for (at, event) in events.iter().enumerate() {
            let mut assembler = captured.assembler();
            for before in &events[..at] {
                assembler.push(&before.raw, false).unwrap();
            }
            let mut raw = event.raw.to_vec();
            raw[EventHeader::LEN] ^= 0x10;
            let error = assembler.push(&raw, false).unwrap_err();
            let Error::At { position, kind, source } = error else { panic!("{error:?}") };
            assert!(matches!(*source, Error::Checksum { .. }));
            assert_eq!((position.offset, kind), (assembler.position().offset, event.header.kind));
        }
    }
}

#[test]
fn a_lost_event_is_a_gap() {
    for captured in [MYSQL, MARIADB] {
        let events = captured.events();
        // Behind the first transaction: a dump may begin anywhere.
        for lost in 8..events.len() - 1 {
            let mut assembler = captured.assembler();
            let mut failed = false;
            for (at, event) in events.iter().enumerate() {
                if at != lost && assembler.push(&event.raw, false).is_err() {
                    assert_eq!(at, lost + 1);
                    failed = true;
                    break;
                }
            }
            assert!(failed, "{} without event {lost}", captured.name);
        }
    }
}

#[test]
fn expansion_is_bounded_by_the_limit() {
    let mut seen = 0;
    for event in MYSQL.events().into_iter().chain(MARIADB.events()) {
        if event.header.kind == EventKind::TRANSACTION_PAYLOAD {
            let error = expand_payload(&event, Checksum::Crc32, 10).unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
            seen |= 1;
        }
        if is_compressed(event.header.kind) {
            let error = expand_compressed(&event, Checksum::Crc32, 5).unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
            seen |= 2;
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn a_transaction_over_the_limit_is_named() {
    let mut assembler = Assembler::new(AssemblerOptions {
        start: Some(BinlogPosition::new("bin.000002", 4)),
        checksum: Checksum::Crc32,
        may_skip: false,
        max_transaction_bytes: 300,
    });
    let events = MYSQL.events();
    let error = events.iter().find_map(|event| assembler.push(&event.raw, false).err());
    let Some(Error::TransactionTooLarge { start, limit: 300 }) = error else { panic!("{error:?}") };
    // Those of rows before it go on in pieces.
    let transactions = MYSQL.transactions();
    let refused = transactions.iter().find(|transaction| transaction.start == start).unwrap();
    assert_ne!(refused.class, wal::TransactionClass::Rows);
    let larger = |t: &&wal::Transaction| t.events.len() > 300 && t.class != refused.class;
    assert!(transactions.iter().take_while(|t| t.start != start).any(|t| larger(&t)));
}
