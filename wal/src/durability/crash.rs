//! The power goes after every write, every fsync and every change of a name.

use crate::sim::{Fate, Pending, Platter};

use super::Random;
use super::check::{by_chance, check, fate_of};
use super::history::{Act, History, bases, script};
use super::open;

/// Up to so many pending changes every subset is tried; of more, some.
const ALL_SUBSETS: usize = 6;
const SAMPLES: u64 = 40;

fn run() -> History {
    let mut history = History::new();
    script().into_iter().for_each(|act| history.act(act));
    history
}

/// The disk after each step of a history, with the number of steps taken.
fn each_step(history: &History, mut look: impl FnMut(usize, &Platter)) {
    let mut platter = Platter::default();
    look(0, &platter);
    for (index, step) in history.disk.journal().iter().enumerate() {
        platter.apply(step);
        look(index + 1, &platter);
    }
}

#[test]
fn the_history_goes_through_what_it_should() {
    let mut history = History::new();
    let mut segments = 0;
    for act in script() {
        history.act(act);
        if matches!(act, Act::Cut(_) | Act::Reopen) {
            let disk = crate::sim::SimDisk::starting_with(history.disk.platter());
            segments = segments.max(bases(&open(&disk).unwrap()).len());
        }
    }
    assert!(segments >= 5, "{segments}");
    assert!(history.disk.steps() > 150);
}

#[test]
fn what_was_flushed_survives_any_subset_of_what_was_not() {
    let history = run();
    let mut images = 0u64;
    each_step(&history, |steps, platter| {
        let mark = history.at(steps);
        let pending = platter.pending();
        let subsets: Vec<u64> = if pending.len() <= ALL_SUBSETS {
            (0..1 << pending.len()).collect()
        } else {
            let mut random = Random(steps as u64);
            // The oldest so many, as a disk that keeps the order leaves them; then any.
            let ordered = (0..=pending.len().min(63)).map(|count| (1u64 << count) - 1);
            ordered.chain((0..SAMPLES).map(|_| random.next())).collect()
        };
        for subset in subsets {
            let kept = |step| {
                let index = pending.iter().position(|change| change.step == step);
                match index.is_some_and(|index| subset >> (index % 64) & 1 == 1) {
                    true => Fate::Kept,
                    false => Fate::Lost,
                }
            };
            images += 1;
            check(platter.crashed(kept), mark, &|| format!("step {steps}, subset {subset:#b}"));
        }
    });
    assert!(images > 2000, "{images}");
}

#[test]
fn a_last_write_torn_at_every_byte_is_found_out() {
    let history = run();
    each_step(&history, |steps, platter| {
        let pending = platter.pending();
        let Some(&Pending { step: last, bytes, whole: false }) = pending.last() else {
            return;
        };
        for count in 0..bytes {
            for (torn, others) in [
                (Fate::First(count), Fate::Kept),
                (Fate::First(count), Fate::Lost),
                (Fate::Behind(count), Fate::Kept),
            ] {
                // Of the other two every fifth byte: they differ from the first in the rest only.
                if (others != Fate::Kept || torn != Fate::First(count)) && count % 5 != 0 {
                    continue;
                }
                let fate = |step| if step == last { torn.clone() } else { others.clone() };
                let what = || format!("step {steps}, the last {torn:?}, the others {others:?}");
                check(platter.crashed(fate), history.at(steps), &what);
            }
        }
    });
}

#[test]
fn pieces_of_all_writes_by_chance_and_a_second_crash_in_the_recovery() {
    let history = run();
    each_step(&history, |steps, platter| {
        for sample in 0..12 {
            let seed = (steps as u64) << 8 | sample;
            let mut random = Random(seed);
            let image = by_chance(platter, &mut random);
            let mark = history.at(steps);
            check(image.clone(), mark, &|| format!("step {steps}, seed {seed:#x}"));
            if sample > 1 {
                continue;
            }
            let disk = crate::sim::SimDisk::starting_with(image.clone());
            let _ = open(&disk);
            let mut again = image;
            for (index, step) in disk.journal().iter().enumerate() {
                again.apply(step);
                let crashed = by_chance(&again, &mut random);
                let what = || format!("step {steps}, seed {seed:#x}, step {index} of recovery");
                check(crashed, mark, &what);
            }
        }
    });
}

/// The process ends, the machine does not: what was written is read back, and then the power goes.
/// What the next process found and called flushed must be there then.
#[test]
fn what_a_killed_process_wrote_is_flushed_by_the_next() {
    let history = run();
    each_step(&history, |steps, platter| {
        let mark = history.at(steps);
        let opened = check(platter.clone(), mark, &|| format!("killed at step {steps}"));
        let found = super::frames(&open(&opened).unwrap());
        let platter = opened.platter();
        let mut mark = mark.clone();
        (mark.must, mark.created) = (found.len(), true);
        let lost = platter.crashed(|_| Fate::Lost);
        check(lost, &mark, &|| format!("killed at step {steps}, then nothing kept"));
        for sample in 0..4 {
            let seed = (steps as u64) << 8 | sample;
            let image = by_chance(&platter, &mut Random(seed));
            check(image, &mark, &|| format!("killed at step {steps}, then seed {seed:#x}"));
        }
    });
}

#[test]
fn a_fate_is_asked_for_named_files_only() {
    assert_eq!(fate_of(&[(3, Fate::Kept)], 4), Fate::Lost);
}
