//! The events that start a transaction.

use wal::Gtid;

use super::reader::Reader;
use super::{Error, EventHeader, EventKind};

/// GTID, ANONYMOUS_GTID and GTID_TAGGED of MySQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlGtidEvent {
    /// `None` in ANONYMOUS_GTID.
    pub gtid: Option<Gtid>,
    /// Parts of the transaction may be in statement format.
    pub may_have_statements: bool,
    /// Logical clock: no commit after this one was waited for.
    pub last_committed: i64,
    /// Logical clock: its own number in the file.
    pub sequence_number: i64,
    /// Commit at this server, microseconds since 1970; 0 before MySQL 8.0.
    pub immediate_commit_micros: u64,
    /// Commit at the server that executed it first, microseconds since 1970; 0 before MySQL 8.0.
    pub original_commit_micros: u64,
    /// Bytes of the whole transaction; 0 before MySQL 8.0.
    pub transaction_length: u64,
}

const STAMPED_TWICE: u64 = 1 << 55;

impl MysqlGtidEvent {
    /// From the event's header and body.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn decode(header: &EventHeader, body: &[u8]) -> Result<MysqlGtidEvent, Error> {
        match header.kind {
            EventKind::GTID_TAGGED => Self::decode_tagged(body),
            kind => Self::decode_plain(body, kind == EventKind::ANONYMOUS_GTID),
        }
    }

    fn decode_plain(body: &[u8], anonymous: bool) -> Result<MysqlGtidEvent, Error> {
        let mut reader = Reader::new(body, "GTID");
        let flags = reader.u8()?;
        let uuid = reader.array()?;
        let number = reader.u64()?;
        if !anonymous && (number == 0 || number > i64::MAX as u64) {
            return Err(reader.malformed());
        }
        let gtid = (!anonymous).then(|| Gtid::Mysql { uuid, tag: String::new(), number });
        let mut event = MysqlGtidEvent {
            gtid,
            may_have_statements: flags & 1 != 0,
            last_committed: 0,
            sequence_number: 0,
            immediate_commit_micros: 0,
            original_commit_micros: 0,
            transaction_length: 0,
        };
        // 2 marks the logical clock; older servers end here or write something else.
        if reader.rest().first() != Some(&2) {
            return Ok(event);
        }
        reader.take(1)?;
        event.last_committed = reader.u64()? as i64;
        event.sequence_number = reader.u64()? as i64;
        if reader.rest().len() >= 7 {
            let micros = reader.uint(7)?;
            event.immediate_commit_micros = micros & !STAMPED_TWICE;
            event.original_commit_micros =
                if micros & STAMPED_TWICE != 0 { reader.uint(7)? } else { micros };
        }
        if !reader.is_empty() {
            event.transaction_length = reader.lenenc()?;
        }
        Ok(event)
    }

    /// MySQL's serialization library: version, size, last field that must be known, then fields by id.
    fn decode_tagged(body: &[u8]) -> Result<MysqlGtidEvent, Error> {
        let mut reader = Reader::new(body, "GTID_TAGGED");
        if reader.varlen()? != 1 {
            return Err(reader.malformed());
        }
        let (size, last_known) = (reader.varlen()?, reader.varlen()?);
        if size > body.len() as u64 || last_known > 11 {
            return Err(reader.malformed());
        }
        let (mut uuid, mut tag, mut number, mut flags) = ([0; 16], String::new(), 0, 0);
        let (mut last_committed, mut sequence_number, mut transaction_length) = (0, 0, 0);
        let (mut immediate, mut original) = (0, None);
        let mut next_id = 0;
        while !reader.is_empty() {
            let id = reader.varlen()?;
            if id < next_id {
                return Err(reader.malformed());
            }
            next_id = id.checked_add(1).ok_or(reader.malformed())?;
            match id {
                0 => flags = reader.varlen()?,
                1 => {
                    for byte in &mut uuid {
                        *byte = u8::try_from(reader.varlen()?).map_err(|_| reader.malformed())?;
                    }
                }
                2 => number = reader.varlen_signed()?,
                3 => tag = decode_tag(&mut reader)?,
                4 => last_committed = reader.varlen_signed()?,
                5 => sequence_number = reader.varlen_signed()?,
                6 => immediate = reader.varlen()?,
                7 => original = Some(reader.varlen()?),
                8 => transaction_length = reader.varlen()?,
                9..=11 => drop(reader.varlen()?),
                // Fields of later versions; `last_known` says that they may be passed over.
                _ => break,
            }
        }
        let number = u64::try_from(number).ok().filter(|&n| n > 0).ok_or(reader.malformed())?;
        Ok(MysqlGtidEvent {
            gtid: Some(Gtid::Mysql { uuid, tag, number }),
            may_have_statements: flags & 1 != 0,
            last_committed,
            sequence_number,
            immediate_commit_micros: immediate,
            original_commit_micros: original.unwrap_or(immediate),
            transaction_length,
        })
    }
}

/// A tag: length, then letters.
pub(super) fn decode_tag(reader: &mut Reader<'_>) -> Result<String, Error> {
    let len = reader.varlen()?;
    let bytes = reader.take_u64(len)?;
    let legal = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= 32 && bytes.iter().all(legal) => Ok(text.to_owned()),
        _ => Err(reader.malformed()),
    }
}

/// The XA transaction that a MariaDB GTID event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MariadbXid {
    /// Format id.
    pub format_id: u32,
    /// Global part.
    pub gtrid: Vec<u8>,
    /// Branch part.
    pub bqual: Vec<u8>,
}

/// GTID of MariaDB; implies BEGIN unless [`MariadbGtidEvent::STANDALONE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MariadbGtidEvent {
    /// Its name.
    pub gtid: Gtid,
    /// `FL_…` bits.
    pub flags: u8,
    /// Number of the group commit it was part of.
    pub commit_id: Option<u64>,
    /// With PREPARED_XA and COMPLETED_XA.
    pub xid: Option<MariadbXid>,
    /// `FL_EXTRA_…` bits; 0 where the server writes none.
    pub extra_flags: u8,
}

impl MariadbGtidEvent {
    /// One event follows and commits by itself; no COMMIT or XID.
    pub const STANDALONE: u8 = 1;
    /// A commit id follows.
    pub const GROUP_COMMIT_ID: u8 = 2;
    /// Can be rolled back.
    pub const TRANSACTIONAL: u8 = 4;
    /// May run in parallel.
    pub const ALLOW_PARALLEL: u8 = 8;
    /// Waited for a lock.
    pub const WAITED: u8 = 16;
    /// Contains DDL.
    pub const DDL: u8 = 32;
    /// XA PREPARE.
    pub const PREPARED_XA: u8 = 64;
    /// XA COMMIT or XA ROLLBACK.
    pub const COMPLETED_XA: u8 = 128;
    /// More than one engine took part.
    pub const EXTRA_MULTI_ENGINE: u8 = 1;
    /// First half of a two-phase ALTER.
    pub const EXTRA_START_ALTER: u8 = 2;
    /// Second half of a two-phase ALTER.
    pub const EXTRA_COMMIT_ALTER: u8 = 4;
    /// Second half of a two-phase ALTER that failed.
    pub const EXTRA_ROLLBACK_ALTER: u8 = 8;

    /// `true` if all of `bits` are set.
    pub fn has(&self, bits: u8) -> bool {
        self.flags & bits == bits
    }

    /// The half of a two-phase ALTER that changes nothing by itself: its beginning, or its undoing.
    pub fn announces_alter(&self) -> bool {
        self.extra_flags & (Self::EXTRA_START_ALTER | Self::EXTRA_ROLLBACK_ALTER) != 0
    }

    /// From the event's header and body.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn decode(header: &EventHeader, body: &[u8]) -> Result<MariadbGtidEvent, Error> {
        let mut reader = Reader::new(body, "GTID (MariaDB)");
        let (sequence, domain, flags) = (reader.u64()?, reader.u32()?, reader.u8()?);
        let mut commit_id = None;
        if flags & Self::GROUP_COMMIT_ID != 0 {
            commit_id = Some(reader.u64()?);
        }
        let mut xid = None;
        if flags & (Self::PREPARED_XA | Self::COMPLETED_XA) != 0 {
            let format_id = reader.u32()?;
            let (gtrid, bqual) = (reader.u8()?, reader.u8()?);
            if gtrid > 64 || bqual > 64 {
                return Err(reader.malformed());
            }
            xid = Some(MariadbXid {
                format_id,
                gtrid: reader.take(usize::from(gtrid))?.to_vec(),
                bqual: reader.take(usize::from(bqual))?.to_vec(),
            });
        }
        // Padded with zeroes to 19 bytes where nothing follows.
        let extra_flags = if reader.is_empty() { 0 } else { reader.u8()? };
        let gtid = Gtid::Mariadb { domain, server: header.server_id, sequence };
        Ok(MariadbGtidEvent { gtid, flags, commit_id, xid, extra_flags })
    }
}
