//! Adoption's cut, and who reads meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use wal::{Body, Error, ErrorClass, Log, Lsn, verify};

use crate::support::*;

fn two_epochs(folder: &Folder) -> Log {
    let mut log = filled(folder, 60, 150);
    append(&mut log, epoch(2), &[Body::EpochStart(epoch_start("s2"))]);
    for number in 61..90 {
        append(&mut log, epoch(2), &[Body::Transaction(transaction(number, 150))]);
    }
    log.sync().unwrap();
    log
}

#[test]
fn a_cut_at_every_record_leaves_exactly_that_prefix() {
    let tail = {
        let folder = Folder::fast();
        two_epochs(&folder).tail().unwrap().lsn.get()
    };
    for keep in (0..tail).step_by(3) {
        let folder = Folder::fast();
        let mut log = two_epochs(&folder);
        let all = read_all(&log);
        log.truncate_after(Lsn::new(keep)).unwrap();
        assert_eq!(log.tail().map(|tail| tail.lsn), Lsn::new(keep));
        assert_eq!(log.flushed(), log.tail());
        assert_eq!(read_all(&log), all[..keep as usize]);
        let state = (log.chain(), log.last_timestamp(), log.context(), log.epochs());
        drop(log);
        let mut log = folder.open();
        assert_eq!(state, (log.chain(), log.last_timestamp(), log.context(), log.epochs()));
        append(&mut log, epoch(3), &[Body::EpochStart(epoch_start("s3"))]);
        append(&mut log, epoch(3), &[Body::Transaction(transaction(500, 400))]);
        drop(log);
        let log = folder.open();
        assert_eq!(read_all(&log).len() as u64, keep + 2);
        assert_eq!(log.context().unwrap().member, "s3");
        assert_eq!(verify(&folder.path).unwrap().records, keep + 2);
    }
}

#[test]
fn a_cut_goes_only_through_frame_boundaries() {
    let folder = Folder::fast();
    let mut log = filled(&folder, 3, 10);
    let pair = [Body::Transaction(transaction(4, 1)), Body::Transaction(transaction(5, 1))];
    append(&mut log, epoch(1), &pair);
    for keep in [5, 7, 999] {
        let refused = log.truncate_after(Lsn::new(keep));
        assert!(matches!(refused, Err(Error::NotABoundary(_))), "{keep}: {refused:?}");
    }
    assert!(!log.boundary(lsn(5)).unwrap() && log.boundary(lsn(6)).unwrap());
    log.truncate_after(Lsn::new(6)).unwrap();
    assert_eq!(read_all(&log).len(), 6);
}

#[test]
fn a_cursor_whose_place_was_cut_says_so_and_another_goes_on() {
    let folder = Folder::fast();
    let mut log = filled(&folder, 40, 150);
    let reader = log.reader();
    let mut behind = reader.cursor(lsn(1)).unwrap();
    let mut ahead = reader.cursor(lsn(1)).unwrap();
    let mut at = reader.cursor(lsn(1)).unwrap();
    for _ in 0..10 {
        behind.next_frame(Lsn::new(99).unwrap()).unwrap().unwrap();
    }
    for _ in 0..20 {
        at.next_frame(lsn(99)).unwrap().unwrap();
    }
    while ahead.next_frame(lsn(99)).unwrap().is_some() {}
    log.truncate_after(Lsn::new(20)).unwrap();
    append(&mut log, epoch(2), &[Body::EpochStart(epoch_start("s2"))]);
    let error = ahead.next_frame(lsn(99)).unwrap_err();
    assert!(matches!(error, Error::Cut(_)));
    assert_eq!(error.class(), ErrorClass::Retry);
    assert_eq!(at.next_frame(lsn(99)).unwrap().unwrap().header().epoch, epoch(2));
    let mut read = Vec::new();
    while let Some(frame) = behind.next_frame(lsn(99)).unwrap() {
        read.push((frame.header().epoch.get(), frame.header().first_lsn.get()));
    }
    let expected: Vec<_> = (11..=20).map(|number| (1, number)).chain([(2, 21)]).collect();
    assert_eq!(read, expected);
}

#[test]
fn a_mapped_frame_outlives_the_cut_of_its_segment() {
    let folder = Folder::fast();
    let mut log = filled(&folder, 60, 200);
    let frame = log.reader().cursor(lsn(8)).unwrap().next_frame(lsn(99)).unwrap().unwrap();
    let before = frame.bytes().to_vec();
    log.truncate_after(Lsn::new(2)).unwrap();
    for number in 100..120 {
        append(&mut log, epoch(2), &[Body::Transaction(transaction(number, 200))]);
    }
    assert_eq!(frame.bytes(), &before[..]);
    assert_eq!(frame.records().unwrap()[0].lsn, lsn(8));
}

/// The writer appends and, now and then, adopts; readers follow, and see only whole, right frames
/// in order, whatever they meet.
#[test]
fn readers_beside_the_writer_see_only_what_was_written() {
    let folder = Folder::fast();
    let mut log = filled(&folder, 0, 0);
    let reader = log.reader();
    let stop = AtomicBool::new(false);
    let stop = &stop;
    thread::scope(|scope| {
        for _ in 0..2 {
            let reader = reader.clone();
            scope.spawn(move || {
                let mut cursor = reader.cursor(lsn(1)).unwrap();
                let mut frames = 0u64;
                while !stop.load(Ordering::Relaxed) || frames == 0 {
                    match cursor.next_frame(lsn(u64::MAX)) {
                        Ok(Some(frame)) => {
                            // Each transaction tells its epoch and LSN.
                            for record in frame.records().unwrap() {
                                if let Body::Transaction(one) = record.body {
                                    assert_eq!(one.start.offset / 1000, record.lsn.get());
                                    assert_eq!(one.end_crc as u64, record.lsn.get());
                                }
                            }
                            frames += 1;
                        }
                        Ok(None) => thread::yield_now(),
                        Err(Error::Cut(_)) => cursor = reader.cursor(lsn(1)).unwrap(),
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        let mut number = 1;
        for round in 0..600u64 {
            let next = Lsn::after(log.tail().map(|tail| tail.lsn)).get();
            let size = 20 + (round as usize * 37) % 400;
            append(&mut log, epoch(number), &[Body::Transaction(transaction(next, size))]);
            if round % 29 == 28 {
                number += 1;
                let back = 1 + (round / 29) % 20;
                log.truncate_after(Lsn::new(next.saturating_sub(back).max(2))).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(log);
    verify(&folder.path).unwrap();
}
