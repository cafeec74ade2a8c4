//! Each version as it was written once. These files never change: a program that cannot read them is
//! wrong, and so is one that writes other bytes under version 1. (Under version 2 the compression's
//! own bytes are the library's affair.)

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wal::{BinlogPosition, Body, Codec, Gtid, Log, verify};

use crate::support::*;

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

/// The log that the golden files hold: every kind of record, both codecs, two epochs, and three
/// segments of which the last is not sealed.
fn fill(log: &mut Log) {
    append(log, epoch(1), &[Body::EpochStart(epoch_start("s1"))]);
    let mut named = transaction(2, 120);
    named.gtid = Some(Gtid::Mysql { uuid: [0xab; 16], tag: "blue".to_owned(), number: 300 });
    named.end = BinlogPosition::new("bin.000008", 1 << 33);
    let mut nameless = transaction(3, 0);
    nameless.gtid = None;
    append(log, epoch(1), &[Body::Transaction(named), Body::Transaction(nameless)]);
    append(log, epoch(1), &[Body::Heartbeat { closed: timestamp(3) }]);
    let event = Bytes::from_static(b"another format description");
    let position = BinlogPosition::new("bin.000009", 256);
    append(log, epoch(1), &[Body::FormatDescription { position, event }]);
    append(log, epoch(1), &[Body::Membership(Bytes::from_static(b"{\"generation\":1}"))]);
    let pieces = [Body::Chunk(Bytes::from(vec![5; 3000])), Body::ChunkEnd(transaction(7, 9))];
    append(log, epoch(1), &pieces);
    for number in 8..20 {
        append(log, epoch(1), &[Body::Transaction(transaction(number, 700))]);
    }
    append(log, epoch(3), &[Body::EpochStart(epoch_start("s2"))]);
    append(log, epoch(3), &[Body::Transaction(transaction(21, 64))]);
    log.sync().unwrap();
}

fn written(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> = folder.segments();
    files.extend(["identity", "flushed"].map(|file| folder.path.join(file)));
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

#[test]
fn the_bytes_that_are_written_are_those_of_version_1() {
    let folder = Folder::new();
    fill(&mut folder.create());
    let files = written(&folder);
    assert_eq!(files.len(), 5);
    for (file, bytes) in files {
        let golden = fs::read(golden("v1").join(&file)).unwrap();
        assert!(golden == bytes, "{file} is written otherwise than version 1 says");
    }
}

/// Version 1, and behind it what version 2 adds: bodies by Zstandard. LZ4 goes on among them.
fn fill_2(log: &mut Log) {
    fill(log);
    for (number, codec) in [(22, Codec::Zstd), (23, Codec::Lz4), (24, Codec::Zstd)] {
        let body = Body::Transaction(transaction(number, 900));
        let frame = next_frame_as(codec, log, epoch(3), &[body]);
        assert_eq!(frame.header().codec, codec);
        log.append(&frame).unwrap();
    }
    log.sync().unwrap();
}

#[test]
fn version_1_is_read() {
    is_read("v1", fill);
}

#[test]
fn version_2_is_read() {
    is_read("v2", fill_2);
}

/// Version 2 with sealed segments that were written anew, one of them with bodies that became smaller.
fn fill_anew(log: &mut Log) {
    fill_2(log);
    for number in 25..33 {
        append(log, epoch(4), &[Body::Transaction(hexadecimal(number, 900))]);
    }
    log.sync().unwrap();
    let recompressor = log.recompressor();
    for (_, base) in recompressor.candidates() {
        recompressor.recompress(base, 9, |_| true).unwrap();
    }
}

#[test]
fn version_2_written_anew_is_read() {
    is_read("v2-anew", fill_anew);
    let first = fs::read(golden("v2-anew").join("00000000000000000001.seg")).unwrap();
    assert_eq!(first[8..12], [2, 0, 1, 0]);
}

fn is_read(version: &str, fill: fn(&mut Log)) {
    let (copy, fresh) = (Folder::new(), Folder::new());
    fs::create_dir(&copy.path).unwrap();
    for entry in fs::read_dir(golden(version)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path.join(name(&path))).unwrap();
    }
    assert_eq!(verify(&copy.path).unwrap().unflushed_bytes, 0);
    let mut log = fresh.create();
    fill(&mut log);
    let read = copy.open();
    assert_eq!(read_all(&read), read_all(&log));
    assert_eq!(read.context(), log.context());
    assert_eq!(read.epochs(), log.epochs());
    assert_eq!((read.cluster(), read.incarnation()), (CLUSTER, INCARNATION));
}

#[test]
fn a_segment_of_version_1_does_not_hold_what_version_2_added() {
    let folder = Folder::new();
    fill_2(&mut folder.create());
    let newest = folder.segments().pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    assert_eq!(bytes[8..10], 2_u16.to_le_bytes());
    bytes[8] = 1;
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let crc = crc32fast::hash(&bytes[..length - 4]);
    bytes[length - 4..length].copy_from_slice(&crc.to_le_bytes());
    fs::write(&newest, bytes).unwrap();
    let refused = Log::open(&folder.path, SMALL).err().unwrap().to_string();
    assert!(refused.contains("codec 2"), "{refused}");
}

/// The files beside the segments of version 1's log: an index, and where it begins once its first
/// segments are gone.
#[test]
fn index_and_beginning_are_written_as_they_were() {
    let folder = Folder::new();
    let mut log = folder.create();
    fill(&mut log);
    log.reader().index_sealed(usize::MAX).unwrap();
    let index = fs::read(folder.segments()[0].with_extension("idx")).unwrap();
    log.remove_before(lsn(1000)).unwrap().finish().unwrap();
    let beginning = fs::read(folder.path.join("beginning")).unwrap();
    for (file, bytes) in [("index", index), ("beginning", beginning)] {
        let golden = fs::read(golden("beside").join(file)).unwrap();
        assert!(golden == bytes, "{file} is written otherwise");
    }
}
