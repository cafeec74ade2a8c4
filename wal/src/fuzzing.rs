//! What the fuzz targets run, and what replays their corpora: hostile bytes in, a panic is a finding.
//!
//! No part of the API. Each function takes its bytes twice: as they are, and with the checksums made
//! right again, as a liar would, so that what stands behind them is reached too. Beside not
//! panicking, it asks that the readers agree, and that what was read comes back when it is written.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::codec::Input;
use crate::compression::Codec;
use crate::context::Trace;
use crate::disk::Disk;
use crate::encoding::{Content, put_record, take_record};
use crate::folder::{self, FLUSHED, Identity};
use crate::frame::{MAGIC, chain, first_chain};
use crate::recover::Checker;
use crate::segment::{self, Before, FIRST_VERSION, SegmentHeader};
use crate::{
    ClusterId, Epoch, Error, Frame, FrameHeader, Incarnation, Log, LogOptions, LogReader, Lsn,
    MAX_FRAME_RECORDS, Timestamp, verify,
};

/// A frame, and nothing behind it.
pub fn frame(bytes: &[u8]) {
    read_frame(bytes);
    let mut signed = bytes.to_vec();
    let Some(body) = bytes.len().checked_sub(FrameHeader::LEN) else { return };
    put(&mut signed, at::MAGIC, &MAGIC.to_le_bytes());
    put(&mut signed, at::BODY_LEN, &(body as u32).to_le_bytes());
    if signed[at::CODEC] == Codec::Stored.code() {
        put(&mut signed, at::RAW_LEN, &(body as u32).to_le_bytes());
    }
    sign_frame(&mut signed);
    read_frame(&signed);
}

fn read_frame(bytes: &[u8]) {
    let header = FrameHeader::decode(bytes);
    let Ok(frame) = Frame::decode(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(header.as_ref(), Ok(frame.header()));
    let records = frame.records();
    let traced = Checker::default().trace(&frame).map(drop);
    assert_eq!(records.is_ok(), traced.is_ok(), "{records:?}, {traced:?}");
    if let Ok(records) = records {
        assert_eq!(records.len(), frame.header().record_count as usize);
        assert_eq!(records.last().map(|last| last.lsn), Some(frame.header().last_lsn()));
    }
}

/// The uncompressed body of a frame: records.
pub fn record(bytes: &[u8]) {
    let whole = Bytes::copy_from_slice(bytes);
    let mut input = Input::new(&whole);
    let (mut records, mut since, mut bad) = (Vec::new(), None, None);
    while !input.is_empty() && bad.is_none() {
        match take_record(&mut input, since) {
            Ok((timestamp, content)) => {
                comes_back(since, timestamp, &content, &whole);
                records.push((timestamp, content));
                since = Some(timestamp);
            }
            Err(what) => bad = Some(what),
        }
    }
    context_is_kept(&records);
    let (Some((first, _)), Some((last, _))) = (records.first(), records.last()) else { return };
    let misplaced = |(_, content): &(_, Content<'_>)| matches!(content, Content::EpochStart(_));
    let misplaced = records.iter().skip(1).any(misplaced);
    if records.len() > MAX_FRAME_RECORDS as usize {
        return;
    }
    let (epoch, length) = (Epoch::FIRST, bytes.len() as u32);
    let header = FrameHeader {
        codec: Codec::Stored,
        sets_format: records.iter().any(|(_, content)| content.sets_format()),
        epoch,
        first_lsn: Lsn::FIRST,
        record_count: records.len() as u32,
        first_timestamp: *first,
        last_timestamp: *last,
        raw_len: length,
        body_len: length,
        prev_chain: 0,
        chain: chain(0, epoch, Lsn::FIRST, bytes),
        body_crc: crc32fast::hash(bytes),
    };
    let frame = Frame::decode(Bytes::from([&header.encode()[..], bytes].concat()));
    let read = frame.and_then(|frame| frame.records());
    assert_eq!(read.is_ok(), bad.is_none() && !misplaced, "{read:?}, {bad:?}");
}

/// A record that was read is the same after it was written anew.
fn comes_back(
    since: Option<Timestamp>,
    timestamp: Timestamp,
    content: &Content<'_>,
    whole: &Bytes,
) {
    let mut written = Vec::new();
    put_record(&mut written, since, timestamp, content);
    let written = Bytes::from(written);
    let mut input = Input::new(&written);
    let (again, read) = take_record(&mut input, since).expect("what was written is read");
    assert!(input.is_empty() && again == timestamp);
    assert_eq!(read.body(&written), content.clone().body(whole));
}

/// What the records do to the source context stands in the next segment's header, and comes back.
fn context_is_kept(records: &[(Timestamp, Content<'_>)]) {
    let (mut trace, mut context) = (Trace::default(), None);
    for (index, (_, content)) in (0..).zip(records) {
        trace.see(index, content);
    }
    trace.apply(Lsn::FIRST, &mut context);
    let Some((timestamp, _)) = records.last() else { return };
    let (cluster, epoch, base) = (CLUSTER, Epoch::FIRST, Lsn::FIRST.plus(records.len() as u64));
    let (older, timestamp) = (Some(Lsn::FIRST), Some(*timestamp));
    let before = Before { chain: 1, epoch: Some(epoch), timestamp, base: older, bytes: 84 };
    let version = FIRST_VERSION;
    let rewritten = None;
    let mut header =
        SegmentHeader { version, cluster, epoch, base, before, context, rewritten, len: 0 };
    let bytes = header.encode();
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
}

/// A log folder: perhaps a `flushed` file, then segments, one file behind another.
pub fn segment(bytes: &[u8]) {
    folders(bytes, read_folder);
}

/// Shows the folder that [`segment`] makes of its bytes: as they are, with the checksums made right,
/// and with each segment and frame naming what is before it. It is gone afterwards.
pub fn folders(bytes: &[u8], mut show: impl FnMut(&Path)) {
    let mut files = Files::cut(bytes);
    let folder = Folder::new(files.cluster());
    folder.hold(&files);
    show(&folder.0);
    files.segments.iter_mut().for_each(|segment| sign_segment(segment));
    files.sign_flushed();
    folder.hold(&files);
    show(&folder.0);
    files.link();
    folder.hold(&files);
    show(&folder.0);
}

const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);
const INCARNATION: Incarnation = Incarnation::from_bytes([9; 16]);
const OPTIONS: LogOptions = LogOptions { segment_bytes: 4096 };

/// A folder that goes with it; in memory where TMPDIR is.
struct Folder(PathBuf);

impl Folder {
    fn new(cluster: ClusterId) -> Folder {
        let thread = std::thread::current().id();
        let name = format!("plimsoll-fuzz-{}-{thread:?}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        folder.remove();
        let identity = Identity { cluster, incarnation: INCARNATION };
        folder::create(&Disk::system(), &folder.0, identity)
            .expect("the temporary folder can be written");
        folder
    }

    fn remove(&self) {
        // Best effort: what is left behind is removed by the next one of this name.
        let _ = fs::remove_dir_all(&self.0);
    }

    fn hold(&self, files: &Files) {
        files.write(&self.0).expect("the temporary folder can be written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}

fn read_folder(dir: &Path) {
    let verified = verify(dir);
    let records = read_records(dir);
    let opened = Log::open(dir, OPTIONS).map(|log| log.tail());
    let Ok(verified) = verified else { return };
    assert_eq!(records.expect("a log that verifies is read"), verified.records);
    assert_eq!(opened.expect("a log that verifies is opened"), verified.last);
    let after = verify(dir).expect("what was opened verifies");
    assert_eq!((after.records, after.unflushed_bytes), (verified.records, 0));
}

fn read_records(dir: &Path) -> Result<u64, Error> {
    let reader = LogReader::open(dir)?;
    let mut records = 0;
    if let (Some(first), Some(last)) = (reader.first_lsn(), reader.written()) {
        let mut cursor = reader.cursor(first)?;
        while let Some(frame) = cursor.next_frame(last.lsn)? {
            records += frame.records()?.len() as u64;
        }
    }
    Ok(records)
}

/// The files of a folder.
struct Files {
    flushed: Option<Vec<u8>>,
    segments: Vec<Vec<u8>>,
}

impl Files {
    /// Each file starts at its magic; what stands before the first is a segment too.
    fn cut(bytes: &[u8]) -> Files {
        let (mut flushed, mut rest) = (None, bytes);
        if bytes.starts_with(folder::FLUSHED_MAGIC) {
            let (file, behind) = bytes.split_at(bytes.len().min(36));
            (flushed, rest) = (Some(file.to_vec()), behind);
        }
        let magic = segment::MAGIC;
        let starts = rest.windows(magic.len()).enumerate().skip(1);
        let starts: Vec<usize> =
            starts.filter(|(_, found)| found == magic).map(|(at, _)| at).collect();
        let ends = starts.iter().copied().chain([rest.len()]);
        let starts = [0].into_iter().chain(starts.iter().copied());
        let segments = starts.zip(ends).map(|(start, end)| rest[start..end].to_vec()).collect();
        Files { flushed, segments }
    }

    fn sign_flushed(&mut self) {
        if let Some((checked, crc)) =
            self.flushed.as_mut().and_then(|file| file.split_last_chunk_mut())
        {
            *crc = crc32fast::hash(checked).to_le_bytes();
        }
    }

    /// Has each segment and each frame name what is before it.
    fn link(&mut self) {
        let cluster = self.cluster();
        let mut before: Option<(u64, u64, u32)> = None;
        let mut state = (first_chain(cluster), None, None);
        for bytes in &mut self.segments {
            let Some(&head) = bytes.first_chunk::<80>() else { return };
            let (epoch, mut lsn) = (get_u32(&head, 32), get_u64(&head, 40));
            lsn = state.1.unwrap_or(lsn);
            put(bytes, 16, cluster.bytes());
            put(bytes, 40, &lsn.to_le_bytes());
            if let (Some((base, length, epoch)), Some(timestamp)) = (before, state.2) {
                put(bytes, 36, &u32::to_le_bytes(state.0));
                put(bytes, 48, &u64::to_le_bytes(timestamp));
                put(bytes, 56, &base.to_le_bytes());
                put(bytes, 64, &length.to_le_bytes());
                put(bytes, 72, &epoch.to_le_bytes());
            } else if lsn == 1 {
                put(bytes, 36, &u32::to_le_bytes(state.0));
            } else {
                state.0 = get_u32(&head, 36);
            }
            before = Some((lsn, bytes.len() as u64, epoch));
            let (mut at, mut next) = (get_u32(&head, 12) as usize, lsn);
            while let Some(frame) = bytes.get_mut(at..).filter(|frame| is_frame(frame)) {
                put(frame, at::EPOCH, &epoch.to_le_bytes());
                put(frame, at::FIRST_LSN, &next.to_le_bytes());
                put(frame, at::PREV_CHAIN, &state.0.to_le_bytes());
                let Some(length) = sign_frame(frame) else { break };
                next = next.wrapping_add(u64::from(get_u32(frame, at::RECORDS)));
                state = (get_u32(frame, at::CHAIN), Some(next), Some(get_u64(frame, at::LAST)));
                at += length;
            }
            sign_segment(bytes);
        }
    }

    /// The one that the first segment names: a foreign one is refused at once.
    fn cluster(&self) -> ClusterId {
        let named = self.segments.first().and_then(|first| first.get(16..)?.first_chunk());
        named.map_or(CLUSTER, |named| ClusterId::from_bytes(*named))
    }

    /// Instead of what `dir` held.
    fn write(&self, dir: &Path) -> std::io::Result<()> {
        for old in fs::read_dir(dir)? {
            let old = old?.path();
            if old.extension().is_some() {
                fs::remove_file(old)?;
            }
        }
        fs::write(dir.join(FLUSHED), self.flushed.as_deref().unwrap_or_default())?;
        for segment in &self.segments {
            fs::write(dir.join(format!("{:020}.seg", get_u64(segment, 40))), segment)?;
        }
        Ok(())
    }
}

/// Where the fields of a frame's header are: `FORMAT.md`, "Frame".
mod at {
    pub const MAGIC: usize = 0;
    pub const CODEC: usize = 2;
    pub const EPOCH: usize = 4;
    pub const FIRST_LSN: usize = 8;
    pub const RECORDS: usize = 16;
    pub const LAST: usize = 28;
    pub const RAW_LEN: usize = 36;
    pub const BODY_LEN: usize = 40;
    pub const PREV_CHAIN: usize = 44;
    pub const CHAIN: usize = 48;
    pub const BODY_CRC: usize = 52;
    pub const CRC: usize = 56;
}

fn is_frame(bytes: &[u8]) -> bool {
    bytes.len() >= FrameHeader::LEN && bytes.starts_with(&MAGIC.to_le_bytes())
}

/// Makes all checksums of the frame that `bytes` start with right. Its length, if all of it is there.
fn sign_frame(bytes: &mut [u8]) -> Option<usize> {
    let length = FrameHeader::LEN + get_u32(bytes, at::BODY_LEN) as usize;
    let body = bytes.get(FrameHeader::LEN..length)?;
    let (crc, raw_len) = (crc32fast::hash(body), get_u32(bytes, at::RAW_LEN));
    let mut raw = Vec::new();
    let codec = Codec::from_code(bytes[at::CODEC]);
    let codec = codec.ok().filter(|codec| codec.plausible(body.len() as u32, raw_len));
    let expanded = codec.is_some_and(|codec| codec.expand_into(body, raw_len, &mut raw).is_ok());
    let named = Epoch::new(get_u32(bytes, at::EPOCH)).zip(Lsn::new(get_u64(bytes, at::FIRST_LSN)));
    if let Some((epoch, lsn)) = named.filter(|_| expanded) {
        let chain = chain(get_u32(bytes, at::PREV_CHAIN), epoch, lsn, &raw);
        put(bytes, at::CHAIN, &chain.to_le_bytes());
    }
    put(bytes, at::BODY_CRC, &crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..at::CRC]);
    put(bytes, at::CRC, &crc.to_le_bytes());
    Some(length)
}

/// Makes the checksums of a segment's header and frames right.
fn sign_segment(bytes: &mut [u8]) {
    if bytes.len() < 16 {
        return;
    }
    let length = get_u32(bytes, 12) as usize;
    if let Some((checked, crc)) =
        bytes.get_mut(..length).and_then(|head| head.split_last_chunk_mut())
    {
        *crc = crc32fast::hash(checked).to_le_bytes();
    }
    let mut at = length;
    while let Some(frame) = bytes.get_mut(at..).filter(|frame| is_frame(frame)) {
        let Some(length) = sign_frame(frame) else { return };
        at += length;
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, field: &[u8; N]) {
    bytes[at..at + N].copy_from_slice(field);
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(get(bytes, at))
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(get(bytes, at))
}
