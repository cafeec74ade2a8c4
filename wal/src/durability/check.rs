//! Is what a crash left what was promised?

use crate::sim::{Fate, Platter, SimDisk};
use crate::{Disk, Error, verify_on};

use super::history::Mark;
use super::{Random, create, dir, frames, next, open};

/// Starts a machine with `platter`, opens the log, and compares: what was flushed is there, nothing
/// is there that was not appended, byte for byte. Then the log takes a frame, and has it after
/// another crash. Gives the disk after the opening.
pub fn check(platter: Platter, mark: &Mark, what: &dyn Fn() -> String) -> SimDisk {
    let disk = SimDisk::starting_with(platter);
    let mut log = match open(&disk) {
        Ok(log) => log,
        Err(Error::NotALog(_)) if !mark.created => create(&disk),
        Err(error) => panic!("{}: {error}", what()),
    };
    let opened = SimDisk::starting_with(disk.platter());
    let found = frames(&log);
    assert!(found.len() >= mark.must, "{}: {} of {} frames", what(), found.len(), mark.must);
    assert!(found.len() <= mark.may.len(), "{}: {} frames too many", what(), found.len());
    for (found, expected) in found.iter().zip(mark.may.iter()) {
        assert!(found.bytes() == expected.bytes(), "{}: another frame", what());
    }
    assert_eq!(log.flushed(), log.tail(), "{}", what());
    let epoch = log.tail().map_or(1, |tail| tail.epoch.get());
    // The same epoch, or a new one.
    let frame = next(&log, epoch + (found.len() as u32 % 2), 30, 999);
    log.append(&frame).and_then(|()| log.sync()).unwrap_or_else(|error| {
        panic!("{}: cannot go on: {error}", what());
    });
    drop(log);
    let after = SimDisk::starting_with(disk.platter().crashed(|_| Fate::Lost));
    let log = open(&after).unwrap_or_else(|error| panic!("{}: then {error}", what()));
    let all = frames(&log);
    assert_eq!(all.len(), found.len() + 1, "{}: after one more", what());
    let expected = mark.may.iter().take(found.len()).chain([&frame]);
    assert!(all.iter().zip(expected).all(|(found, expected)| found.bytes() == expected.bytes()));
    drop(log);
    let verified = verify_on(&Disk::simulated(&after), dir());
    let verified = verified.unwrap_or_else(|error| panic!("{}: verify: {error}", what()));
    assert_eq!((verified.frames, verified.unflushed_bytes), (all.len() as u64, 0), "{}", what());
    opened
}

/// A fate for each pending change, by chance.
pub fn by_chance(platter: &Platter, random: &mut Random) -> Platter {
    let pending = platter.pending();
    let fates: Vec<(u64, Fate)> = pending
        .iter()
        .map(|change| {
            let part = random.below(change.bytes);
            let fate = match random.below(if change.bytes < 2 || change.whole { 2 } else { 4 }) {
                0 => Fate::Kept,
                1 => Fate::Lost,
                2 => Fate::First(part),
                _ => Fate::Behind(part),
            };
            (change.step, fate)
        })
        .collect();
    platter.crashed(|step| fate_of(&fates, step))
}

/// Of files that no name leads to nobody hears.
pub fn fate_of(fates: &[(u64, Fate)], step: u64) -> Fate {
    let fate = fates.iter().find(|(other, _)| *other == step);
    fate.map_or(Fate::Lost, |(_, fate)| fate.clone())
}
