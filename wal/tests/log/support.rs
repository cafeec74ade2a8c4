//! Records, frames and folders for the tests.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use wal::{
    BinlogPosition, Body, ClusterId, Epoch, EpochStart, Frame, FrameBuilder, Gtid, Incarnation,
    Log, LogOptions, Lsn, Record, Timestamp, Transaction, TransactionClass,
};

pub const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);
pub const INCARNATION: Incarnation = Incarnation::from_bytes([9; 16]);
pub const SMALL: LogOptions = LogOptions {
    segment_bytes: 4096,
};

/// A log folder that goes with the test.
pub struct Folder {
    _parent: tempfile::TempDir,
    pub path: PathBuf,
}

impl Folder {
    pub fn new() -> Folder {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("log");
        Folder {
            _parent: parent,
            path,
        }
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
    Gtid::Mariadb {
        domain: 0,
        server: 1,
        sequence,
    }
}

pub fn transaction(number: u64, event_bytes: usize) -> Transaction {
    let events: Vec<u8> = (0..event_bytes)
        .map(|index| (index as u64 * 31 + number * 7 % 251) as u8)
        .collect();
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
    let first = Lsn::after(log.tail().map(|tail| tail.lsn));
    let floor = log.last_timestamp().map_or(0, Timestamp::counter);
    let mut builder = FrameBuilder::new();
    for (index, body) in bodies.iter().enumerate() {
        builder
            .push(timestamp(floor + 1 + index as u64), body)
            .unwrap();
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

pub fn flip(path: &Path, bit: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    std::fs::write(path, bytes).unwrap();
}
