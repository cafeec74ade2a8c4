//! From row events to the packets that carry them. Pure.
//!
//! The server takes row events as `BINLOG '<base64>'`. Such a statement must end with a statement's
//! end (STMT_END_F): a statement of the source that does not fit in a packet is cut between its row
//! events, with its table maps said again and the flag set on the cut's last event. All pieces stay
//! in one server transaction (I12).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Error;
use super::join::{Group, join};

/// One thing to send inside a server transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Whole groups of table maps and row events, none empty.
    Rows(Vec<Group>),
    /// A statement as it is: SAVEPOINT, ROLLBACK TO, or our own.
    Statement(Vec<u8>),
}

impl Part {
    /// Its size as sent, at most.
    pub fn len(&self) -> usize {
        match self {
            Part::Rows(groups) => groups.iter().flatten().map(Bytes::len).sum::<usize>() / 3 * 4,
            Part::Statement(text) => text.len(),
        }
    }
}

/// What a packet holds beside the base64: the statement's words, and our own statements around it.
const OVERHEAD: usize = 4 << 10;
/// `BINLOG '` and `'`.
const OPEN: &[u8] = b"BINLOG '";
const CLOSE: &[u8] = b"'";
/// Type codes: table map.
const TABLE_MAP: u8 = 19;
/// Offset of the type code in an event's header; of the flags in a row event.
const TYPE_AT: usize = 4;
const ROW_FLAGS_AT: usize = 19 + 6;
/// The last row event of its statement.
const STMT_END: u8 = 1;
const CRC_LEN: usize = 4;

/// How large a packet may be: the server's `max_allowed_packet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketLimit(usize);

impl PacketLimit {
    /// `max_allowed_packet` of the server, bytes.
    pub fn new(max_allowed_packet: usize) -> PacketLimit {
        PacketLimit(max_allowed_packet)
    }

    /// The most base64 one packet takes.
    fn text(self) -> usize {
        self.0.saturating_sub(OVERHEAD).max(4)
    }

    /// The most raw bytes whose base64 fits.
    fn raw(self) -> usize {
        self.text() / 4 * 3
    }
}

/// Whether this row event ends its statement.
pub fn ends_statement(event: &[u8]) -> bool {
    event.get(ROW_FLAGS_AT).is_some_and(|flags| flags & STMT_END != 0)
}

/// Whether this is a table map.
pub fn is_map(event: &[u8]) -> bool {
    event.get(TYPE_AT) == Some(&TABLE_MAP)
}

/// The flags of a row event.
pub fn row_flags(event: &[u8]) -> Option<u16> {
    let flags = event.get(ROW_FLAGS_AT..ROW_FLAGS_AT + 2)?;
    Some(u16::from_le_bytes([flags[0], flags[1]]))
}

/// Refuses a statement of which one row event, with the table maps, does not fit in a packet.
///
/// # Errors
/// [`Error::EventTooLarge`].
pub fn check(group: &Group, limit: PacketLimit) -> Result<(), Error> {
    let sum = |maps: bool| group.iter().filter(move |event| is_map(event) == maps).map(Bytes::len);
    let bytes = sum(true).sum::<usize>() + sum(false).max().unwrap_or(0);
    match bytes <= limit.raw() {
        true => Ok(()),
        false => {
            let bytes = bytes.div_ceil(3) * 4 + OVERHEAD;
            Err(Error::EventTooLarge { bytes, limit: limit.0 })
        }
    }
}

/// Base64 texts of `groups` (each one statement's table maps and row events, in order), joined where
/// they may be, each text small enough for a packet.
fn encode<'a>(
    groups: impl Iterator<Item = &'a Group>,
    checksum: bool,
    limit: PacketLimit,
) -> Vec<String> {
    let mut texts = Vec::new();
    let mut raw: Vec<u8> = Vec::new();
    for group in join(groups, checksum, limit.raw()) {
        let size: usize = group.iter().map(Bytes::len).sum();
        if raw.len() + size > limit.raw() {
            take(&mut raw, &mut texts);
        }
        if size <= limit.raw() {
            group.iter().for_each(|event| raw.extend_from_slice(event));
        } else {
            cut(&group, checksum, limit, &mut texts);
        }
    }
    take(&mut raw, &mut texts);
    texts
}

fn take(raw: &mut Vec<u8>, texts: &mut Vec<String>) {
    if !raw.is_empty() {
        texts.push(STANDARD.encode(&*raw));
        raw.clear();
    }
}

/// Cuts one statement between its row events, each of which fits ([`check`]).
fn cut(group: &Group, checksum: bool, limit: PacketLimit, texts: &mut Vec<String>) {
    let maps: Vec<u8> =
        group.iter().filter(|event| is_map(event)).flat_map(|event| event.to_vec()).collect();
    let mut raw = maps.clone();
    let mut rows = group.iter().filter(|event| !is_map(event)).peekable();
    while let Some(event) = rows.next() {
        let full =
            rows.peek().is_some_and(|next| raw.len() + event.len() + next.len() > limit.raw());
        match full {
            true => {
                raw.extend_from_slice(&with_end(event, true, checksum));
                take(&mut raw, texts);
                raw.extend_from_slice(&maps);
            }
            false => raw.extend_from_slice(event),
        }
    }
    take(&mut raw, texts);
}

/// The row event with STMT_END_F set or not.
pub fn with_end(event: &[u8], end: bool, checksum: bool) -> Bytes {
    let mut event = event.to_vec();
    if let Some(flags) = event.get_mut(ROW_FLAGS_AT) {
        *flags = *flags & !STMT_END | if end { STMT_END } else { 0 };
    }
    if checksum && let Some(at) = event.len().checked_sub(CRC_LEN) {
        let (content, tail) = event.split_at_mut(at);
        tail.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    }
    Bytes::from(event)
}

/// Packets for one server transaction: `begin`, the parts, `end`; as few as the server allows. Row
/// events that follow each other become one statement.
///
/// A BINLOG statement is always the last of its packet: its answer says that no other follows, also
/// where one does (seen on MariaDB 10.11 and MySQL 9.7), and the client loses step.
pub fn packets<'a>(
    begin: &str,
    parts: impl Iterator<Item = &'a Part>,
    end: &str,
    checksum: bool,
    limit: PacketLimit,
) -> Vec<Vec<u8>> {
    let most = limit.0.max(OVERHEAD);
    let mut packets = Packets { most, done: Vec::new(), open: begin.as_bytes().to_vec() };
    let mut rows: Vec<&Group> = Vec::new();
    for part in parts {
        match part {
            Part::Rows(groups) => rows.extend(groups),
            Part::Statement(text) => {
                packets.binlog(encode(rows.drain(..), checksum, limit));
                packets.room(text.len() + 1);
                packets.open.extend_from_slice(text);
                packets.open.push(b';');
            }
        }
    }
    packets.binlog(encode(rows.drain(..), checksum, limit));
    packets.room(end.len());
    packets.open.extend_from_slice(end.as_bytes());
    packets.close();
    packets.done
}

struct Packets {
    most: usize,
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Packets {
    fn binlog(&mut self, texts: Vec<String>) {
        for text in texts {
            self.room(OPEN.len() + text.len() + CLOSE.len());
            self.open.extend([OPEN, text.as_bytes(), CLOSE].into_iter().flatten());
            self.close();
        }
    }

    /// Makes room for so many bytes.
    fn room(&mut self, bytes: usize) {
        if !self.open.is_empty() && self.open.len() + bytes > self.most {
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.open));
    }
}

/// The statement that gives the session a format description.
pub fn format_statement(event: &[u8]) -> Vec<u8> {
    [OPEN, STANDARD.encode(event).as_bytes(), b"'"].concat()
}

#[cfg(test)]
pub(super) mod samples {
    //! Events as far as packets look at them.

    use super::*;

    pub fn event(kind: u8, table: u64, flags: u8, rest: &[u8]) -> Bytes {
        let mut raw = vec![0; 19];
        raw[TYPE_AT] = kind;
        raw.extend_from_slice(&table.to_le_bytes()[..6]);
        raw.extend_from_slice(&[flags, 0]);
        raw.extend_from_slice(rest);
        let length = u32::try_from(raw.len() + CRC_LEN).unwrap();
        raw[9..13].copy_from_slice(&length.to_le_bytes());
        raw.extend_from_slice(&crc32fast::hash(&raw).to_le_bytes());
        Bytes::from(raw)
    }

    /// The map of table `d.name`; `version` is its definition.
    pub fn map(table: u64, name: &str, version: u8) -> Bytes {
        let length = u8::try_from(name.len()).unwrap();
        let names = [&[1, b'd', 0, length], name.as_bytes(), &[0, version]].concat();
        event(TABLE_MAP, table, 0, &names)
    }

    pub fn row(table: u64, flags: u8, data: &[u8]) -> Bytes {
        event(30, table, flags, data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::samples::{map, row};
    use super::*;

    /// The raw events of each text.
    fn decoded(texts: &[String]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| STANDARD.decode(text).unwrap()).collect()
    }

    fn zeros(table: u64, flags: u8, len: usize) -> Bytes {
        row(table, flags, &vec![0; len])
    }

    #[test]
    fn what_fits_goes_in_one_text() {
        let group = vec![map(1, "t", 0), zeros(1, 1, 50)];
        let texts = encode([group.clone(), group].iter(), true, PacketLimit::new(1 << 20));
        assert_eq!(texts.len(), 1);
    }

    #[test]
    fn a_statement_larger_than_a_packet_is_cut_with_its_maps_said_again() {
        let map = map(1, "t", 0);
        let group = vec![map.clone(), zeros(1, 0, 1_500), zeros(1, 0, 1_500), zeros(1, 1, 10)];
        let limit = PacketLimit::new(OVERHEAD + 4 * 700);
        let texts = decoded(&encode([group].iter(), true, limit));
        assert_eq!(texts.len(), 2);
        for text in &texts {
            assert!(text.starts_with(&map));
        }
        let first = &texts[0][map.len()..];
        assert!(ends_statement(first), "the cut ends a statement");
        let (content, crc) = first.split_at(first.len() - 4);
        assert_eq!(crc32fast::hash(content).to_le_bytes(), crc);
    }

    #[test]
    fn one_event_larger_than_a_packet_names_the_setting() {
        let group = vec![map(1, "t", 0), zeros(1, 0, 10), zeros(1, 1, 9_000)];
        let error = check(&group, PacketLimit::new(OVERHEAD + 4_000)).unwrap_err();
        assert!(error.to_string().contains("max_allowed_packet"), "{error}");
        assert!(check(&group, PacketLimit::new(OVERHEAD + 16_000)).is_ok());
    }

    #[test]
    fn a_binlog_statement_ends_its_packet() {
        // The first words of each statement.
        let heads = |parts: &[Part]| -> Vec<String> {
            let limit = PacketLimit::new(1 << 20);
            let all = packets("BEGIN;", parts.iter(), "COMMIT", true, limit);
            let text = |packet: &Vec<u8>| String::from_utf8(packet.clone()).unwrap();
            let head = |text: String| text.split('\'').next().unwrap_or_default().to_owned();
            all.iter().map(text).map(head).collect()
        };
        let rows = || Part::Rows(vec![vec![map(1, "t", 0), zeros(1, 1, 5)]]);
        assert_eq!(heads(&[rows(), rows()]), ["BEGIN;BINLOG ", "COMMIT"]);
        let savepoint = || Part::Statement(b"SAVEPOINT a".to_vec());
        assert_eq!(
            heads(&[rows(), savepoint(), rows()]),
            ["BEGIN;BINLOG ", "SAVEPOINT a;BINLOG ", "COMMIT"]
        );
        assert_eq!(heads(&[savepoint()]), ["BEGIN;SAVEPOINT a;COMMIT"]);
    }

    proptest! {
        #[test]
        fn packets_stay_within_the_limit_and_lose_nothing(
            sizes in prop::collection::vec((1_usize..6, 0_usize..3_000), 1..12),
            room in 4_200_usize..20_000,
        ) {
            let groups: Vec<Group> = sizes
                .iter()
                .map(|&(rows, len)| {
                    let row = |n| zeros(1, u8::from(n + 1 == rows), len);
                    std::iter::once(map(1, "t", 0)).chain((0..rows).map(row)).collect()
                })
                .collect();
            let limit = PacketLimit::new(OVERHEAD + room);
            for group in &groups {
                prop_assert!(check(group, limit).is_ok());
            }
            let texts = decoded(&encode(groups.iter(), true, limit));
            let rows: usize = groups.iter().flatten().filter(|event| !is_map(event)).count();
            let sent: usize = texts.iter().map(|text| rows_in(text)).sum();
            prop_assert_eq!(sent, rows);
            let parts = [Part::Rows(groups)];
            let sent = packets("BEGIN;", parts.iter(), "COMMIT", true, limit);
            for packet in &sent {
                prop_assert!(packet.len() <= OVERHEAD + room, "{} of {}", packet.len(), room);
            }
            let all = sent.concat();
            prop_assert!(all.starts_with(b"BEGIN;") && all.ends_with(b"COMMIT"));
        }
    }

    /// Row events in a text, each piece of which must begin with a map.
    fn rows_in(text: &[u8]) -> usize {
        assert!(is_map(text));
        let events = crate::binlog::events(&Bytes::copy_from_slice(text));
        events.filter(|event| !is_map(&event.as_ref().unwrap().raw)).count()
    }
}
