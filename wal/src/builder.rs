//! Records in, a sealed frame out.

use bytes::Bytes;

use crate::compression::{Codec, Compressor, shrink};
use crate::context::Trace;
use crate::encoding::{Content, put_record, record_bound};
use crate::frame::{FRAME_TARGET_RAW, FrameHeader, MAX_FRAME_RAW, MAX_FRAME_RECORDS, chain};
use crate::{Body, Epoch, Error, Fault, Frame, Lsn, Timestamp};

/// Collects records and makes frames of them. Keeps its buffers from frame to frame: a record costs
/// one copy of its bytes and no allocation.
pub struct FrameBuilder {
    raw: Vec<u8>,
    count: u32,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    sets_format: bool,
    trace: Trace,
    compressor: Compressor,
    codec: Codec,
}

impl Default for FrameBuilder {
    fn default() -> FrameBuilder {
        FrameBuilder::new()
    }
}

impl FrameBuilder {
    /// An empty one.
    pub fn new() -> FrameBuilder {
        FrameBuilder {
            raw: Vec::new(),
            count: 0,
            first: None,
            last: None,
            sets_format: false,
            trace: Trace::default(),
            compressor: Compressor::new(),
            codec: Codec::Lz4,
        }
    }

    /// How bodies are stored from now on, where it makes them smaller; LZ4 at first. Who writes
    /// [`Codec::Zstd`] knows that every member reads version 2 of the log.
    pub fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
    }

    /// Uncompressed bytes so far; seal at about [`crate::FRAME_TARGET_RAW`].
    pub fn raw_len(&self) -> u32 {
        u32::try_from(self.raw.len()).unwrap_or(u32::MAX)
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.count
    }

    /// No record yet?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Is it time to seal?
    pub fn is_full(&self) -> bool {
        self.raw_len() >= FRAME_TARGET_RAW || self.count == MAX_FRAME_RECORDS
    }

    /// Adds a record. On an error the builder is as it was.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::Refused`] where `timestamp` does not grow, or an EpochStart
    /// is not its frame's first record.
    pub fn push(&mut self, timestamp: Timestamp, body: &Body) -> Result<(), Error> {
        let content = Content::of(body);
        if let Some(previous) = self.last.filter(|&last| timestamp <= last) {
            return Err(Error::Refused(Fault::Timestamp { previous, found: timestamp }));
        }
        if self.count > 0 && matches!(content, Content::EpochStart(_)) {
            let what = "place: an epoch starts a frame";
            return Err(Error::Refused(Fault::Record { index: self.count, what }));
        }
        if !content.texts_fit() {
            let what = "text: too long";
            return Err(Error::Refused(Fault::Record { index: self.count, what }));
        }
        if self.count == MAX_FRAME_RECORDS {
            let found = u64::from(self.count) + 1;
            return Err(Error::Refused(Fault::Bounds { what: "record count", found }));
        }
        let bytes = self.raw.len() as u64 + record_bound(&content);
        let limit = u64::from(MAX_FRAME_RAW);
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        put_record(&mut self.raw, self.last, timestamp, &content);
        self.sets_format |= content.sets_format();
        self.trace.see(self.count, &content);
        self.first.get_or_insert(timestamp);
        self.last = Some(timestamp);
        self.count += 1;
        Ok(())
    }

    /// Compresses what was pushed into a frame and starts anew.
    ///
    /// # Errors
    /// [`Error::Refused`] where nothing was pushed.
    pub fn seal(&mut self, epoch: Epoch, first_lsn: Lsn, prev_chain: u32) -> Result<Frame, Error> {
        let (Some(first_timestamp), Some(last_timestamp)) = (self.first, self.last) else {
            return Err(Error::Refused(Fault::Bounds { what: "record count", found: 0 }));
        };
        let chain = chain(prev_chain, epoch, first_lsn, &self.raw);
        let (codec, body) = self.compressor.compress(&self.raw, self.codec);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let header = FrameHeader {
            codec,
            sets_format: self.sets_format,
            epoch,
            first_lsn,
            record_count: self.count,
            first_timestamp,
            last_timestamp,
            raw_len: length(&self.raw),
            body_len: length(body),
            prev_chain,
            chain,
            body_crc: crc32fast::hash(body),
        };
        let mut bytes = Vec::with_capacity(FrameHeader::LEN + body.len());
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(body);
        let frame = Frame::built(header, Bytes::from(bytes), self.trace.clone());
        self.clear();
        Ok(frame)
    }

    /// Drops what was pushed.
    pub fn clear(&mut self) {
        self.raw.clear();
        shrink(&mut self.raw);
        self.compressor.shrink();
        self.count = 0;
        self.first = None;
        self.last = None;
        self.sets_format = false;
        self.trace = Trace::default();
    }
}
