//! The disk full, or failing, at each place where a log writes.

use bytes::Bytes;

use crate::disk::faults;
use crate::{
    BinlogPosition, Body, ClusterId, Epoch, Error, ErrorClass, Frame, FrameBuilder, Incarnation,
    Log, LogOptions, Lsn, Timestamp, verify,
};

fn log(dir: &std::path::Path) -> Log {
    let (cluster, incarnation) = (ClusterId::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
    Log::create(dir, cluster, incarnation, LogOptions { segment_bytes: 2048 }).unwrap()
}

fn next(log: &Log, epoch: u32, bytes: usize) -> Frame {
    let mut builder = FrameBuilder::new();
    let number = log.tail().map_or(0, |tail| tail.lsn.get()) + 1;
    let event: Vec<u8> = (0..bytes as u64).map(|index| (index * index * number) as u8).collect();
    let position = BinlogPosition::new("bin.000001", number);
    let body = Body::FormatDescription { position, event: Bytes::from(event) };
    builder.push(Timestamp::new(number, 0).unwrap(), &body).unwrap();
    let epoch = Epoch::new(epoch).unwrap();
    builder.seal(epoch, Lsn::new(number).unwrap(), log.chain()).unwrap()
}

fn fails_full(result: Result<(), Error>) {
    let error = result.expect_err("there was no space");
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Retry);
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was_and_it_goes_on() {
    for space in [0, 1, 59, 60, 61, 80] {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("log");
        let mut log = log(&dir);
        for _ in 0..3 {
            log.append(&next(&log, 1, 200)).unwrap();
        }
        let before = (log.tail(), log.chain(), log.last_timestamp(), log.context());
        let frame = next(&log, 1, 200);
        faults::set_space(Some(space));
        fails_full(log.append(&frame));
        // Now a new segment would be begun: that fails too, and leaves nothing behind.
        fails_full(log.append(&frame));
        faults::set_space(None);
        assert_eq!(before, (log.tail(), log.chain(), log.last_timestamp(), log.context()));
        assert_eq!(verify(&dir).unwrap().records, 3);
        log.append(&frame).unwrap();
        log.append(&next(&log, 1, 700)).unwrap();
        log.sync().unwrap();
        drop(log);
        let log = Log::open(&dir, LogOptions { segment_bytes: 2048 }).unwrap();
        assert_eq!(log.tail().map(|tail| tail.lsn), Lsn::new(5));
        let verified = verify(&dir).unwrap();
        assert_eq!((verified.records, verified.unflushed_bytes), (5, 0));
    }
}

#[test]
fn a_full_disk_at_a_new_epoch_or_a_cut_changes_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let mut log = log(&dir);
    for _ in 0..9 {
        log.append(&next(&log, 1, 500)).unwrap();
    }
    faults::set_space(Some(10));
    fails_full(log.append(&next(&log, 2, 10)));
    faults::set_space(None);
    assert_eq!(log.tail().map(|tail| tail.lsn), Lsn::new(9));
    log.append(&next(&log, 2, 10)).unwrap();
    assert_eq!(log.epochs().len(), 2);
    log.truncate_after(Lsn::new(4)).unwrap();
    log.append(&next(&log, 3, 10)).unwrap();
    drop(log);
    assert_eq!(verify(&dir).unwrap().records, 5);
}

#[test]
fn a_failed_fsync_is_fatal_and_never_tried_again() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let mut log = log(&dir);
    log.append(&next(&log, 1, 20)).unwrap();
    log.sync().unwrap();
    log.append(&next(&log, 1, 20)).unwrap();
    faults::set_sync_fails(true);
    let error = log.sync().expect_err("the fsync failed");
    faults::set_sync_fails(false);
    assert!(matches!(error, Error::Sync { .. }));
    assert_eq!(error.class(), ErrorClass::Fatal);
    assert_eq!(log.flushed().map(|point| point.lsn), Lsn::new(1));
    assert!(matches!(log.sync(), Err(Error::Poisoned(_))));
    let frame = next(&log, 1, 20);
    assert!(matches!(log.append(&frame), Err(Error::Poisoned(_))));
    assert!(matches!(log.truncate_after(None), Err(Error::Poisoned(_))));
    drop(log);
    Log::open(&dir, LogOptions::default()).unwrap().sync().unwrap();
}
