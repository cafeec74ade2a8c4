//! One event: header, body, checksum.

use bytes::Bytes;

use super::reader::Reader;
use super::{Error, EventKind};

/// Whether events end with four bytes of CRC32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// They do not.
    None,
    /// They do.
    Crc32,
}

impl Checksum {
    /// Bytes behind the body.
    pub const fn len(self) -> usize {
        match self {
            Checksum::None => 0,
            Checksum::Crc32 => 4,
        }
    }

    /// `true` where there is none.
    pub const fn is_empty(self) -> bool {
        matches!(self, Checksum::None)
    }
}

/// Flag bits of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFlags(pub u16);

impl EventFlags {
    /// Made up by the dump thread; in no file.
    pub const ARTIFICIAL: EventFlags = EventFlags(0x20);
    /// Who does not know the type may pass over it.
    pub const IGNORABLE: EventFlags = EventFlags(0x80);

    /// All bits of `other` are set.
    pub const fn has(self, other: EventFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The 19 bytes that start every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// Seconds since 1970; when the statement began.
    pub timestamp: u32,
    /// Type.
    pub kind: EventKind,
    /// `server_id` of the server that executed it first.
    pub server_id: u32,
    /// Length of the whole event: header, body, checksum.
    pub event_len: u32,
    /// Low 32 bits of the offset behind the event; 0 in most artificial ones.
    pub log_pos: u32,
    /// Flags.
    pub flags: EventFlags,
}

impl EventHeader {
    /// Bytes of a header.
    pub const LEN: usize = 19;

    /// Reads the first 19 bytes of `raw`.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn decode(raw: &[u8]) -> Result<EventHeader, Error> {
        let mut reader = Reader::new(raw, "event header");
        Ok(EventHeader {
            timestamp: reader.u32()?,
            kind: EventKind(reader.u8()?),
            server_id: reader.u32()?,
            event_len: reader.u32()?,
            log_pos: reader.u32()?,
            flags: EventFlags(reader.u16()?),
        })
    }

    /// The 19 bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..4].copy_from_slice(&self.timestamp.to_le_bytes());
        bytes[4] = self.kind.0;
        bytes[5..9].copy_from_slice(&self.server_id.to_le_bytes());
        bytes[9..13].copy_from_slice(&self.event_len.to_le_bytes());
        bytes[13..17].copy_from_slice(&self.log_pos.to_le_bytes());
        bytes[17..19].copy_from_slice(&self.flags.0.to_le_bytes());
        bytes
    }
}

/// A raw event whose header was read and whose length is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Decoded header.
    pub header: EventHeader,
    /// Header, body and checksum, as they came.
    pub raw: Bytes,
}

impl Event {
    /// Takes `raw` as exactly one event.
    ///
    /// # Errors
    /// [`Error::Truncated`] without a whole header, [`Error::Length`] if the header's length differs.
    pub fn new(raw: Bytes) -> Result<Event, Error> {
        let header = EventHeader::decode(&raw)?;
        check_len(&header, raw.len())?;
        Ok(Event { header, raw })
    }

    /// What stands between header and checksum.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room for the checksum.
    pub fn body(&self, checksum: Checksum) -> Result<&[u8], Error> {
        body_of(&self.raw, checksum)
    }

    /// Compares the CRC32.
    ///
    /// # Errors
    /// [`Error::Checksum`]; [`Error::Truncated`] if there is no room for it.
    pub fn verify(&self, checksum: Checksum) -> Result<(), Error> {
        verify_crc(&self.header, &self.raw, checksum).map(drop)
    }
}

/// Body of a raw event: between header and checksum.
pub(super) fn body_of(raw: &[u8], checksum: Checksum) -> Result<&[u8], Error> {
    let end = raw.len().saturating_sub(checksum.len());
    raw.get(EventHeader::LEN..end).ok_or(Error::Truncated {
        what: "event",
        need: (EventHeader::LEN + checksum.len()) as u64,
        have: raw.len(),
    })
}

/// The header's length must be the number of bytes.
pub(super) fn check_len(header: &EventHeader, actual: usize) -> Result<(), Error> {
    if header.event_len as usize != actual || actual < EventHeader::LEN {
        return Err(Error::Length { kind: header.kind, declared: header.event_len, actual });
    }
    Ok(())
}

/// The stored CRC32 after comparison; 0 where checksums are off.
pub(super) fn verify_crc(header: &EventHeader, raw: &[u8], on: Checksum) -> Result<u32, Error> {
    if on == Checksum::None {
        return Ok(0);
    }
    body_of(raw, on)?;
    let (content, tail) = raw.split_at(raw.len() - on.len());
    let mut stored = [0; 4];
    stored.copy_from_slice(tail);
    let (stored, computed) = (u32::from_le_bytes(stored), crc32fast::hash(content));
    if stored != computed {
        return Err(Error::Checksum { kind: header.kind, stored, computed });
    }
    Ok(stored)
}

/// An event made by us: right length, no position, checksum where asked for.
pub(super) fn build(
    header: &EventHeader,
    body: &[&[u8]],
    checksum: Checksum,
) -> Result<Bytes, Error> {
    let len = EventHeader::LEN + body.iter().map(|part| part.len()).sum::<usize>() + checksum.len();
    let event_len = u32::try_from(len).map_err(|_| Error::TooLarge {
        what: "event",
        bytes: len as u64,
        limit: u64::from(u32::MAX),
    })?;
    let mut raw = Vec::with_capacity(len);
    raw.extend_from_slice(&EventHeader { event_len, ..*header }.encode());
    body.iter().for_each(|part| raw.extend_from_slice(part));
    if checksum == Checksum::Crc32 {
        let crc = crc32fast::hash(&raw);
        raw.extend_from_slice(&crc.to_le_bytes());
    }
    Ok(Bytes::from(raw))
}

/// The events that lie one after another in `bytes`, without copying. After an error it ends.
///
/// Checks lengths; checksums are for [`Event::verify`], since they were checked when the events came.
pub fn events(bytes: &Bytes) -> Events {
    Events { rest: bytes.clone() }
}

/// Whether the first of these events is the first of a transaction.
///
/// # Errors
/// [`Error::Truncated`] and others of a damaged event.
pub fn begins_transaction(bytes: &Bytes) -> Result<bool, Error> {
    let first = events(bytes).next().transpose()?;
    Ok(first.is_some_and(|event| event.header.kind.begins_transaction()))
}

/// Iterator of [`events`].
#[derive(Debug, Clone)]
pub struct Events {
    rest: Bytes,
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.rest.is_empty() {
            return None;
        }
        let next = self.split();
        if next.is_err() {
            self.rest.clear();
        }
        Some(next)
    }
}

impl Events {
    fn split(&mut self) -> Result<Event, Error> {
        let header = EventHeader::decode(&self.rest)?;
        let len = header.event_len as usize;
        if len < EventHeader::LEN || len > self.rest.len() {
            let actual = self.rest.len();
            return Err(Error::Length { kind: header.kind, declared: header.event_len, actual });
        }
        Ok(Event { header, raw: self.rest.split_to(len) })
    }
}
