//! The disk full at each byte that a log writes.

use crate::sim::SimDisk;
use crate::{Disk, Error, ErrorClass, Log, Lsn, verify_on};

use super::{create, dir, frames, next, open};

fn fails_full(result: Result<(), Error>) {
    let error = result.expect_err("there was no space");
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Retry);
}

fn state(log: &Log) -> impl PartialEq + std::fmt::Debug + use<> {
    (log.tail(), log.chain(), log.last_timestamp(), log.context(), log.epochs())
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was_and_it_goes_on() {
    let mut space = 0;
    loop {
        let disk = SimDisk::new();
        let mut log = create(&disk);
        for _ in 0..3 {
            log.append(&next(&log, 1, 200, 0)).unwrap();
        }
        let before = state(&log);
        let frame = next(&log, 1, 200, 0);
        disk.set_space(Some(space));
        if log.append(&frame).is_ok() {
            break;
        }
        // Now a new segment would be begun: that fails too, and leaves nothing behind.
        fails_full(log.append(&frame));
        disk.set_space(None);
        assert_eq!(before, state(&log));
        assert_eq!(verify_on(&Disk::simulated(&disk), dir()).unwrap().records, 3);
        log.append(&frame).unwrap();
        log.append(&next(&log, 1, 700, 0)).unwrap();
        log.sync().unwrap();
        drop(log);
        let log = open(&disk).unwrap();
        assert_eq!(log.tail().map(|tail| tail.lsn), Lsn::new(5));
        let verified = verify_on(&Disk::simulated(&disk), dir()).unwrap();
        assert_eq!((verified.records, verified.unflushed_bytes), (5, 0));
        space += 1;
    }
    assert!(space > 200);
}

#[test]
fn a_full_disk_at_a_new_epoch_or_a_cut_changes_nothing() {
    for space in 0..700 {
        let disk = SimDisk::new();
        let mut log = create(&disk);
        for _ in 0..9 {
            log.append(&next(&log, 1, 300, 0)).unwrap();
        }
        log.sync().unwrap();
        let all = frames(&log);
        disk.set_space(Some(space));
        fails_full(log.append(&next(&log, 2, 10, 0)));
        disk.set_space(Some(space.min(500)));
        fails_full(log.truncate_after(Lsn::new(3)));
        disk.set_space(None);
        assert_eq!(frames(&log).len(), all.len());
        log.append(&next(&log, 2, 10, 0)).unwrap();
        assert_eq!(log.epochs().len(), 2);
        log.truncate_after(Lsn::new(3)).unwrap();
        log.append(&next(&log, 3, 10, 0)).unwrap();
        drop(log);
        assert_eq!(verify_on(&Disk::simulated(&disk), dir()).unwrap().records, 4);
    }
}
