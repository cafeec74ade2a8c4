//! The first bytes of a segment file. `FORMAT.md`, "Segment header".

use crate::codec::{Bad, Input, Sink};
use crate::disk::File;
use crate::link::Takes;
use crate::{ClusterId, Epoch, Error, Fault, Lsn, SourceContext, Timestamp};

/// First eight bytes of every segment.
pub(crate) const MAGIC: &[u8; 8] = b"PLIMSEG\n";

/// The version of a log's first segments. Later ones are written where a frame needs it
/// (`Codec::version`), and behind those.
pub(crate) const FIRST_VERSION: u16 = 1;

/// The newest version that is read, and written.
pub(crate) const LAST_VERSION: u16 = 2;

/// The first version whose segments may be written anew.
pub(crate) const REWRITTEN_VERSION: u16 = 2;

/// Flag: the file was written anew after it was sealed.
const REWRITTEN: u16 = 1;

/// Bytes that such a header has more, behind the context.
const REWRITTEN_LEN: usize = 20;

/// Bytes in front of the context.
const FIXED: usize = 80;

/// Bytes of the checksum behind it.
const CRC: usize = 4;

/// No header is longer: the texts of a context are bounded (`codec::MAX_TEXT`).
const MAX_LEN: u32 = 64 << 10;

/// What a segment says about itself and about the log in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Of the format: which codecs its frames may have.
    pub version: u16,
    pub cluster: ClusterId,
    /// Of every frame in it.
    pub epoch: Epoch,
    /// LSN of its first record; also its file name.
    pub base: Lsn,
    pub before: Before,
    /// The source's state in front of its first record.
    pub context: Option<SourceContext>,
    /// Set where the file was written anew since it was sealed.
    pub rewritten: Option<Rewritten>,
    /// Bytes of this header in the file: where the first frame starts.
    pub len: u64,
}

/// What a file that took a sealed segment's place says: the header behind it names the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// Length of the file as it was sealed.
    pub sealed: u64,
    /// Length of this file.
    pub bytes: u64,
    /// Running checksum behind its last frame.
    pub chain: u32,
}

/// The end of the log in front of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    /// Running checksum.
    pub chain: u32,
    /// Epoch of the record before; `None` before the first.
    pub epoch: Option<Epoch>,
    /// Timestamp of the record before.
    pub timestamp: Option<Timestamp>,
    /// First LSN of the segment before; `None` before the first.
    pub base: Option<Lsn>,
    /// Length of the segment file before; 0 before the first.
    pub bytes: u64,
}

impl Before {
    /// A record is before every base but 1, in an older segment, of no later epoch.
    fn fits(&self, cluster: ClusterId, base: Lsn, epoch: Epoch) -> Result<(), Bad> {
        let record = base > Lsn::FIRST;
        let wrong = |there: bool| there != record;
        if wrong(self.epoch.is_some()) || self.epoch.is_some_and(|before| before > epoch) {
            return Err("epoch of the record before");
        }
        if wrong(self.timestamp.is_some()) {
            return Err("timestamp of the record before");
        }
        // The first segment behind a `beginning` has none before it.
        if self.base.is_some_and(|before| before >= base) {
            return Err("base LSN of the segment before");
        }
        if self.base.is_some() != (self.bytes > 0) {
            return Err("length of the segment before");
        }
        if !record && self.chain != crate::frame::first_chain(cluster) {
            return Err("chain: the first is of the cluster id");
        }
        Ok(())
    }
}

impl SegmentHeader {
    /// Which frames may stand in it.
    pub fn takes(&self) -> Takes {
        Takes { epoch: self.epoch, version: self.version }
    }

    /// The file name of a segment.
    pub fn file_name(base: Lsn) -> String {
        format!("{:020}.seg", base.get())
    }

    /// The bytes; `self.len` becomes their number.
    pub fn encode(&mut self) -> Vec<u8> {
        let mut context = Vec::new();
        if let Some(state) = &self.context {
            state.encode(&mut context);
        }
        let more = if self.rewritten.is_some() { REWRITTEN_LEN } else { 0 };
        let length = FIXED + context.len() + more + CRC;
        let narrow = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(length);
        out.put(MAGIC);
        out.put(&self.version.to_le_bytes());
        let flags = if self.rewritten.is_some() { REWRITTEN } else { 0 };
        out.put(&flags.to_le_bytes());
        out.u32(narrow(length));
        out.put(self.cluster.bytes());
        out.u32(self.epoch.get());
        out.u32(self.before.chain);
        out.u64(self.base.get());
        out.u64(self.before.timestamp.map_or(0, Timestamp::bits));
        out.u64(self.before.base.map_or(0, Lsn::get));
        out.u64(self.before.bytes);
        out.u32(self.before.epoch.map_or(0, Epoch::get));
        out.u32(narrow(context.len()));
        assert_eq!(out.len(), FIXED, "FORMAT.md gives the fixed part's size");
        out.put(&context);
        if let Some(rewritten) = &self.rewritten {
            out.u64(rewritten.sealed);
            out.u64(rewritten.bytes);
            out.u32(rewritten.chain);
        }
        let crc = crc32fast::hash(&out);
        out.u32(crc);
        self.len = out.len() as u64;
        out
    }

    /// Reads and checks the header of a segment, whose file name must agree.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the system.
    pub fn read(file: &File) -> Result<SegmentHeader, Error> {
        let header = SegmentHeader::read_unnamed(file)?;
        let path = file.path();
        if path.file_name() != Some(SegmentHeader::file_name(header.base).as_ref()) {
            let fault = Fault::Field("base LSN: the file name says another");
            return Err(Error::damaged(path, 0, fault));
        }
        Ok(header)
    }

    /// As [`SegmentHeader::read`], of a file that has not got its name yet.
    pub fn read_unnamed(file: &File) -> Result<SegmentHeader, Error> {
        let path = file.path();
        let damaged = |fault| Error::damaged(path, 0, fault);
        let found = file.length()?;
        let short = |expected: u64| damaged(Fault::Short { expected, found });
        let mut bytes = vec![0; FIXED];
        if found < FIXED as u64 {
            return Err(short(FIXED as u64));
        }
        file.read_at(&mut bytes, 0)?;
        let length = header_len(&bytes).map_err(damaged)?;
        if found < u64::from(length) {
            return Err(short(u64::from(length)));
        }
        bytes.resize(usize::try_from(length).unwrap_or(FIXED), 0);
        file.read_at(&mut bytes, 0)?;
        SegmentHeader::decode(&bytes).map_err(damaged)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, Fault> {
        let length = u64::from(header_len(bytes)?);
        let found = bytes.len() as u64;
        let Some((checked, crc)) = bytes.split_last_chunk::<CRC>().filter(|_| length == found)
        else {
            return Err(Fault::Short { expected: length, found });
        };
        let (expected, found) = (crc32fast::hash(checked), u32::from_le_bytes(*crc));
        if expected != found {
            return Err(Fault::Checksum { what: "segment header", expected, found });
        }
        fields(Input::new(checked), length).map_err(Fault::Field)
    }
}

/// Magic and version checked; the length, bounded.
fn header_len(bytes: &[u8]) -> Result<u32, Fault> {
    let mut input = Input::new(bytes);
    let bad = |_| Fault::Magic("segment");
    if input.take(MAGIC.len() as u64, "magic").map_err(bad)? != MAGIC {
        return Err(Fault::Magic("segment"));
    }
    let version = input.u16("version").map_err(Fault::Field)?;
    if !(FIRST_VERSION..=LAST_VERSION).contains(&version) {
        return Err(Fault::Version(version));
    }
    let flags = input.u16("flags").map_err(Fault::Field)?;
    let known = if version >= REWRITTEN_VERSION { REWRITTEN } else { 0 };
    if flags & !known != 0 {
        return Err(Fault::Field("flags of the segment"));
    }
    let length = input.u32("header length").map_err(Fault::Field)?;
    let least = u32::try_from(FIXED + CRC).unwrap_or(u32::MAX);
    if (least..=MAX_LEN).contains(&length) {
        Ok(length)
    } else {
        Err(Fault::Bounds { what: "header length", found: u64::from(length) })
    }
}

fn fields(mut input: Input<'_>, len: u64) -> Result<SegmentHeader, Bad> {
    input.take(8, "magic")?;
    let version = input.u16("version")?;
    let flags = input.u16("flags")?;
    input.take(4, "header length")?;
    let cluster = ClusterId::from_bytes(input.id("cluster")?);
    let epoch = Epoch::new(input.u32("epoch")?).ok_or("epoch")?;
    let chain = input.u32("chain")?;
    let base = Lsn::new(input.u64("base LSN")?).ok_or("base LSN")?;
    let timestamp = Timestamp::from_bits(input.u64("timestamp")?);
    let before_base = Lsn::new(input.u64("base LSN of the segment before")?);
    let bytes = input.u64("length of the segment before")?;
    let before_epoch = Epoch::new(input.u32("epoch")?);
    let before = Before { chain, epoch: before_epoch, timestamp, base: before_base, bytes };
    before.fits(cluster, base, epoch)?;
    let context_len = input.u32("context length")?;
    let state = Input::new(input.take(u64::from(context_len), "context length")?);
    let context = match context_len {
        0 => None,
        _ => Some(SourceContext::decode(state)?),
    };
    if context.as_ref().is_some_and(|context| !context.is_before(base)) {
        return Err("source context: of later records");
    }
    let rewritten = match flags & REWRITTEN {
        0 => None,
        _ => Some(Rewritten {
            sealed: input.u64("sealed length")?,
            bytes: input.u64("length")?,
            chain: input.u32("chain behind")?,
        }),
    };
    input.end("context length")?;
    Ok(SegmentHeader { version, cluster, epoch, base, before, context, rewritten, len })
}
