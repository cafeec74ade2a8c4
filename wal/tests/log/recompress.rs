//! Sealed segments written anew, beside the writer and readers.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use wal::{Body, Codec, Error, Log, LogReader, Recompressed, Recompressor, verify};

use crate::support::*;

/// A log of several segments whose bodies have something to save.
fn several(folder: &Folder) -> Log {
    let mut log = folder.create();
    append(&mut log, epoch(1), &[Body::EpochStart(epoch_start("s1"))]);
    for number in 1..=40 {
        append(&mut log, epoch(1), &[Body::Transaction(hexadecimal(number, 600))]);
    }
    log.sync().unwrap();
    assert!(folder.segments().len() > 3);
    log
}

fn all(recompressor: &Recompressor) -> usize {
    let candidates = recompressor.candidates();
    for (path, base) in &candidates {
        let done = recompressor.recompress(*base, 9, |_| true).unwrap();
        let Recompressed::Done { before, after } = done else { panic!("{done:?}") };
        // The header's 20 bytes more may be all that changes.
        assert!(after <= before + 20, "{before} to {after}");
        assert_eq!(fs::metadata(path).unwrap().len(), after);
        assert_eq!(recompressor.recompress(*base, 9, |_| true).unwrap(), Recompressed::NotOne);
    }
    candidates.len()
}

#[test]
fn it_holds_the_same_records_in_fewer_bytes() {
    let folder = Folder::new();
    let mut log = several(&folder);
    let records = read_all(&log);
    let (chain, context) = (log.chain(), log.context());
    let length = |path: &std::path::PathBuf| fs::metadata(path).unwrap().len();
    let sizes = || folder.segments().iter().rev().skip(1).map(length).sum::<u64>();
    let before = sizes();
    assert_eq!(all(&log.recompressor()), folder.segments().len() - 1);
    assert_eq!(log.recompressor().candidates(), []);
    assert!(sizes() * 4 < before * 3, "{before} to {}", sizes());
    assert_eq!(read_all(&log), records);
    append(&mut log, epoch(1), &[Body::Transaction(transaction(41, 9))]);
    drop(log);
    assert_eq!(verify(&folder.path).unwrap().unflushed_bytes, 0);
    let log = folder.open();
    assert_eq!(read_all(&log)[..records.len()], records);
    assert_eq!((log.tail().unwrap().lsn, log.context().is_some()), (lsn(42), context.is_some()));
    assert_ne!(log.chain(), chain);
    assert_eq!(log.recompressor().candidates(), [], "remembered by the files");
    let reader = LogReader::open(&folder.path).unwrap();
    for record in &records {
        assert_eq!(reader.record_at(record.lsn).unwrap().as_ref(), Some(record));
    }
}

#[test]
fn whoever_reads_meanwhile_goes_on() {
    let folder = Folder::new();
    let log = several(&folder);
    let records = read_all(&log);
    let last = records.last().unwrap().lsn;
    // Of this process and, with a view of its own, of another.
    for reader in [log.reader(), LogReader::open(&folder.path).unwrap()] {
        let mut cursors: Vec<_> = records
            .iter()
            .map(|record| {
                let mut cursor = reader.cursor(record.lsn).unwrap();
                assert!(cursor.next_frame(last).unwrap().is_some());
                (record.lsn, cursor)
            })
            .collect();
        let fresh = reader.cursor(lsn(1)).unwrap();
        cursors.push((lsn(1), fresh));
        all(&log.recompressor());
        for (from, mut cursor) in cursors {
            let mut next = cursor.last().map_or(from, |last| last.lsn.next());
            while let Some(frame) = cursor.next_frame(last).unwrap() {
                assert_eq!(frame.header().first_lsn, next);
                next = frame.last().lsn.next();
            }
            assert_eq!(next, last.next(), "from {from}");
        }
    }
}

#[test]
fn a_reader_that_saw_a_segment_grow_reads_it_to_its_end() {
    let folder = Folder::new();
    let mut log = folder.create();
    append(&mut log, epoch(1), &[Body::EpochStart(epoch_start("s1"))]);
    let mut cursor = log.reader().cursor(lsn(1)).unwrap();
    assert!(cursor.next_frame(lsn(1)).unwrap().is_some());
    for number in 2..14 {
        append(&mut log, epoch(1), &[Body::Transaction(hexadecimal(number, 900))]);
    }
    assert!(all(&log.recompressor()) > 0);
    let mut read = 1;
    while let Some(frame) = cursor.next_frame(lsn(13)).unwrap() {
        read += 1;
        assert_eq!(frame.header().first_lsn, lsn(read));
    }
    assert_eq!(read, 13);
}

#[test]
fn another_process_that_saw_a_segment_grow_finds_it_written_anew() {
    let folder = Folder::new();
    let mut log = several(&folder);
    let records = read_all(&log);
    let reader = LogReader::open(&folder.path).unwrap();
    for number in 41..60 {
        append(&mut log, epoch(1), &[Body::Transaction(hexadecimal(number, 900))]);
    }
    all(&log.recompressor());
    for record in &records {
        assert_eq!(reader.record_at(record.lsn).unwrap().as_ref(), Some(record));
    }
    let mut cursor = reader.cursor(lsn(1)).unwrap();
    let mut read = 0;
    while let Some(frame) = cursor.next_frame(lsn(1000)).unwrap() {
        read = frame.last().lsn.get();
    }
    assert_eq!(read, 41, "as far as the log was when it was opened");
}

#[test]
fn an_adoption_cuts_what_was_written_anew() {
    for keep in 1..=41 {
        let folder = Folder::fast();
        let mut log = several(&folder);
        let records = read_all(&log);
        all(&log.recompressor());
        log.truncate_after(Some(lsn(keep))).unwrap();
        let kept = &records[..keep as usize];
        assert_eq!(read_all(&log), kept);
        // Both before and after a restart it goes on from there.
        if keep % 2 == 0 {
            drop(log);
            log = folder.open();
        }
        append(&mut log, epoch(2), &[Body::Transaction(transaction(99, 700))]);
        append(&mut log, epoch(2), &[Body::Transaction(transaction(99, 3000))]);
        append(&mut log, epoch(2), &[Body::Transaction(transaction(99, 3000))]);
        drop(log);
        assert_eq!(verify(&folder.path).unwrap().records, keep + 3);
        let log = folder.open();
        assert_eq!(read_all(&log)[..keep as usize], *kept);
        all(&log.recompressor());
        drop(log);
        assert_eq!(verify(&folder.path).unwrap().records, keep + 3, "cut behind {keep}");
        folder.open();
    }
}

#[test]
fn what_is_cut_or_stopped_in_the_middle_stays_as_it_was() {
    let folder = Folder::new();
    let mut log = several(&folder);
    let recompressor = log.recompressor();
    let base = recompressor.candidates()[1].1;
    let before = fs::read(&folder.segments()[1]).unwrap();
    assert_eq!(recompressor.recompress(base, 9, |_| false).unwrap(), Recompressed::Stopped);
    assert_eq!(fs::read(&folder.segments()[1]).unwrap(), before);
    let cut = AtomicBool::new(false);
    let done = recompressor.recompress(base, 9, |_| {
        if !cut.swap(true, Ordering::Relaxed) {
            log.truncate_after(Some(base.next())).unwrap();
            append(&mut log, epoch(2), &[Body::Transaction(transaction(50, 3900))]);
        }
        true
    });
    assert_eq!(done.unwrap(), Recompressed::NotOne, "it is another one now");
    assert_eq!(read_all(&log).last().unwrap().lsn, base.next().next());
    let left: Vec<_> =
        fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_none_or(|end| end != "tmp")), "{left:?}");
    drop(log);
    verify(&folder.path).unwrap();
}

#[test]
fn damage_is_named_and_not_written_anew() {
    let folder = Folder::new();
    let log = several(&folder);
    let (path, base) = log.recompressor().candidates()[0].clone();
    let (start, _) = frames_in(&path)[2];
    overwrite(&path, start + 70, &[0xff]);
    let bytes = fs::read(&path).unwrap();
    let failed = log.recompressor().recompress(base, 9, |_| true);
    assert_eq!(damage(failed), (name(&path), start));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

/// Every way to swap or shorten such a file that opening can see without reading all of it.
#[test]
fn opening_notices_a_file_that_is_not_the_one() {
    let folder = Folder::new();
    let log = several(&folder);
    let plain = fs::read(&folder.segments()[1]).unwrap();
    all(&log.recompressor());
    drop(log);
    let path = folder.segments()[1].clone();
    let anew = fs::read(&path).unwrap();
    let length = u32::from_le_bytes(anew[12..16].try_into().unwrap()) as usize;
    let changed = |at: usize, version: Option<u8>| {
        let mut bytes = anew.clone();
        bytes[at] ^= 1;
        bytes[8] = version.unwrap_or(bytes[8]);
        let crc = crc32fast::hash(&bytes[..length - 4]).to_le_bytes();
        bytes[length - 4..length].copy_from_slice(&crc);
        bytes
    };
    let mut longer = anew.clone();
    longer.push(0);
    for (what, bytes) in [
        ("shorter", anew[..anew.len() - 1].to_vec()),
        ("longer", longer),
        ("another sealed length", changed(length - 24, None)),
        ("another length", changed(length - 16, None)),
        ("another chain behind", changed(length - 8, None)),
        ("version 1 with a flag", changed(length - 8, Some(1))),
        ("a flag that is not known", changed(11, None)),
        ("not marked", changed(10, None)),
    ] {
        fs::write(&path, bytes).unwrap();
        let opened = Log::open(&folder.path, SMALL).map(drop);
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{what}: {opened:?}");
    }
    // The file as it was sealed is good too: a crash may have kept it.
    fs::write(&path, plain).unwrap();
    drop(folder.open());
    verify(&folder.path).unwrap();
    fs::write(&path, anew).unwrap();
    let records = read_all(&folder.open());
    assert_eq!(records.len(), 41);
}

#[test]
fn only_version_2_is_written_behind_it() {
    let folder = Folder::new();
    let log = several(&folder);
    assert!(read_frames(&log).iter().all(|codec| *codec != Codec::Zstd));
    all(&log.recompressor());
    assert!(read_frames(&log).contains(&Codec::Zstd));
    for path in folder.segments().iter().rev().skip(1) {
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes[8..12], [2, 0, 1, 0], "{}", path.display());
    }
}

fn read_frames(log: &Log) -> Vec<Codec> {
    let mut cursor = log.reader().cursor(lsn(1)).unwrap();
    let mut codecs = Vec::new();
    while let Some(frame) = cursor.next_frame(lsn(1000)).unwrap() {
        codecs.push(frame.header().codec);
    }
    codecs
}
