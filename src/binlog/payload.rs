//! TRANSACTION_PAYLOAD: a whole transaction, compressed (MySQL).

use std::io::Read;

use bytes::{Bytes, BytesMut};

use super::reader::Reader;
use super::{Checksum, Error, Event, EventHeader};

const WHAT: &str = "TRANSACTION_PAYLOAD";
/// The first event of a payload is BEGIN or XA START; one that is longer is not peeked at.
const FIRST_EVENT_MAX: usize = 256 * 1024;

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadCompression {
    /// Zstandard.
    Zstd,
    /// Not at all.
    None,
}

/// A payload event's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Algorithm.
    pub compression: PayloadCompression,
    /// Bytes of the events after decompression, as the server declares it.
    pub uncompressed: u64,
    /// The compressed events.
    pub packed: &'a [u8],
}

impl<'a> Payload<'a> {
    /// From the event's body.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Malformed`] for an unknown algorithm or wrong sizes.
    pub fn decode(body: &'a [u8]) -> Result<Payload<'a>, Error> {
        let mut reader = Reader::new(body, WHAT);
        let (mut size, mut uncompressed, mut algorithm) = (None, None, None);
        loop {
            let field = reader.lenenc()?;
            if field == 0 {
                break;
            }
            let len = reader.lenenc()?;
            let value = Reader::new(reader.take_u64(len)?, WHAT).lenenc()?;
            match field {
                1 => size = Some(value),
                2 => algorithm = Some(value),
                3 => uncompressed = Some(value),
                _ => {}
            }
        }
        let packed = reader.rest();
        let compression = match algorithm {
            Some(0) => PayloadCompression::Zstd,
            Some(255) => PayloadCompression::None,
            _ => return Err(reader.malformed()),
        };
        if size.is_some_and(|size| size != packed.len() as u64) {
            return Err(reader.malformed());
        }
        let uncompressed = uncompressed.unwrap_or(packed.len() as u64);
        Ok(Payload { compression, uncompressed, packed })
    }

    fn open(&self) -> Result<Box<dyn Read + 'a>, Error> {
        match self.compression {
            PayloadCompression::None => Ok(Box::new(self.packed)),
            PayloadCompression::Zstd => match zstd::stream::read::Decoder::with_buffer(self.packed)
            {
                Ok(decoder) => Ok(Box::new(decoder)),
                Err(source) => Err(Error::Decompress { what: WHAT, source }),
            },
        }
    }

    /// The first event inside, without decompressing the rest. It has no checksum.
    ///
    /// # Errors
    /// As [`expand_payload`].
    pub fn first_event(&self) -> Result<Event, Error> {
        let mut reader = self.open()?;
        let mut raw = vec![0; EventHeader::LEN];
        let fail = |source| Error::Decompress { what: WHAT, source };
        reader.read_exact(&mut raw).map_err(fail)?;
        let header = EventHeader::decode(&raw)?;
        let len = header.event_len as usize;
        if !(EventHeader::LEN..=FIRST_EVENT_MAX).contains(&len) {
            return Err(Error::Malformed { what: WHAT });
        }
        raw.resize(len, 0);
        reader.read_exact(&mut raw[EventHeader::LEN..]).map_err(fail)?;
        Event::new(Bytes::from(raw))
    }

    /// All events inside, without checksums.
    pub(super) fn unpack(&self, limit: u64) -> Result<Vec<u8>, Error> {
        if self.uncompressed > limit {
            return Err(Error::TooLarge { what: WHAT, bytes: self.uncompressed, limit });
        }
        let mut unpacked = Vec::new();
        self.open()?
            .take(self.uncompressed + 1)
            .read_to_end(&mut unpacked)
            .map_err(|source| Error::Decompress { what: WHAT, source })?;
        if unpacked.len() as u64 != self.uncompressed {
            return Err(Error::Malformed { what: WHAT });
        }
        Ok(unpacked)
    }
}

/// The events inside the payload event `event`, one after another as [`super::events`] reads them.
///
/// Inside a payload events have no checksum; each gets its own here where `checksum` says so, so that
/// they fit the format description in force.
///
/// # Errors
/// [`Error::TooLarge`] if they are declared as more than `limit` bytes; [`Error::Decompress`];
/// [`Error::Malformed`] where there are not as many bytes as declared; [`Error::Length`].
pub fn expand_payload(event: &Event, checksum: Checksum, limit: u64) -> Result<Bytes, Error> {
    let unpacked = Bytes::from(Payload::decode(event.body(checksum)?)?.unpack(limit)?);
    if checksum == Checksum::None {
        super::events(&unpacked).try_for_each(|inner| inner.map(drop))?;
        return Ok(unpacked);
    }
    let mut expanded = BytesMut::with_capacity(unpacked.len() + 64);
    for inner in super::events(&unpacked) {
        let inner = inner?;
        let event_len = inner.header.event_len.checked_add(checksum.len() as u32);
        let event_len = event_len.ok_or(Error::Malformed { what: WHAT })?;
        let start = expanded.len();
        expanded.extend_from_slice(&EventHeader { event_len, ..inner.header }.encode());
        expanded.extend_from_slice(&inner.raw[EventHeader::LEN..]);
        let crc = crc32fast::hash(&expanded[start..]);
        expanded.extend_from_slice(&crc.to_le_bytes());
    }
    Ok(expanded.freeze())
}
