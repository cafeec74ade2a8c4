//! Small events that steer the stream.

use wal::{BinlogPosition, Gtid};

use super::reader::Reader;
use super::{Error, EventHeader, EventKind};

/// No file is longer: the servers' own offsets have a sign. Lengths may be added to it.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// ROTATE: where the next events stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotate {
    /// File and offset of the next event.
    pub next: BinlogPosition,
}

impl Rotate {
    /// From the event's body.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Malformed`] where the name is no text.
    pub fn decode(body: &[u8]) -> Result<Rotate, Error> {
        let mut reader = Reader::new(body, "ROTATE");
        let offset = reader.u64()?;
        let file = std::str::from_utf8(reader.rest()).map_err(|_| reader.malformed())?;
        if file.is_empty() || file.contains('\0') || offset > OFFSET_MAX {
            return Err(reader.malformed());
        }
        Ok(Rotate { next: BinlogPosition::new(file, offset) })
    }
}

/// HEARTBEAT v1 and v2: nothing happened up to here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// File of the dump; v2 may leave it out.
    pub file: Option<String>,
    /// Offset of the dump, 64 bits (v2).
    pub offset: Option<u64>,
    /// Low 32 bits of the offset (v1).
    pub offset_low: Option<u32>,
}

impl Heartbeat {
    /// From the event's header and body.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn decode(header: &EventHeader, body: &[u8]) -> Result<Heartbeat, Error> {
        let mut reader = Reader::new(body, "HEARTBEAT");
        if header.kind != EventKind::HEARTBEAT_V2 {
            let file = text(&reader, body)?;
            return Ok(Heartbeat { file, offset: None, offset_low: Some(header.log_pos) });
        }
        let mut heartbeat = Heartbeat { file: None, offset: None, offset_low: None };
        while !reader.is_empty() {
            let field = reader.lenenc()?;
            if field == 0 {
                break;
            }
            let len = reader.lenenc()?;
            let value = reader.take_u64(len)?;
            match field {
                1 => heartbeat.file = text(&reader, value)?,
                2 => {
                    let offset = Reader::new(value, "HEARTBEAT").lenenc()?;
                    let offset = Some(offset).filter(|&offset| offset <= OFFSET_MAX);
                    heartbeat.offset = Some(offset.ok_or(reader.malformed())?);
                }
                _ => {}
            }
        }
        Ok(heartbeat)
    }
}

fn text(reader: &Reader<'_>, bytes: &[u8]) -> Result<Option<String>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| reader.malformed())?;
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// XID: commit in a transactional engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xid(pub u64);

impl Xid {
    /// From the event's body.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn decode(body: &[u8]) -> Result<Xid, Error> {
        Reader::new(body, "XID").u64().map(Xid)
    }
}

/// XA_PREPARE: end of an XA transaction's first phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XaPrepare {
    /// XA COMMIT … ONE PHASE: nothing is parked.
    pub one_phase: bool,
    /// Format id.
    pub format_id: u32,
    /// Global part, then branch part.
    pub gtrid: Vec<u8>,
    /// Branch part.
    pub bqual: Vec<u8>,
}

impl XaPrepare {
    /// From the event's body.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Malformed`] where a part is longer than 64 bytes.
    pub fn decode(body: &[u8]) -> Result<XaPrepare, Error> {
        let mut reader = Reader::new(body, "XA_PREPARE");
        let one_phase = reader.u8()? != 0;
        let format_id = reader.u32()?;
        let (gtrid, bqual) = (reader.u32()?, reader.u32()?);
        if gtrid > 64 || bqual > 64 {
            return Err(reader.malformed());
        }
        Ok(XaPrepare {
            one_phase,
            format_id,
            gtrid: reader.take(gtrid as usize)?.to_vec(),
            bqual: reader.take(bqual as usize)?.to_vec(),
        })
    }
}

/// GTID_LIST: MariaDB's GTIDs before this file; several per domain, the last one executed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GtidList {
    /// As listed.
    pub gtids: Vec<Gtid>,
}

impl GtidList {
    /// From the event's body.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn decode(body: &[u8]) -> Result<GtidList, Error> {
        let mut reader = Reader::new(body, "GTID_LIST");
        let count = reader.u32()? & 0x0fff_ffff;
        let mut gtids = Vec::new();
        for _ in 0..count {
            let (domain, server, sequence) = (reader.u32()?, reader.u32()?, reader.u64()?);
            gtids.push(Gtid::Mariadb { domain, server, sequence });
        }
        Ok(GtidList { gtids })
    }
}
