//! MariaDB's compressed events 165–171: the same as without compression, but for one zlib part.

use std::io::Read;

use super::event::build;
use super::reader::Reader;
use super::{Checksum, Error, Event, EventHeader, EventKind};

/// `true` for the types that [`expand_compressed`] expands.
pub fn is_compressed(kind: EventKind) -> bool {
    expanded_kind(kind).is_some()
}

fn expanded_kind(kind: EventKind) -> Option<EventKind> {
    Some(match kind {
        EventKind::QUERY_COMPRESSED => EventKind::QUERY,
        EventKind::WRITE_ROWS_COMPRESSED_V1 => EventKind::WRITE_ROWS_V1,
        EventKind::UPDATE_ROWS_COMPRESSED_V1 => EventKind::UPDATE_ROWS_V1,
        EventKind::DELETE_ROWS_COMPRESSED_V1 => EventKind::DELETE_ROWS_V1,
        EventKind::WRITE_ROWS_COMPRESSED => EventKind::WRITE_ROWS,
        EventKind::UPDATE_ROWS_COMPRESSED => EventKind::UPDATE_ROWS,
        EventKind::DELETE_ROWS_COMPRESSED => EventKind::DELETE_ROWS,
        _ => return None,
    })
}

/// The uncompressed form of `event`, with a checksum of its own where `checksum` says so.
/// An event of another type comes back as it is.
///
/// # Errors
/// [`Error::TooLarge`] if it would be more than `limit` bytes; [`Error::Decompress`];
/// [`Error::Malformed`] where it is not as long as it declares; [`Error::Truncated`].
pub fn expand_compressed(event: &Event, checksum: Checksum, limit: u64) -> Result<Event, Error> {
    let Some(kind) = expanded_kind(event.header.kind) else {
        return Ok(event.clone());
    };
    let body = event.body(checksum)?;
    let (plain, packed) = split(event.header.kind, body)?;
    let unpacked = unpack(packed, limit)?;
    let header = EventHeader { kind, ..event.header };
    Event::new(build(&header, &[plain, &unpacked], checksum)?)
}

/// The part that is as it was, and the compressed rest.
fn split(kind: EventKind, body: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let mut reader = Reader::new(body, "compressed event");
    if kind == EventKind::QUERY_COMPRESSED {
        reader.take(8)?;
        let database_len = usize::from(reader.u8()?);
        reader.take(2)?;
        let status_len = usize::from(reader.u16()?);
        reader.take(status_len)?;
        reader.take(database_len + 1)?;
    } else {
        reader.take(8)?;
        if kind.0 >= EventKind::WRITE_ROWS_COMPRESSED.0 {
            let extra = usize::from(reader.u16()?);
            reader.take(extra.checked_sub(2).ok_or(reader.malformed())?)?;
        }
        let bitmap = reader.lenenc()?.div_ceil(8);
        reader.take_u64(bitmap)?;
        if kind.is_update_rows() {
            reader.take_u64(bitmap)?;
        }
    }
    let packed = reader.rest();
    Ok((&body[..body.len() - packed.len()], packed))
}

/// One byte (0x80, algorithm, bytes of length), the length big-endian, zlib.
fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>, Error> {
    const WHAT: &str = "compressed event";
    let mut reader = Reader::new(packed, WHAT);
    let head = reader.u8()?;
    let width = usize::from(head & 0x07);
    if head & 0xf0 != 0x80 || !(1..=4).contains(&width) {
        return Err(reader.malformed());
    }
    let declared = reader.take(width)?.iter().fold(0, |len, &byte| len << 8 | u64::from(byte));
    if declared > limit {
        return Err(Error::TooLarge { what: WHAT, bytes: declared, limit });
    }
    let mut unpacked = Vec::new();
    flate2::read::ZlibDecoder::new(reader.rest())
        .take(declared + 1)
        .read_to_end(&mut unpacked)
        .map_err(|source| Error::Decompress { what: WHAT, source })?;
    if unpacked.len() as u64 != declared {
        return Err(reader.malformed());
    }
    Ok(unpacked)
}
