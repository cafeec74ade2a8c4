//! No type is missing from the table, and each claim in it is shown.

use std::collections::BTreeSet;

use bytes::Bytes;
use plimsoll::binlog::{
    Assembler, AssemblerOptions, Checksum, Error, EventFlags, EventHeader, EventKind, events,
};
use wal::BinlogPosition;

use super::case::Outcome;
use super::cases;
use super::columns::COLUMNS;
use super::events::{Fate, ROWS};
use crate::support::Family;

const FAMILIES: [Family; 2] = [Family::Mariadb, Family::Mysql];

#[test]
fn every_event_type_is_in_the_table_once() {
    let listed: Vec<EventKind> = ROWS.iter().map(|row| row.kind).collect();
    assert_eq!(listed, EventKind::ALL);
}

#[test]
fn what_is_said_of_an_event_is_shown() {
    for row in ROWS {
        for family in FAMILIES {
            let shown = |case: &super::Case| {
                let fits = match (row.fate(family), case.outcome) {
                    (Fate::Stops(alarm), Outcome::Stops(found)) => alarm == found,
                    (Fate::Stops(_), Outcome::Applied) | (Fate::Never, _) => false,
                    (_, outcome) => outcome == Outcome::Applied,
                };
                fits && case.runs_on(family) && case.events.contains(&row.kind)
            };
            let claim = row.fate(family) != Fate::Never;
            let by_case = cases().any(shown);
            assert!(
                !claim || by_case || !row.elsewhere.is_empty(),
                "no case on {family} shows that {} is {:?}",
                row.kind,
                row.fate(family)
            );
            let wrong = cases()
                .filter(|case| case.runs_on(family) && case.events.contains(&row.kind))
                .find(|_| !claim);
            assert!(wrong.is_none(), "{wrong:?} names {} on {family}", row.kind);
        }
    }
}

#[test]
fn what_is_said_of_a_column_type_is_shown() {
    for column in COLUMNS {
        for family in FAMILIES {
            let shown =
                cases().any(|case| case.runs_on(family) && case.columns.contains(&column.code));
            assert_eq!(shown, column.written_by(family), "{} on {family}", column.name);
        }
    }
    let known: BTreeSet<u8> = COLUMNS.iter().map(|column| column.code).collect();
    for code in cases().flat_map(|case| case.columns) {
        assert!(known.contains(code), "column type {code} is not in the table");
    }
}

#[test]
fn each_case_has_a_database_of_its_own() {
    for family in FAMILIES {
        let mut seen = BTreeSet::new();
        for case in cases().filter(|case| case.runs_on(family)) {
            assert!(seen.insert(case.database()), "{}", case.name);
        }
    }
}

/// What no server at hand writes, made by hand: inside a transaction and between two, the stream
/// stops with the event's name, or (a part of a statement) it is kept for the applier to refuse,
/// which `apply::changes` tests.
#[test]
fn refused_by_name() {
    for row in ROWS.iter().filter(|row| row.elsewhere == "refused_by_name") {
        for inside in [true, false] {
            let name = row.kind.to_string();
            match pushed(row.kind, inside) {
                Ok(()) => assert!(
                    inside && (row.kind.is_statement_part() || row.kind == EventKind::IGNORABLE),
                    "{name}, inside: {inside}"
                ),
                Err(error) => {
                    let said = error.to_string();
                    assert!(said.contains(&name) && said.contains("bin.000002:"), "{said}");
                    if let Fate::StopsStream(reason) = row.mysql {
                        assert!(said.contains(reason), "{said}");
                    }
                }
            }
        }
    }
}

/// Pushes an event of `kind` where a captured binlog has its first GTID: behind it, or in its place.
fn pushed(kind: EventKind, inside: bool) -> Result<(), Error> {
    let file = Bytes::from_static(include_bytes!("../corpus/binlog/mysql-9.7.bin")).slice(4..);
    let mut assembler = Assembler::new(AssemblerOptions {
        start: Some(BinlogPosition::new("bin.000002", BinlogPosition::FIRST_OFFSET)),
        checksum: Checksum::Crc32,
        may_skip: false,
        max_transaction_bytes: 1 << 20,
    });
    for event in events(&file) {
        let event = event?;
        let first = event.header.kind == EventKind::GTID;
        if first && !inside {
            break;
        }
        assembler.push(&event.raw, false)?;
        if first {
            break;
        }
    }
    let len = EventHeader::LEN as u32 + 4 + 4;
    let log_pos = assembler.position().offset as u32 + len;
    let flags = EventFlags(0);
    let header = EventHeader { timestamp: 1, kind, server_id: 1, event_len: len, log_pos, flags };
    let mut raw = header.encode().to_vec();
    raw.extend_from_slice(&[0; 4]);
    raw.extend_from_slice(&crc32fast::hash(&raw).to_le_bytes());
    assembler.push(&raw, false).map(drop)
}
