//! A frame's body, smaller.

use bytes::Bytes;
use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use crate::Fault;

/// How a body is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As it is: where compression would not make it smaller.
    Stored,
    /// One LZ4 block, without a size in front.
    Lz4,
}

/// LZ4 cannot expand more than 255 times (a length byte adds at most 255), plus this for the rest.
const LZ4_SLACK: u64 = 64;

/// Scratch beyond this is given back after use, so that one huge transaction does not keep its
/// memory for ever.
const KEEP_BYTES: usize = 4 << 20;

/// Below this, two-byte table entries reach everywhere; the smaller table is cleared faster.
const SMALL_INPUT: usize = u16::MAX as usize;

impl Codec {
    pub(crate) fn code(self) -> u8 {
        match self {
            Codec::Stored => 0,
            Codec::Lz4 => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Codec, Fault> {
        match code {
            0 => Ok(Codec::Stored),
            1 => Ok(Codec::Lz4),
            _ => Err(Fault::Codec(code)),
        }
    }

    /// Could `body_len` bytes become `raw_len`? Asked before anything is allocated.
    pub(crate) fn plausible(self, body_len: u32, raw_len: u32) -> bool {
        match self {
            Codec::Stored => body_len == raw_len,
            Codec::Lz4 => {
                body_len <= raw_len && u64::from(raw_len) <= u64::from(body_len) * 255 + LZ4_SLACK
            }
        }
    }

    /// The uncompressed body. Allocates `raw_len`, whose bounds the caller has checked.
    pub(crate) fn expand(self, body: &Bytes, raw_len: u32) -> Result<Bytes, Fault> {
        match self {
            Codec::Stored => Ok(body.clone()),
            Codec::Lz4 => {
                let mut raw = Vec::new();
                expand_into(body, raw_len, &mut raw)?;
                Ok(Bytes::from(raw))
            }
        }
    }
}

/// LZ4 into `raw`, which becomes exactly `raw_len` long.
pub(crate) fn expand_into(body: &[u8], raw_len: u32, raw: &mut Vec<u8>) -> Result<(), Fault> {
    let fault = Fault::Compression(raw_len);
    let length = usize::try_from(raw_len).map_err(|_| fault.clone())?;
    raw.resize(length, 0);
    match decompress_into(body, raw) {
        Ok(written) if written == length => Ok(()),
        _ => Err(fault),
    }
}

/// Lets go of a scratch buffer that one large frame blew up.
pub(crate) fn shrink(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEEP_BYTES {
        *buffer = Vec::new();
    }
}

/// Compresses with kept tables and buffer.
pub(crate) struct Compressor {
    small: CompressTable,
    large: CompressTable,
    out: Vec<u8>,
}

impl Compressor {
    pub fn new() -> Compressor {
        Compressor { small: CompressTable::small(), large: CompressTable::large(), out: Vec::new() }
    }

    /// What to store for `raw`, and how. The same input gives the same bytes, whatever came before.
    pub fn compress<'a>(&'a mut self, raw: &'a [u8]) -> (Codec, &'a [u8]) {
        let bound = get_maximum_output_size(raw.len());
        if self.out.len() < bound {
            self.out.resize(bound, 0);
        }
        let table = if raw.len() < SMALL_INPUT { &mut self.small } else { &mut self.large };
        match compress_into_with_table(raw, &mut self.out, table) {
            Ok(length) if length < raw.len() => match self.out.get(..length) {
                Some(body) => (Codec::Lz4, body),
                None => (Codec::Stored, raw),
            },
            _ => (Codec::Stored, raw),
        }
    }

    /// Gives back what a large frame needed.
    pub fn shrink(&mut self) {
        shrink(&mut self.out);
    }
}
