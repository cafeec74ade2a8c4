//! What a server sends as its binlog.

use std::io::Write;

use bytes::Bytes;
use wal::{BinlogPosition, Gtid};

use crate::binlog::*;

/// The most that a compressed event may become here.
const EXPANDED_MAX: u64 = 1 << 20;
/// The most that a transaction may hold here.
const TRANSACTION_MAX: usize = 1 << 20;
/// Offset of the length in an event's header.
const LENGTH: usize = 9;
/// Offset of the end's offset.
const LOG_POS: usize = 13;

/// One event of any type, without its checksum.
pub fn event(bytes: &[u8]) {
    if let Ok(event) = Event::new(Bytes::copy_from_slice(bytes)) {
        read_event(&event, Checksum::None);
        read_event(&event, Checksum::Crc32);
    }
    for checksum in [Checksum::None, Checksum::Crc32] {
        let event = Event::new(Bytes::from(signed(bytes, checksum)));
        let event = event.expect("its length was made right");
        event.verify(checksum).expect("its checksum was made right");
        read_event(&event, checksum);
    }
}

/// The bytes as an event: header filled up with zeros, length and checksum made right.
fn signed(bytes: &[u8], checksum: Checksum) -> Vec<u8> {
    let mut raw = bytes.to_vec();
    raw.resize(raw.len().max(EventHeader::LEN), 0);
    let length = (raw.len() + checksum.len()) as u32;
    raw[LENGTH..LENGTH + 4].copy_from_slice(&length.to_le_bytes());
    if checksum == Checksum::Crc32 {
        let crc = crc32fast::hash(&raw);
        raw.extend_from_slice(&crc.to_le_bytes());
    }
    raw
}

/// Asks everything that can be asked of an event, whatever its type says.
pub fn read_event(event: &Event, checksum: Checksum) {
    let Ok(body) = event.body(checksum) else { return };
    let of_kind = |kind| EventHeader { kind, ..event.header };
    let _ = event.verify(checksum);
    let _ = Rotate::decode(body);
    let _ = Heartbeat::decode(&event.header, body);
    let _ = Heartbeat::decode(&of_kind(EventKind::HEARTBEAT_V2), body);
    let _ = Xid::decode(body);
    let _ = XaPrepare::decode(body);
    let _ = GtidList::decode(body);
    let _ = FormatDescription::decode(&event.raw);
    let _ = FormatDescription::same_layout(&event.raw, &event.raw);
    let _ = MysqlGtidEvent::decode(&event.header, body);
    let _ = MysqlGtidEvent::decode(&of_kind(EventKind::GTID_TAGGED), body);
    let _ = MariadbGtidEvent::decode(&event.header, body);
    let _ = MysqlGtidSet::decode(body);
    let _ = Payload::decode(body).and_then(|payload| payload.first_event());
    if let Ok(expanded) = expand_compressed(event, checksum, EXPANDED_MAX) {
        assert!(expanded.raw.len() <= event.raw.len() + EXPANDED_MAX as usize);
    }
    if let Ok(expanded) = expand_payload(event, checksum, EXPANDED_MAX) {
        let most = EXPANDED_MAX as usize / EventHeader::LEN * (EventHeader::LEN + checksum.len());
        assert!(expanded.len() <= most);
        for inner in events(&expanded) {
            let inner = inner.expect("what was expanded is whole events");
            inner.verify(checksum).expect("each got a checksum");
        }
    }
    if let Ok(query) = QueryEvent::decode(body) {
        let _ = (query.session(), query.role());
    }
    if let Ok(table) = TableMap::decode(body) {
        let _ = table.metadata();
    }
    if let Ok(rows) = RowsEvent::decode(event.header.kind, body) {
        assert!(rows.columns <= body.len() * 8);
    }
}

/// Events that are then compressed in both families' ways: they come back as they went.
pub fn payload(bytes: &[u8]) {
    let whole = Bytes::copy_from_slice(bytes);
    let packed = zstd::encode_all(bytes, 1).expect("memory is written to");
    let mut body = vec![2, 1, 0, 3, 9, 254];
    body.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    body.push(0);
    body.extend_from_slice(&packed);
    let event = made(EventKind::TRANSACTION_PAYLOAD, &body);
    let _ = Payload::decode(event.body(Checksum::None).expect("it has one"))
        .expect("its fields are right")
        .first_event();
    let expanded = expand_payload(&event, Checksum::None, EXPANDED_MAX);
    match events(&whole).try_for_each(|inner| inner.map(drop)) {
        Ok(()) => assert_eq!(expanded.expect("its events are whole"), whole),
        Err(_) => assert!(expanded.is_err(), "an event is not whole"),
    }
    let _ = expand_payload(&event, Checksum::Crc32, EXPANDED_MAX);

    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let packed = zlib.write_all(bytes).and_then(|()| zlib.finish()).expect("memory is written to");
    // Table id, flags, extra data of version 2, one column; then how long the rows are, and they.
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1];
    body.push(0x84);
    body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    body.extend_from_slice(&packed);
    let event = made(EventKind::WRITE_ROWS_COMPRESSED, &body);
    let expanded = expand_compressed(&event, Checksum::None, EXPANDED_MAX).expect("is whole");
    assert_eq!(expanded.raw[EventHeader::LEN + 12..], *bytes);
}

fn made(kind: EventKind, body: &[u8]) -> Event {
    let mut raw = vec![0; EventHeader::LEN];
    raw[4] = kind.0;
    raw.extend_from_slice(body);
    Event::new(Bytes::from(signed(&raw, Checksum::None))).expect("its length was made right")
}

/// A table map, and rows events of that table, without checksums. The seeds hold real ones.
pub fn rows(bytes: &[u8]) {
    walk_rows(&cut(bytes), Checksum::None);
}

/// Events one after another, the last one as long as there are bytes.
fn cut(bytes: &[u8]) -> Vec<Event> {
    let (mut events, mut rest) = (Vec::new(), bytes);
    while rest.len() >= EventHeader::LEN {
        let declared = EventHeader::decode(rest).map_or(0, |header| header.event_len as usize);
        let (raw, behind) = rest.split_at(declared.clamp(EventHeader::LEN, rest.len()));
        let raw = Bytes::from(signed(raw, Checksum::None));
        events.push(Event::new(raw).expect("its length was made right"));
        rest = behind;
    }
    events
}

/// Walks every row of `events` with the table map before it.
pub fn walk_rows(events: &[Event], checksum: Checksum) {
    let mut table = None;
    for event in events {
        let Ok(event) = expand_compressed(event, checksum, EXPANDED_MAX) else { continue };
        let Ok(body) = event.body(checksum) else { continue };
        if event.header.kind == EventKind::TABLE_MAP {
            table = TableMap::decode(body).ok();
            continue;
        }
        let (Some(table), Ok(rows)) = (&mut table, RowsEvent::decode(event.header.kind, body))
        else {
            continue;
        };
        // As if the numbers were right: the rows are what is asked about.
        table.table_id = rows.table_id;
        let (mut cells, mut bytes) = (0, 0);
        let walked = rows.walk(table, |cell| {
            cells += 1;
            bytes += cell.value.map_or(0, <[u8]>::len);
            assert!(cell.column < table.columns.len());
        });
        assert!(cells <= (body.len() + 1) * (table.columns.len() + 1) * 8);
        assert!(bytes <= body.len() && walked.unwrap_or_default() <= body.len());
    }
}

/// A binlog from its format description on, as a dump sends it: checksums and offsets made right.
pub fn stream(bytes: &[u8]) {
    for may_skip in [false, true] {
        dump(bytes, may_skip);
    }
}

fn dump(bytes: &[u8], may_skip: bool) {
    let start = BinlogPosition::new("bin.000001", BinlogPosition::FIRST_OFFSET);
    let mut assembler = Assembler::new(AssemblerOptions {
        start: Some(start),
        checksum: Checksum::Crc32,
        may_skip,
        max_transaction_bytes: TRANSACTION_MAX,
    });
    for event in cut(bytes) {
        let mut raw = event.raw.to_vec();
        let format = event.header.kind == EventKind::FORMAT_DESCRIPTION;
        let checksum = if format { Checksum::Crc32 } else { assembler.checksum() };
        let end = assembler.position().offset + (raw.len() + checksum.len()) as u64;
        if event.header.log_pos != 0 && !may_skip {
            raw[LOG_POS..LOG_POS + 4].copy_from_slice(&(end as u32).to_le_bytes());
        }
        let raw = signed(&raw, checksum);
        match assembler.push(&raw, false) {
            Ok(Some(Assembled::Transaction(transaction, _))) => whole(&transaction),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// A transaction's events are whole, and as many bytes as was allowed.
fn whole(transaction: &wal::Transaction) {
    assert!(transaction.events.len() <= TRANSACTION_MAX);
    assert!(!transaction.events.is_empty());
    for event in events(&transaction.events) {
        let event = event.expect("a transaction is whole events");
        read_event(&event, Checksum::Crc32);
    }
}

/// GTIDs and sets of both families, as text and as MySQL's bytes.
pub fn gtid_set(bytes: &[u8]) {
    if let Ok(set) = MysqlGtidSet::decode(bytes) {
        assert_eq!(MysqlGtidSet::decode(&set.encode()).ok().as_ref(), Some(&set));
        let text = set.to_string();
        assert_eq!(text.parse().ok().as_ref(), Some(&set), "{text}");
    }
    let _ = GtidList::decode(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(gtid) = text.parse::<Gtid>() {
        assert_eq!(gtid.to_string().parse().as_ref(), Ok(&gtid));
        for mut set in
            [GtidSet::Mysql(MysqlGtidSet::new()), GtidSet::Mariadb(MariadbGtidList::new())]
        {
            assert_eq!(set.add(&gtid), set.contains(&gtid));
        }
    }
    if let Ok(set) = text.parse::<GtidSet>() {
        // The empty text is MySQL's empty set.
        assert!(set.is_empty() || set.to_string().parse().as_ref() == Ok(&set), "{set}");
    }
    let (one, other) = text.split_once(';').unwrap_or((text, text));
    if let (Ok(one), Ok(other)) = (one.parse(), other.parse()) {
        mysql_algebra(&one, &other);
    }
    if let (Ok(one), Ok(other)) = (one.parse(), other.parse()) {
        mariadb_algebra(&one, &other);
    }
}

fn mysql_algebra(one: &MysqlGtidSet, other: &MysqlGtidSet) {
    let (both, either) = (one.intersect(other), one.union(other));
    assert!(one.is_subset(&either) && other.is_subset(&either));
    assert!(both.is_subset(one) && both.is_subset(other));
    assert_eq!(one.subtract(other).union(&both), *one);
    assert_eq!(both, other.intersect(one));
    assert_eq!(MysqlGtidSet::decode(&either.encode()).ok(), Some(either));
}

fn mariadb_algebra(one: &MariadbGtidList, other: &MariadbGtidList) {
    let either = one.union(other);
    assert!(one.is_subset(&either) && other.is_subset(&either));
}
