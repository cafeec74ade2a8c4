//! MariaDB's compressed columns.

use std::io::Read;

use flate2::read::{DeflateDecoder, ZlibDecoder};

/// A row of the source, and so each of its values, is at most 1 GiB.
const EXPANDED_MAX: u64 = 1 << 30;
/// Low bits of the first byte: bytes of the length. Then: raw deflate instead of zlib. High half: method.
const LENGTH: u8 = 0x07;
const RAW: u8 = 0x08;
const ZLIB: u8 = 0x80;

/// The value of a COMPRESSED column; `None` where the bytes are none. Grows by what is really there.
pub fn expand(packed: &[u8]) -> Option<Vec<u8>> {
    let Some((&head, rest)) = packed.split_first() else {
        return Some(Vec::new());
    };
    if head & 0xf0 == 0 {
        return Some(rest.to_vec());
    }
    let width = usize::from(head & LENGTH);
    if head & 0xf0 != ZLIB || width > 4 {
        return None;
    }
    let (declared, deflated) = rest.split_at_checked(width)?;
    let declared = declared.iter().fold(0, |len, &byte| len << 8 | u64::from(byte));
    let limit = declared.min(EXPANDED_MAX) + 1;
    let mut value = Vec::new();
    let read = match head & RAW {
        0 => ZlibDecoder::new(deflated).take(limit).read_to_end(&mut value),
        _ => DeflateDecoder::new(deflated).take(limit).read_to_end(&mut value),
    };
    read.ok().filter(|&len| len as u64 == declared).map(|_| value)
}
