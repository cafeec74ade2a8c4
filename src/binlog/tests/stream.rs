//! What the dump thread makes up, leaves out, or repeats, and what must stop the stream.

use bytes::Bytes;
use wal::BinlogPosition;

use super::corpus::{Captured, MARIADB, MYSQL};
use crate::binlog::event::build;
use crate::binlog::*;

fn made(kind: EventKind, log_pos: u32, flags: u16, body: &[u8]) -> Bytes {
    let flags = EventFlags(flags);
    let header = EventHeader { timestamp: 1, kind, server_id: 9, event_len: 0, log_pos, flags };
    build(&header, &[body], Checksum::Crc32).unwrap()
}

fn rotate(file: &str, offset: u64) -> Bytes {
    let body = [&offset.to_le_bytes(), file.as_bytes()].concat();
    made(EventKind::ROTATE, 0, EventFlags::ARTIFICIAL.0, &body)
}

fn changed(event: &Event, mut change: impl FnMut(&mut Vec<u8>)) -> Bytes {
    let mut raw = event.raw.to_vec();
    raw.truncate(raw.len() - 4);
    change(&mut raw);
    let crc = crc32fast::hash(&raw).to_le_bytes();
    raw.extend_from_slice(&crc);
    Bytes::from(raw)
}

/// The first event again, as a dump that starts inside the file sends it.
fn artificial_format(captured: &Captured) -> Bytes {
    changed(&captured.events()[0], |raw| {
        raw[13..17].fill(0);
        raw[EventHeader::LEN + 52..EventHeader::LEN + 56].fill(0);
    })
}

fn dump(may_skip: bool) -> Assembler {
    Assembler::new(AssemblerOptions {
        start: None,
        checksum: Checksum::Crc32,
        may_skip,
        max_transaction_bytes: 1 << 20,
    })
}

/// A dump of `captured` from its transaction `first` on.
fn started(captured: &Captured, first: usize, may_skip: bool) -> (Assembler, Vec<Event>) {
    let mut assembler = dump(may_skip);
    let start = captured.transactions()[first].start.offset;
    assert_eq!(assembler.push(&rotate("bin.000002", start), false).unwrap(), None);
    assert_eq!(assembler.push(&artificial_format(captured), false).unwrap(), None);
    let mut offset = BinlogPosition::FIRST_OFFSET;
    let mut events = captured.events();
    events.retain(|event| {
        offset += u64::from(event.header.event_len);
        offset > start
    });
    (assembler, events)
}

fn transactions(assembler: &mut Assembler, events: &[Event]) -> Vec<wal::Transaction> {
    let mut transactions = Vec::new();
    for event in events {
        if let Some(Assembled::Transaction(t, _)) = assembler.push(&event.raw, false).unwrap() {
            transactions.push(t);
        }
    }
    transactions
}

#[test]
fn a_dump_from_inside_a_file_gives_the_same_transactions() {
    for captured in [MYSQL, MARIADB] {
        let (mut assembler, events) = started(&captured, 5, false);
        let format = artificial_format(&captured);
        assert_eq!(assembler.format_description(), Some(&format));
        assert_eq!(transactions(&mut assembler, &events), captured.transactions()[5..]);
    }
}

#[test]
fn what_a_start_by_gtid_leaves_out_is_a_jump_between_transactions_only() {
    let whole = MYSQL.transactions();
    let lens: Vec<usize> = whole.iter().map(|t| events(&t.events).count()).collect();
    let (mut assembler, mut kept) = started(&MYSQL, 2, true);
    // The third of those that follow is left out as a whole.
    let before = lens[2] + lens[3];
    kept.drain(before..before + lens[4]);
    let expected = [&whole[2..4], &whole[5..]].concat();
    assert_eq!(transactions(&mut assembler, &kept), expected);
    // Half of one is not.
    let (mut assembler, mut kept) = started(&MYSQL, 2, true);
    kept.remove(1);
    let errors: Vec<_> =
        kept.iter().filter_map(|event| assembler.push(&event.raw, false).err()).take(1).collect();
    assert!(matches!(errors[..], [Error::Gap { .. }]), "{errors:?}");
}

#[test]
fn heartbeats_of_both_versions_tell_the_place() {
    let at = MYSQL.transactions()[5].start.offset;
    let position = BinlogPosition::new("bin.000002", at);
    let v1 = made(EventKind::HEARTBEAT, at as u32, 0, b"bin.000002");
    let mut body = vec![1, 10];
    body.extend_from_slice(b"bin.000002");
    body.extend_from_slice(&[2, 9, 254]);
    body.extend_from_slice(&at.to_le_bytes());
    body.push(0);
    let v2 = made(EventKind::HEARTBEAT_V2, 0, 0, &body);
    for heartbeat in [v1, v2] {
        let (mut assembler, events) = started(&MYSQL, 5, false);
        let said = assembler.push(&heartbeat, false).unwrap();
        assert_eq!(said, Some(Assembled::Heartbeat { position: position.clone() }));
        // Inside a transaction it says nothing.
        assembler.push(&events[0].raw, false).unwrap();
        assert_eq!(assembler.push(&heartbeat, false).unwrap(), None);
    }
}

#[test]
fn a_new_file_is_announced_once_and_its_format_only_where_it_differs() {
    for captured in [MYSQL, MARIADB] {
        let mut assembler = captured.assembler();
        let said: Vec<_> = captured
            .events()
            .iter()
            .filter_map(|event| assembler.push(&event.raw, false).unwrap())
            .collect();
        let Some(Assembled::Rotated(next)) = said.last() else { panic!("{:?}", said.last()) };
        assert_eq!(next.offset, 4);
        let again = rotate(&next.file.clone(), 4);
        assert_eq!(assembler.push(&again, false).unwrap(), None);
        let format = captured.events()[0].clone();
        assert_eq!(assembler.push(&format.raw, false).unwrap(), None);
        // The same server, upgraded.
        assert!(assembler.push(&rotate("bin.000009", 4), false).unwrap().is_some());
        let upgraded = changed(&format, |raw| raw[EventHeader::LEN + 2] = b'8');
        let said = assembler.push(&upgraded, false).unwrap();
        let position = BinlogPosition::new("bin.000009", 4 + format.raw.len() as u64);
        assert_eq!(said, Some(Assembled::FormatDescription { position, event: upgraded }));
    }
}

#[test]
fn half_a_transaction_at_the_end_of_a_dead_servers_file_is_void() {
    let (mut assembler, kept) = started(&MARIADB, 3, false);
    assembler.push(&kept[0].raw, false).unwrap();
    assembler.push(&kept[1].raw, false).unwrap();
    let next = BinlogPosition::new("bin.000003", 4);
    let said = assembler.push(&rotate("bin.000003", 4), false).unwrap();
    assert_eq!(said, Some(Assembled::Rotated(next)));
    assembler.push(&MARIADB.events()[0].raw, false).unwrap();
    assert_eq!(
        transactions(&mut assembler, &MARIADB.events()[1..]).len(),
        MARIADB.transactions().len()
    );
}

#[test]
fn an_ack_is_wanted_where_any_event_of_the_transaction_wants_one() {
    let first = events(&MYSQL.transactions()[0].events).count();
    for wanting in [0, first - 1, first] {
        let (mut assembler, kept) = started(&MYSQL, 0, false);
        let mut wanted = Vec::new();
        for (at, event) in kept.iter().enumerate() {
            let said = assembler.push(&event.raw, at == wanting).unwrap();
            if let Some(Assembled::Transaction(_, wants_ack)) = said {
                wanted.push(wants_ack);
            }
        }
        let expected = usize::from(wanting >= first);
        assert_eq!(wanted.iter().position(|&wants_ack| wants_ack), Some(expected));
        assert_eq!(wanted.iter().filter(|&&wants_ack| wants_ack).count(), 1);
    }
}

/// An event put in between the second and the third event of a transaction, or between two.
fn inserted(kind: EventKind, flags: u16, inside: bool) -> Result<Option<Assembled>, Error> {
    let (mut assembler, kept) = started(&MYSQL, 0, false);
    if inside {
        assembler.push(&kept[0].raw, false).unwrap();
        assembler.push(&kept[1].raw, false).unwrap();
    }
    let len = made(kind, 0, 0, b"some body that is long enough").len() as u64;
    let end = assembler.position().offset + len;
    assembler.push(&made(kind, end as u32, flags, b"some body that is long enough"), false)
}

#[test]
fn what_is_not_understood_stops_the_stream_with_place_type_and_name() {
    let start = MYSQL.transactions()[0].start.offset;
    let cases =
        [EventKind::INCIDENT, EventKind::VIEW_CHANGE, EventKind(77), EventKind(0), EventKind(255)];
    for (kind, inside) in cases.into_iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let error = inserted(kind, 0, inside).unwrap_err();
        let Error::Unsupported { position, kind: named, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*named, kind);
        assert_eq!(position.file, "bin.000002");
        assert_eq!(position.offset == start, !inside);
        assert!(error.to_string().contains(&format!("({})", kind.0)), "{error}");
    }
    let error = inserted(EventKind::GTID, 0, true).unwrap_err();
    assert!(matches!(error, Error::OutOfPlace { .. }), "{error:?}");
    let error = inserted(EventKind::XID, 0, false).unwrap_err();
    assert!(matches!(error, Error::OutOfPlace { .. }), "{error:?}");
}

#[test]
fn an_unknown_event_that_may_be_ignored_is_passed_on_inside_and_passed_over_outside() {
    let ignorable = EventFlags::IGNORABLE.0;
    assert_eq!(inserted(EventKind(77), ignorable, true).unwrap(), None);
    assert_eq!(inserted(EventKind(77), ignorable, false).unwrap(), None);
    assert!(inserted(EventKind::INCIDENT, ignorable, true).is_err());
}

#[test]
fn offsets_beyond_4_gib_are_counted() {
    let base = (7_u64 << 32) - 50;
    let transaction = &MYSQL.transactions()[0];
    let mut assembler = dump(false);
    assembler.push(&rotate("bin.000002", base), false).unwrap();
    assembler.push(&artificial_format(&MYSQL), false).unwrap();
    let mut end = base;
    let mut said = None;
    for event in events(&transaction.events) {
        let event = event.unwrap();
        end += u64::from(event.header.event_len);
        let moved = changed(&event, |raw| raw[13..17].copy_from_slice(&(end as u32).to_le_bytes()));
        said = assembler.push(&moved, false).unwrap();
    }
    let Some(Assembled::Transaction(moved, _)) = said else { panic!("{said:?}") };
    assert_eq!((moved.start.offset, moved.end.offset), (base, end));
}

#[test]
fn without_checksums_lengths_are_all_that_is_compared() {
    let format = changed(&MYSQL.events()[0], |raw| *raw.last_mut().unwrap() = 0);
    let mut assembler = dump(false);
    assembler.push(&rotate("bin.000002", 4), false).unwrap();
    assembler.push(&format, false).unwrap();
    assert_eq!(assembler.checksum(), Checksum::None);
    let mut end = assembler.position().offset;
    let mut said = None;
    for event in events(&MYSQL.transactions()[0].events) {
        let mut raw = event.unwrap().raw.to_vec();
        raw.truncate(raw.len() - 4);
        end += raw.len() as u64;
        let len = raw.len() as u32;
        raw[9..13].copy_from_slice(&len.to_le_bytes());
        raw[13..17].copy_from_slice(&(end as u32).to_le_bytes());
        said = assembler.push(&raw, false).unwrap();
    }
    let Some(Assembled::Transaction(transaction, _)) = said else { panic!("{said:?}") };
    assert_eq!((transaction.end_crc, transaction.end.offset), (0, end));
}

/// The events of a transaction of rows, its row event `times` times, each longer by `more` bytes.
fn enlarged(captured: &Captured, times: usize, more: usize) -> (BinlogPosition, Vec<Bytes>) {
    let of_rows = |t: &&wal::Transaction| {
        let kinds: Vec<_> = events(&t.events).map(|event| event.unwrap().header.kind).collect();
        kinds.iter().filter(|kind| kind.is_rows()).count() == 1
    };
    let transactions = captured.transactions();
    let transaction = transactions.iter().find(of_rows).unwrap();
    let mut offset = transaction.start.offset as usize;
    let mut all = Vec::new();
    for event in events(&transaction.events).map(Result::unwrap) {
        let (copies, more) = if event.header.kind.is_rows() { (times, more) } else { (1, 0) };
        for _ in 0..copies {
            all.push(changed(&event, |raw| {
                raw.resize(raw.len() + more, 0);
                let length = raw.len() + 4;
                offset += length;
                raw[9..13].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
                raw[13..17].copy_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
            }));
        }
    }
    (transaction.start.clone(), all)
}

#[test]
fn a_large_transaction_of_rows_comes_in_pieces_of_whole_events() {
    for captured in [MYSQL, MARIADB] {
        let (start, all) = enlarged(&captured, 9, PIECE_BYTES / 3);
        let whole: Vec<u8> = all.concat();
        let mut assembler = dump(false);
        assembler.push(&rotate("bin.000002", start.offset), false).unwrap();
        assembler.push(&artificial_format(&captured), false).unwrap();
        let said: Vec<_> =
            all.iter().filter_map(|event| assembler.push(event, true).unwrap()).collect();
        let mut joined = Vec::new();
        let [pieces @ .., Assembled::Pieced(end, true)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(pieces.len(), 3);
        for piece in pieces {
            let Assembled::Piece(piece) = piece else { panic!("{said:?}") };
            assert!(events(piece).all(|event| event.is_ok()));
            joined.extend_from_slice(piece);
        }
        joined.extend_from_slice(&end.events);
        assert!(joined == whole);
        let ends = start.offset + whole.len() as u64;
        assert_eq!((end.start.offset, end.end.offset), (start.offset, ends));
        assert!(end.gtid.is_some());
    }
}
