//! Records, frames and folders for the tests.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wal::{
    BinlogPosition, Body, ClusterId, Codec, Epoch, EpochStart, Error, Frame, FrameBuilder,
    FrameHeader, Gtid, Incarnation, Log, LogOptions, Lsn, Record, Timestamp, Transaction,
    TransactionClass,
};

pub const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);
pub const INCARNATION: Incarnation = Incarnation::from_bytes([9; 16]);
pub const SMALL: LogOptions = LogOptions { segment_bytes: 4096 };

/// A log folder that goes with the test.
pub struct Folder {
    _parent: tempfile::TempDir,
    pub path: PathBuf,
}

impl Folder {
    pub fn new() -> Folder {
        Folder::in_temporary(tempfile::tempdir().unwrap())
    }

    /// In memory, where the system offers it: for tests that restart some hundred times and want to
    /// know about bytes, not about the disk.
    pub fn fast() -> Folder {
        let memory = tempfile::tempdir_in("/dev/shm");
        Folder::in_temporary(memory.or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn in_temporary(parent: tempfile::TempDir) -> Folder {
        let path = parent.path().join("log");
        Folder { _parent: parent, path }
    }

    pub fn create(&self) -> Log {
        Log::create(&self.path, CLUSTER, INCARNATION, SMALL).unwrap()
    }

    pub fn open(&self) -> Log {
        Log::open(&self.path, SMALL).unwrap()
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == "seg"))
            .collect();
        paths.sort();
        paths
    }
}

pub fn epoch(number: u32) -> Epoch {
    Epoch::new(number).unwrap()
}

pub fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

pub fn timestamp(counter: u64) -> Timestamp {
    Timestamp::new(counter, 3).unwrap()
}

pub fn mariadb(sequence: u64) -> Gtid {
    Gtid::Mariadb { domain: 0, server: 1, sequence }
}

pub fn transaction(number: u64, event_bytes: usize) -> Transaction {
    let events: Vec<u8> =
        (0..event_bytes).map(|index| (index as u64 * 31 + number * 7 % 251) as u8).collect();
    Transaction {
        class: TransactionClass::Rows,
        start: BinlogPosition::new("bin.000007", number * 1000),
        end: BinlogPosition::new("bin.000007", number * 1000 + 900),
        gtid: Some(mariadb(number)),
        commit_micros: 1_700_000_000_000_000 + number as i64 * 1_000_000,
        end_crc: number as u32,
        events: Bytes::from(events),
    }
}

/// Sixteen letters without repeats: LZ4 stores it, the entropy coding of Zstandard halves it.
pub fn hexadecimal(number: u64, event_bytes: usize) -> Transaction {
    let mut state = number;
    let letters = (0..event_bytes).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        b"0123456789abcdef"[(state >> 60) as usize]
    });
    Transaction { events: letters.collect(), ..transaction(number, 0) }
}

/// Bytes that do not compress.
pub fn noise(seed: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect::<Vec<u8>>().into()
}

pub fn epoch_start(member: &str) -> EpochStart {
    EpochStart {
        member: member.to_owned(),
        server_uuid: format!("uuid of {member}"),
        server_version: "10.11.14-MariaDB-log".to_owned(),
        position: BinlogPosition::new("bin.000006", 4),
        last_gtid: Some(mariadb(5)),
        end_crc: Some(0xdead_beef),
        format_description: Bytes::from_static(b"a format description event"),
    }
}

/// Builds the next frame of a log and appends it. Timestamps follow LSNs.
pub fn append(log: &mut Log, epoch: Epoch, bodies: &[Body]) -> Frame {
    let frame = next_frame(log, epoch, bodies);
    log.append(&frame).unwrap();
    frame
}

pub fn next_frame(log: &Log, epoch: Epoch, bodies: &[Body]) -> Frame {
    next_frame_as(Codec::Lz4, log, epoch, bodies)
}

pub fn next_frame_as(codec: Codec, log: &Log, epoch: Epoch, bodies: &[Body]) -> Frame {
    let first = Lsn::after(log.tail().map(|tail| tail.lsn));
    let floor = log.last_timestamp().map_or(0, Timestamp::counter);
    let mut builder = FrameBuilder::new();
    builder.set_codec(codec);
    for (index, body) in bodies.iter().enumerate() {
        builder.push(timestamp(floor + 1 + index as u64), body).unwrap();
    }
    builder.seal(epoch, first, log.chain()).unwrap()
}

/// Everything that a log says, by a new cursor.
pub fn read_all(log: &Log) -> Vec<Record> {
    let reader = log.reader();
    let (Some(first), Some(last)) = (reader.first_lsn(), reader.written()) else {
        return Vec::new();
    };
    let mut cursor = reader.cursor(first).unwrap();
    let mut records = Vec::new();
    while let Some(frame) = cursor.next_frame(last.lsn).unwrap() {
        records.extend(frame.records().unwrap());
    }
    records
}

/// Overwrites bytes of a file in place.
pub fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

/// Where each frame of a segment file starts and ends.
pub fn frames_in(path: &Path) -> Vec<(u64, u64)> {
    let bytes = std::fs::read(path).unwrap();
    let mut at = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let mut frames = Vec::new();
    while let Ok(header) = FrameHeader::decode(&bytes[at..]) {
        let end = at + header.frame_len() as usize;
        frames.push((at as u64, end as u64));
        at = end;
    }
    frames
}

/// A log of one epoch: EpochStart, then `count` frames of one transaction each. Not synced.
pub fn filled(folder: &Folder, count: u64, event_bytes: usize) -> Log {
    let mut log = folder.create();
    append(&mut log, epoch(1), &[Body::EpochStart(epoch_start("s1"))]);
    for number in 1..=count {
        append(&mut log, epoch(1), &[Body::Transaction(transaction(number, event_bytes))]);
    }
    log
}

/// The file name and offset of damage.
pub fn damage<T: std::fmt::Debug>(result: Result<T, Error>) -> (String, u64) {
    match result {
        Err(Error::Damaged { segment, offset, .. }) => (segment, offset),
        other => panic!("expected damage, found {other:?}"),
    }
}

pub fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
