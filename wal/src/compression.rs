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
    /// One Zstandard frame (RFC 8878): a quarter smaller than LZ4 at half as much more work. Only in
    /// segments of version 2.
    Zstd,
}

/// Level 1 is as small as level 3 to within a tenth, in two thirds of its time (`docs/benchmarks.md`
/// names the data).
const ZSTD_LEVEL: i32 = 1;

/// A block of Zstandard gives at most 128 KiB, and takes at least 4 bytes.
const ZSTD_BLOCK: u64 = 128 << 10;
const ZSTD_LEAST: u64 = 4;

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
            Codec::Zstd => 2,
        }
    }

    /// The first version of a segment that may hold it.
    pub(crate) fn version(self) -> u16 {
        match self {
            Codec::Stored | Codec::Lz4 => 1,
            Codec::Zstd => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Codec, Fault> {
        match code {
            0 => Ok(Codec::Stored),
            1 => Ok(Codec::Lz4),
            2 => Ok(Codec::Zstd),
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
            Codec::Zstd => {
                let most = (u64::from(body_len) / ZSTD_LEAST + 1) * ZSTD_BLOCK;
                body_len <= raw_len && u64::from(raw_len) <= most
            }
        }
    }

    /// The uncompressed body. Allocates `raw_len`, whose bounds the caller has checked.
    pub(crate) fn expand(self, body: &Bytes, raw_len: u32) -> Result<Bytes, Fault> {
        match self {
            Codec::Stored => Ok(body.clone()),
            Codec::Lz4 | Codec::Zstd => {
                let mut raw = Vec::new();
                self.expand_into(body, raw_len, &mut raw)?;
                Ok(Bytes::from(raw))
            }
        }
    }

    /// The uncompressed body in `raw`, which becomes exactly `raw_len` long.
    pub(crate) fn expand_into(
        self,
        body: &[u8],
        raw_len: u32,
        raw: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let fault = || Fault::Compression(raw_len);
        let length = usize::try_from(raw_len).map_err(|_| fault())?;
        let written = match self {
            Codec::Stored => {
                raw.clear();
                raw.extend_from_slice(body);
                Some(body.len())
            }
            Codec::Lz4 => {
                raw.resize(length, 0);
                decompress_into(body, raw).ok()
            }
            Codec::Zstd => {
                raw.clear();
                raw.reserve(length);
                // The library would take several frames, one after another: two bodies for one.
                if zstd::zstd_safe::find_frame_compressed_size(body) != Ok(body.len()) {
                    return Err(fault());
                }
                // Writes into what was reserved, and no further.
                let decompressor = zstd::bulk::Decompressor::new();
                decompressor.and_then(|mut zstd| zstd.decompress_to_buffer(body, raw)).ok()
            }
        };
        if written == Some(length) { Ok(()) } else { Err(fault()) }
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
    zstd: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Compressor {
    pub fn new() -> Compressor {
        let (small, large) = (CompressTable::small(), CompressTable::large());
        Compressor { small, large, zstd: None, out: Vec::new() }
    }

    /// What to store for `raw`, and how: by `codec` where that makes it smaller. The same input gives
    /// the same bytes, whatever came before.
    pub fn compress<'a>(&'a mut self, raw: &'a [u8], codec: Codec) -> (Codec, &'a [u8]) {
        let length = match codec {
            Codec::Stored => None,
            Codec::Lz4 => self.lz4(raw),
            Codec::Zstd => self.zstd(raw),
        };
        match length.filter(|&length| length < raw.len()).and_then(|length| self.out.get(..length))
        {
            Some(body) => (codec, body),
            None => (Codec::Stored, raw),
        }
    }

    fn lz4(&mut self, raw: &[u8]) -> Option<usize> {
        self.room(get_maximum_output_size(raw.len()));
        let table = if raw.len() < SMALL_INPUT { &mut self.small } else { &mut self.large };
        compress_into_with_table(raw, &mut self.out, table).ok()
    }

    /// `None` also where the library has no memory: the body is stored then.
    fn zstd(&mut self, raw: &[u8]) -> Option<usize> {
        self.room(zstd::zstd_safe::compress_bound(raw.len()));
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        self.zstd.as_mut()?.compress_to_buffer(raw, &mut self.out[..]).ok()
    }

    fn room(&mut self, bytes: usize) {
        if self.out.len() < bytes {
            self.out.resize(bytes, 0);
        }
    }

    /// Gives back what a large frame needed.
    pub fn shrink(&mut self) {
        shrink(&mut self.out);
    }
}
