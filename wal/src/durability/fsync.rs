//! An fsync that fails, at each place where there is one: the log ends for good.

use crate::sim::{Fate, SimDisk};
use crate::{Error, ErrorClass, Log, Lsn};

use super::{create, frames, next, open};

/// What a log does until something fails; the frames that it took, and how many were flushed.
fn live(log: &mut Log, taken: &mut Vec<crate::Frame>, flushed: &mut usize) -> Result<(), Error> {
    for (index, (epoch, bytes)) in [(1, 50), (1, 600), (1, 700), (2, 20)].into_iter().enumerate() {
        let frame = next(log, epoch, bytes, index as u64);
        log.append(&frame)?;
        taken.push(frame);
        if index % 2 == 0 {
            log.sync()?;
            *flushed = taken.len();
        }
    }
    *flushed = 1;
    log.truncate_after(Lsn::new(1))?;
    taken.truncate(1);
    let frame = next(log, 3, 10, 9);
    log.append(&frame)?;
    taken.push(frame);
    log.sync()
}

#[test]
fn a_failed_fsync_ends_the_log_wherever_it_is_and_is_never_tried_again() {
    let mut failures = 0;
    for succeed in 0.. {
        let disk = SimDisk::new();
        let mut log = create(&disk);
        disk.set_syncs(Some(succeed));
        let (mut taken, mut flushed) = (Vec::new(), 0);
        let Err(error) = live(&mut log, &mut taken, &mut flushed) else {
            break;
        };
        failures += 1;
        assert!(matches!(error, Error::Sync { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Fatal);
        // The disk would do it now; nobody asks it.
        disk.set_syncs(None);
        let steps = disk.steps();
        let frame = next(&log, 9, 20, 1);
        assert!(matches!(log.sync(), Err(Error::Poisoned(_))));
        assert!(matches!(log.append(&frame), Err(Error::Poisoned(_))));
        assert!(matches!(log.truncate_after(None), Err(Error::Poisoned(_))));
        assert!(matches!(log.truncate_after(Lsn::new(1)), Err(Error::Poisoned(_))));
        drop(log);
        assert_eq!(disk.steps(), steps, "something was written after a failed fsync");
        // As after a crash in which nothing that was not fsynced was kept.
        let after = SimDisk::starting_with(disk.platter().crashed(|_| Fate::Lost));
        let found = frames(&open(&after).unwrap());
        assert!(found.len() >= flushed, "{succeed}: {} of {flushed}", found.len());
        assert!(found.first().is_none_or(|first| first.bytes() == taken[0].bytes()));
    }
    assert!(failures >= 10, "{failures}");
}
