//! The primitives of `FORMAT.md`: how numbers, texts and positions stand in bytes.
//!
//! Little-endian; varints are LEB128. Reading never allocates and never panics: it borrows.

use crate::{BinlogPosition, Gtid};

/// No name or version text is longer. Bounds a segment's header, which holds some of them.
pub(crate) const MAX_TEXT: usize = 4096;

/// Where encoded bytes go: into a buffer, or only into a count, so that a length can precede its
/// bytes without a second buffer.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn varint(&mut self, mut value: u64) {
        let mut bytes = [0u8; 10];
        let mut used = 0;
        for byte in &mut bytes {
            *byte = (value & 0x7f) as u8;
            value >>= 7;
            used += 1;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        self.put(bytes.get(..used).unwrap_or(&bytes));
    }

    /// Length as a varint, then the bytes.
    fn block(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.put(bytes);
    }

    fn position(&mut self, at: Place<'_>) {
        self.block(at.file.as_bytes());
        self.varint(at.offset);
    }

    fn gtid(&mut self, gtid: Option<&Gtid>) {
        match gtid {
            None => self.u8(0),
            Some(Gtid::Mysql { uuid, tag, number }) => {
                self.u8(1);
                self.put(uuid);
                self.block(tag.as_bytes());
                self.varint(*number);
            }
            Some(Gtid::Mariadb { domain, server, sequence }) => {
                self.u8(2);
                self.varint(u64::from(*domain));
                self.varint(u64::from(*server));
                self.varint(*sequence);
            }
        }
    }

    fn optional_u32(&mut self, value: Option<u32>) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                self.u32(value);
            }
        }
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Count(pub usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// A [`BinlogPosition`] that borrows its file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub file: &'a str,
    pub offset: u64,
}

impl<'a> Place<'a> {
    pub fn of(position: &'a BinlogPosition) -> Place<'a> {
        Place { file: &position.file, offset: position.offset }
    }

    pub fn position(self) -> BinlogPosition {
        BinlogPosition::new(self.file, self.offset)
    }

    /// Writes itself over `kept`, whose text buffer is used again.
    pub fn store(self, kept: &mut Option<BinlogPosition>) {
        let kept = kept.get_or_insert_with(|| BinlogPosition::new("", 0));
        kept.file.clear();
        kept.file.push_str(self.file);
        kept.offset = self.offset;
    }
}

/// Encoded bytes being read. Every method names what it could not read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

/// Name of the field that was malformed.
pub(crate) type Bad = &'static str;

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub fn take(&mut self, count: u64, what: Bad) -> Result<&'a [u8], Bad> {
        let count = usize::try_from(count).map_err(|_| what)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(what)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: Bad) -> Result<[u8; N], Bad> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(what)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self, what: Bad) -> Result<u8, Bad> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub fn u16(&mut self, what: Bad) -> Result<u16, Bad> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: Bad) -> Result<u32, Bad> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: Bad) -> Result<u64, Bad> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub fn id(&mut self, what: Bad) -> Result<[u8; 16], Bad> {
        self.array(what)
    }

    pub fn varint(&mut self, what: Bad) -> Result<u64, Bad> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(what);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(what)
    }

    fn varint_u32(&mut self, what: Bad) -> Result<u32, Bad> {
        u32::try_from(self.varint(what)?).map_err(|_| what)
    }

    pub fn block(&mut self, what: Bad) -> Result<&'a [u8], Bad> {
        let count = self.varint(what)?;
        self.take(count, what)
    }

    pub fn text(&mut self, what: Bad) -> Result<&'a str, Bad> {
        let bytes = self.block(what)?;
        if bytes.len() > MAX_TEXT {
            return Err(what);
        }
        std::str::from_utf8(bytes).map_err(|_| what)
    }

    pub fn position(&mut self, what: Bad) -> Result<Place<'a>, Bad> {
        Ok(Place { file: self.text(what)?, offset: self.varint(what)? })
    }

    pub fn gtid(&mut self) -> Result<Option<Gtid>, Bad> {
        const WHAT: Bad = "GTID";
        Ok(match self.u8(WHAT)? {
            0 => None,
            1 => Some(Gtid::Mysql {
                uuid: self.id(WHAT)?,
                tag: self.text(WHAT)?.to_owned(),
                number: self.varint(WHAT)?,
            }),
            2 => Some(Gtid::Mariadb {
                domain: self.varint_u32(WHAT)?,
                server: self.varint_u32(WHAT)?,
                sequence: self.varint(WHAT)?,
            }),
            _ => return Err(WHAT),
        })
    }

    pub fn optional_u32(&mut self, what: Bad) -> Result<Option<u32>, Bad> {
        match self.u8(what)? {
            0 => Ok(None),
            1 => Ok(Some(self.u32(what)?)),
            _ => Err(what),
        }
    }

    /// Nothing may be left.
    pub fn end(self, what: Bad) -> Result<(), Bad> {
        if self.is_empty() { Ok(()) } else { Err(what) }
    }
}
