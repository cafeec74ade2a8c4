//! A run of records as one checksummed unit: the bytes on disk are the bytes on the wire.

use bytes::Bytes;

use crate::codec::{Bad, Input, Sink};
use crate::compression::Codec;
use crate::context::Trace;
use crate::encoding::{Content, MIN_RECORD, take_record};
use crate::{ClusterId, Epoch, Error, Fault, LogPoint, Lsn, Record, Timestamp};

/// First two bytes of every frame: `F1 A6` on disk.
pub(crate) const MAGIC: u16 = 0xa6f1;

/// The most uncompressed bytes a frame may hold: 1 GiB. A larger transaction is chunked (I14).
pub const MAX_FRAME_RAW: u32 = 1 << 30;

/// How much an uncompressed body should grow to before its frame is sealed: 128 KiB is where LZ4
/// stops gaining.
pub const FRAME_TARGET_RAW: u32 = 128 << 10;

/// The most records a frame may hold: more than 128 KiB of the smallest ones. A few hostile bytes
/// that decompress to very many empty records cannot fill memory.
pub const MAX_FRAME_RECORDS: u32 = 1 << 16;

/// Flag: holds an EpochStart or FormatDescription record, so that the format in force is found
/// from headers alone.
const SETS_FORMAT: u8 = 1;

/// A frame's first 60 bytes. `FORMAT.md`, "Frame".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// How the body is stored.
    pub codec: Codec,
    /// Does it hold an EpochStart or FormatDescription?
    pub sets_format: bool,
    /// The reign that wrote it.
    pub epoch: Epoch,
    /// Number of its first record.
    pub first_lsn: Lsn,
    /// Its records, from 1.
    pub record_count: u32,
    /// Timestamp of its first record.
    pub first_timestamp: Timestamp,
    /// Timestamp of its last record.
    pub last_timestamp: Timestamp,
    /// Bytes of the body, uncompressed.
    pub raw_len: u32,
    /// Bytes of the body, as stored.
    pub body_len: u32,
    /// `chain` of the frame before; of the first frame, CRC32 of the cluster id.
    pub prev_chain: u32,
    /// CRC32 over `prev_chain`, epoch, first LSN and uncompressed body: all before, in one number.
    pub chain: u32,
    /// CRC32 of the body as stored.
    pub body_crc: u32,
}

impl FrameHeader {
    /// Bytes of a header.
    pub const LEN: usize = 60;

    /// Bytes in front of the header's own checksum.
    const CHECKED: usize = 56;

    /// Number of its last record.
    pub fn last_lsn(&self) -> Lsn {
        self.first_lsn.plus(u64::from(self.record_count - 1))
    }

    /// Its last record's place.
    pub fn last(&self) -> LogPoint {
        LogPoint { epoch: self.epoch, lsn: self.last_lsn() }
    }

    /// Bytes of the whole frame.
    pub fn frame_len(&self) -> u64 {
        Self::LEN as u64 + u64::from(self.body_len)
    }

    /// Reads and checks the first [`FrameHeader::LEN`] of `bytes`: magic, checksum, every bound.
    ///
    /// # Errors
    /// What is wrong. A header that is returned promises lengths that are safe to allocate.
    pub fn decode(bytes: &[u8]) -> Result<FrameHeader, Fault> {
        let Some((bytes, _)) = bytes.split_first_chunk::<{ Self::LEN }>() else {
            return Err(Fault::Short { expected: Self::LEN as u64, found: bytes.len() as u64 });
        };
        let (checked, crc) = bytes.split_at(Self::CHECKED);
        if checked.get(..2) != Some(&MAGIC.to_le_bytes()) {
            return Err(Fault::Magic("frame"));
        }
        let expected = crc32fast::hash(checked);
        let found = Input::new(crc).u32("header checksum").map_err(Fault::Field)?;
        if expected != found {
            return Err(Fault::Checksum { what: "header", expected, found });
        }
        Self::fields(Input::new(checked))?.bounded()
    }

    fn fields(mut input: Input<'_>) -> Result<FrameHeader, Fault> {
        let field = Fault::Field;
        input.u16("magic").map_err(field)?;
        let codec = Codec::from_code(input.u8("codec").map_err(field)?)?;
        let flags = input.u8("flags").map_err(field)?;
        if flags & !SETS_FORMAT != 0 {
            return Err(Fault::Flags(flags));
        }
        let mut rest = || -> Result<FrameHeader, Bad> {
            Ok(FrameHeader {
                codec,
                sets_format: flags & SETS_FORMAT != 0,
                epoch: Epoch::new(input.u32("epoch")?).ok_or("epoch")?,
                first_lsn: Lsn::new(input.u64("LSN")?).ok_or("LSN")?,
                record_count: input.u32("record count")?,
                first_timestamp: timestamp(&mut input)?,
                last_timestamp: timestamp(&mut input)?,
                raw_len: input.u32("raw length")?,
                body_len: input.u32("body length")?,
                prev_chain: input.u32("chain")?,
                chain: input.u32("chain")?,
                body_crc: input.u32("body checksum")?,
            })
        };
        rest().map_err(field)
    }

    fn bounded(self) -> Result<FrameHeader, Fault> {
        let bounds = |what, found: u32| Fault::Bounds { what, found: u64::from(found) };
        let most_records = u64::from(self.raw_len) / MIN_RECORD;
        let ends = self.first_lsn.get().checked_add(u64::from(self.record_count));
        if self.raw_len > MAX_FRAME_RAW {
            return Err(bounds("raw length", self.raw_len));
        }
        if !self.codec.plausible(self.body_len, self.raw_len) {
            return Err(bounds("body length", self.body_len));
        }
        let count = self.record_count;
        if count == 0
            || count > MAX_FRAME_RECORDS
            || u64::from(count) > most_records
            || ends.is_none()
        {
            return Err(bounds("record count", self.record_count));
        }
        if self.first_timestamp > self.last_timestamp {
            let (previous, found) = (self.first_timestamp, self.last_timestamp);
            return Err(Fault::Timestamp { previous, found });
        }
        Ok(self)
    }

    pub(crate) fn encode(&self) -> [u8; FrameHeader::LEN] {
        let mut out = Vec::with_capacity(Self::LEN);
        out.put(&MAGIC.to_le_bytes());
        out.u8(self.codec.code());
        out.u8(if self.sets_format { SETS_FORMAT } else { 0 });
        out.u32(self.epoch.get());
        out.u64(self.first_lsn.get());
        out.u32(self.record_count);
        out.u64(self.first_timestamp.bits());
        out.u64(self.last_timestamp.bits());
        for field in [self.raw_len, self.body_len, self.prev_chain, self.chain, self.body_crc] {
            out.u32(field);
        }
        let crc = crc32fast::hash(&out);
        out.u32(crc);
        out.try_into().expect("the fields above are 60 bytes")
    }
}

fn timestamp(input: &mut Input<'_>) -> Result<Timestamp, Bad> {
    Timestamp::from_bits(input.u64("timestamp")?).ok_or("timestamp")
}

/// The running hash in front of the first frame: of the cluster, so that another cluster's first
/// frame is refused.
pub(crate) fn first_chain(cluster: ClusterId) -> u32 {
    crc32fast::hash(cluster.bytes())
}

/// The running hash behind a frame.
pub(crate) fn chain(prev_chain: u32, epoch: Epoch, first_lsn: Lsn, raw: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&prev_chain.to_le_bytes());
    hasher.update(&epoch.get().to_le_bytes());
    hasher.update(&first_lsn.get().to_le_bytes());
    hasher.update(raw);
    hasher.finalize()
}

/// A whole frame. Cheap to clone: the bytes are shared.
#[derive(Debug, Clone)]
pub struct Frame {
    header: FrameHeader,
    bytes: Bytes,
    /// What its records do to the source context; known only where the frame was built here, so
    /// that the shipper's own log need not decompress what it just compressed.
    trace: Option<std::sync::Arc<Trace>>,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Frame) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Frame {}

impl Frame {
    /// Checks lengths, header checksum and body checksum of `bytes`, which must be one frame and no
    /// more. Does not decompress: what the records are is checked by [`Frame::records`] and by
    /// [`crate::Log::append`].
    ///
    /// # Errors
    /// [`Error::BadFrame`].
    pub fn decode(bytes: Bytes) -> Result<Frame, Error> {
        Frame::check(bytes).map_err(Error::BadFrame)
    }

    pub(crate) fn check(bytes: Bytes) -> Result<Frame, Fault> {
        let header = FrameHeader::decode(&bytes)?;
        let (expected, found) = (header.frame_len(), bytes.len() as u64);
        if found < expected {
            return Err(Fault::Short { expected, found });
        }
        if found > expected {
            return Err(Fault::Trailing(found - expected));
        }
        let body = bytes.get(FrameHeader::LEN..).unwrap_or_default();
        let expected = crc32fast::hash(body);
        if expected != header.body_crc {
            return Err(Fault::Checksum { what: "body", expected, found: header.body_crc });
        }
        Ok(Frame { header, bytes, trace: None })
    }

    pub(crate) fn built(header: FrameHeader, bytes: Bytes, trace: Trace) -> Frame {
        Frame { header, bytes, trace: Some(std::sync::Arc::new(trace)) }
    }

    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// Its header.
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Header and body as on disk and on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body as stored.
    pub(crate) fn stored_body(&self) -> Bytes {
        self.bytes.slice(FrameHeader::LEN..)
    }

    /// Its last record's place.
    pub fn last(&self) -> LogPoint {
        self.header.last()
    }

    /// Decompresses, checks the chain and every record. The records' event bytes are slices of one
    /// allocation of `raw_len` bytes.
    ///
    /// # Errors
    /// [`Error::BadFrame`]: bytes that no [`crate::FrameBuilder`] makes.
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        self.decode_records().map_err(Error::BadFrame)
    }

    pub(crate) fn decode_records(&self) -> Result<Vec<Record>, Fault> {
        let raw = self.header.codec.expand(&self.stored_body(), self.header.raw_len)?;
        let count = usize::try_from(self.header.record_count).unwrap_or(usize::MAX);
        // The count is bounded by the body, but a record takes more memory than its 3 bytes may.
        let mut records = Vec::with_capacity(count.min(4096));
        visit(&self.header, &raw, |lsn, timestamp, content| {
            records.push(Record { lsn, timestamp, body: content.body(&raw) });
        })?;
        Ok(records)
    }
}

/// Checks `raw` against `header` (chain, timestamps, flags, count), showing each record.
pub(crate) fn visit<'a>(
    header: &FrameHeader,
    raw: &'a [u8],
    mut see: impl FnMut(Lsn, Timestamp, Content<'a>),
) -> Result<(), Fault> {
    let expected = chain(header.prev_chain, header.epoch, header.first_lsn, raw);
    if expected != header.chain {
        return Err(Fault::Chain { expected, found: header.chain });
    }
    let mut input = Input::new(raw);
    let mut since = None;
    let mut sets_format = false;
    for index in 0..header.record_count {
        let bad = |what| Fault::Record { index, what };
        let (timestamp, content) = take_record(&mut input, since).map_err(bad)?;
        if since.is_none() && timestamp != header.first_timestamp {
            return Err(bad("first timestamp"));
        }
        if index > 0 && matches!(content, Content::EpochStart(_)) {
            return Err(bad("place: an epoch starts a frame"));
        }
        sets_format |= content.sets_format();
        since = Some(timestamp);
        see(header.first_lsn.plus(u64::from(index)), timestamp, content);
    }
    if since != Some(header.last_timestamp) {
        return Err(Fault::Field("last timestamp"));
    }
    if sets_format != header.sets_format {
        return Err(Fault::Flags(u8::from(header.sets_format)));
    }
    match input.rest().len() as u64 {
        0 => Ok(()),
        left => Err(Fault::Trailing(left)),
    }
}
