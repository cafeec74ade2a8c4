//! From row events to the packets that carry them. Pure.
//!
//! The server takes row events as `BINLOG '<base64>'`. Its decoder accepts several base64 texts one
//! after another, padding and all, so each transaction is encoded once, where it is read, and the
//! texts are joined. A BINLOG statement must end with a statement's end (STMT_END_F): a statement of
//! the source that does not fit in a packet is cut between its row events, with its table maps said
//! again and the flag set on the cut's last event. All pieces stay in one server transaction (I12).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Error;

/// One thing to send inside a server transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Base64 of whole groups of table maps and row events.
    Binlog(String),
    /// A statement as it is: SAVEPOINT, ROLLBACK TO, or our own.
    Statement(Vec<u8>),
}

impl Part {
    /// Its size as sent.
    pub fn len(&self) -> usize {
        match self {
            Part::Binlog(text) => text.len(),
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

/// Base64 texts of `groups` (each one statement's table maps and row events, in order), each text
/// small enough for a packet.
///
/// # Errors
/// [`Error::EventTooLarge`] if one row event with its table maps does not fit in a packet.
pub fn encode(
    groups: &[Vec<Bytes>],
    checksum: bool,
    limit: PacketLimit,
) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut raw: Vec<u8> = Vec::new();
    for group in groups {
        let size: usize = group.iter().map(Bytes::len).sum();
        if raw.len() + size > limit.raw() {
            take(&mut raw, &mut parts);
        }
        if size <= limit.raw() {
            group.iter().for_each(|event| raw.extend_from_slice(event));
        } else {
            cut(group, checksum, limit, &mut parts)?;
        }
    }
    take(&mut raw, &mut parts);
    Ok(parts)
}

fn take(raw: &mut Vec<u8>, parts: &mut Vec<Part>) {
    if !raw.is_empty() {
        parts.push(Part::Binlog(STANDARD.encode(&*raw)));
        raw.clear();
    }
}

/// Cuts one statement between its row events.
fn cut(
    group: &[Bytes],
    checksum: bool,
    limit: PacketLimit,
    parts: &mut Vec<Part>,
) -> Result<(), Error> {
    let is_map = |event: &Bytes| event.get(TYPE_AT) == Some(&TABLE_MAP);
    let maps: Vec<u8> =
        group.iter().filter(|event| is_map(event)).flat_map(|event| event.to_vec()).collect();
    let mut raw = maps.clone();
    let mut last = None;
    for event in group.iter().filter(|event| !is_map(event)) {
        if maps.len() + event.len() > limit.raw() {
            let bytes = (maps.len() + event.len()).div_ceil(3) * 4 + OVERHEAD;
            return Err(Error::EventTooLarge { bytes, limit: limit.0 });
        }
        if raw.len() + event.len() > limit.raw() {
            if let Some(at) = last {
                end_statement(&mut raw, at, checksum);
            }
            take(&mut raw, parts);
            raw.extend_from_slice(&maps);
        }
        last = Some(raw.len());
        raw.extend_from_slice(event);
    }
    take(&mut raw, parts);
    Ok(())
}

/// Sets STMT_END_F on the event that starts at `at` and reaches to the end.
fn end_statement(raw: &mut [u8], at: usize, checksum: bool) {
    let event = &mut raw[at..];
    let Some(flags) = event.get_mut(ROW_FLAGS_AT) else { return };
    *flags |= STMT_END;
    if checksum && event.len() > 4 {
        let (content, tail) = event.split_at_mut(event.len() - 4);
        tail.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    }
}

/// Packets for one server transaction: `begin`, the parts, `end`; as few as the server allows.
///
/// A BINLOG statement is always the last of its packet: its answer says that no other follows, also
/// where one does (seen on MariaDB 10.11 and MySQL 9.7), and the client loses step.
pub fn packets<'a>(
    begin: &str,
    parts: impl Iterator<Item = &'a Part>,
    end: &str,
    limit: PacketLimit,
) -> Vec<Vec<u8>> {
    let most = limit.0.max(OVERHEAD);
    let mut done = Vec::new();
    let mut packet = begin.as_bytes().to_vec();
    let mut open = false;
    for part in parts {
        let full = packet.len() + part.len() + OPEN.len() + CLOSE.len() > most;
        let ends = open && matches!(part, Part::Statement(_));
        if (full || ends) && !packet.is_empty() {
            close(&mut packet, &mut open);
            done.push(std::mem::take(&mut packet));
        }
        match part {
            Part::Binlog(text) => {
                if !open {
                    packet.extend_from_slice(OPEN);
                    open = true;
                }
                packet.extend_from_slice(text.as_bytes());
            }
            Part::Statement(text) => {
                packet.extend_from_slice(text);
                packet.push(b';');
            }
        }
    }
    if open || packet.len() + end.len() > most {
        close(&mut packet, &mut open);
        done.push(std::mem::take(&mut packet));
    }
    packet.extend_from_slice(end.as_bytes());
    done.push(packet);
    done
}

fn close(packet: &mut Vec<u8>, open: &mut bool) {
    if std::mem::take(open) {
        packet.extend_from_slice(CLOSE);
    }
}

/// The statement that gives the session a format description.
pub fn format_statement(event: &[u8]) -> Vec<u8> {
    [OPEN, STANDARD.encode(event).as_bytes(), b"'"].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(kind: u8, flags: u8, len: usize) -> Bytes {
        let mut raw = vec![0; 19 + 8 + len + 4];
        raw[TYPE_AT] = kind;
        raw[ROW_FLAGS_AT] = flags;
        let size = raw.len();
        let crc = crc32fast::hash(&raw[..size - 4]);
        raw[size - 4..].copy_from_slice(&crc.to_le_bytes());
        Bytes::from(raw)
    }

    fn decoded(parts: &[Part]) -> Vec<Vec<u8>> {
        parts
            .iter()
            .map(|part| match part {
                Part::Binlog(text) => STANDARD.decode(text).unwrap(),
                Part::Statement(text) => text.clone(),
            })
            .collect()
    }

    #[test]
    fn what_fits_goes_in_one_text() {
        let group = vec![event(TABLE_MAP, 0, 5), event(30, 1, 50)];
        let parts = encode(&[group.clone(), group], true, PacketLimit::new(1 << 20)).unwrap();
        assert_eq!(decoded(&parts).iter().map(Vec::len).collect::<Vec<_>>(), [234]);
    }

    #[test]
    fn a_statement_larger_than_a_packet_is_cut_with_its_maps_said_again() {
        let map = event(TABLE_MAP, 0, 5);
        let group = vec![map.clone(), event(30, 0, 1_500), event(30, 0, 1_500), event(30, 1, 10)];
        let limit = PacketLimit::new(OVERHEAD + 4 * 700);
        let parts = decoded(&encode(&[group], true, limit).unwrap());
        assert_eq!(parts.len(), 2);
        for part in &parts {
            assert!(part.starts_with(&map));
        }
        let first = &parts[0][map.len()..];
        assert!(ends_statement(first), "the cut ends a statement");
        let (content, crc) = first.split_at(first.len() - 4);
        assert_eq!(crc32fast::hash(content).to_le_bytes(), crc);
    }

    #[test]
    fn one_event_larger_than_a_packet_names_the_setting() {
        let group = vec![event(TABLE_MAP, 0, 5), event(30, 1, 9_000)];
        let error = encode(&[group], true, PacketLimit::new(OVERHEAD + 4_000)).unwrap_err();
        assert!(error.to_string().contains("max_allowed_packet"), "{error}");
    }

    #[test]
    fn a_binlog_statement_ends_its_packet() {
        let texts = |packets: Vec<Vec<u8>>| -> Vec<String> {
            packets.into_iter().map(|packet| String::from_utf8(packet).unwrap()).collect()
        };
        let limit = PacketLimit::new(1 << 20);
        let parts = [Part::Binlog("QQ==".into()), Part::Binlog("QUI=".into())];
        let all = texts(packets("BEGIN;", parts.iter(), "COMMIT", limit));
        assert_eq!(all, ["BEGIN;BINLOG 'QQ==QUI='", "COMMIT"]);
        let parts = [
            Part::Binlog("QQ==".into()),
            Part::Statement(b"SAVEPOINT a".to_vec()),
            Part::Binlog("QUI=".into()),
        ];
        let all = texts(packets("BEGIN;", parts.iter(), "COMMIT", limit));
        assert_eq!(all, ["BEGIN;BINLOG 'QQ=='", "SAVEPOINT a;BINLOG 'QUI='", "COMMIT"]);
        let parts = [Part::Statement(b"DELETE x".to_vec())];
        let all = texts(packets("BEGIN;", parts.iter(), "COMMIT", limit));
        assert_eq!(all, ["BEGIN;DELETE x;COMMIT"]);
    }

    proptest! {
        #[test]
        fn packets_stay_within_the_limit_and_lose_nothing(
            sizes in prop::collection::vec((1_usize..6, 0_usize..3_000), 1..12),
            room in 4_200_usize..20_000,
        ) {
            let groups: Vec<Vec<Bytes>> = sizes
                .iter()
                .map(|&(rows, len)| {
                    let row = |n| event(30, u8::from(n + 1 == rows), len);
                    std::iter::once(event(TABLE_MAP, 0, 9)).chain((0..rows).map(row)).collect()
                })
                .collect();
            let limit = PacketLimit::new(OVERHEAD + room);
            let parts = encode(&groups, true, limit).unwrap();
            let rows: usize = decoded(&parts).concat().len();
            let fewest: usize = groups.iter().flatten().map(Bytes::len).sum();
            prop_assert!(rows >= fewest);
            for part in decoded(&parts) {
                prop_assert_eq!(part[TYPE_AT], TABLE_MAP);
            }
            let sent = packets("BEGIN;", parts.iter(), "COMMIT", limit);
            for packet in &sent {
                prop_assert!(packet.len() <= OVERHEAD + room, "{} of {}", packet.len(), room);
            }
            let all = sent.concat();
            prop_assert!(all.starts_with(b"BEGIN;") && all.ends_with(b"COMMIT"));
        }
    }
}
