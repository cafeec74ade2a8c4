//! A damaged segment is written anew from another member's frames, or refused.

use std::fs;
use std::path::{Path, PathBuf};

use wal::{
    Body, Codec, Damage, Error, Fault, Frame, FrameBuilder, Log, LogReader, Lsn, Mended, Mender,
    verify,
};

use crate::support::*;

/// Two members with the same log of several segments, two epochs and both versions, all flushed.
fn twins() -> (Folder, Folder) {
    let (one, other) = (Folder::fast(), Folder::fast());
    for folder in [&one, &other] {
        let mut log = filled(folder, 30, 250);
        append(&mut log, epoch(2), &[Body::EpochStart(epoch_start("s2"))]);
        for number in 40..60 {
            append(&mut log, epoch(2), &[Body::Transaction(transaction(number, 250))]);
        }
        for number in 60..80 {
            log.append(&in_bulk(&log, number)).unwrap();
        }
        log.sync().unwrap();
    }
    (one, other)
}

/// The next frame, in a codec that only version 2 has.
fn in_bulk(log: &Log, number: u64) -> Frame {
    let mut builder = FrameBuilder::new();
    builder.set_codec(Codec::Zstd);
    let floor = log.last_timestamp().unwrap().counter();
    let body = Body::Transaction(transaction(number, 3000));
    builder.push(timestamp(floor + 1), &body).unwrap();
    builder.seal(epoch(2), log.tail().unwrap().lsn.next(), log.chain()).unwrap()
}

fn write_anew(damage: Damage, from: &LogReader) -> Result<Mended, Error> {
    let (first, last) = damage.records();
    let mut repair = damage.begin()?;
    let mut cursor = from.cursor(first)?;
    while let Some(frame) = cursor.next_frame(last)? {
        repair.take(&frame)?;
    }
    repair.finish()
}

/// Mends all that is damaged; the segments that were.
fn mend(dir: &Path, from: &Path) -> Result<Vec<String>, Error> {
    let mender = Mender::open(dir)?;
    let from = LogReader::open(from)?;
    let (mut mended, mut at) = (Vec::new(), Lsn::FIRST);
    while let Some((damage, error)) = mender.find(at)? {
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        at = damage.records().0;
        mended.push(name(damage.path()));
        assert!(mended.len() < 20, "no end: {mended:?}");
        mender.publish(write_anew(damage, &from)?)?;
    }
    Ok(mended)
}

fn files(folder: &Folder) -> Vec<(PathBuf, Vec<u8>)> {
    folder.segments().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

type Spoil = fn(&Path, &[u8], u64);

/// What can be wrong with a segment of which these are the bytes, and a frame's offset in it.
const SPOILS: [(&str, Spoil); 7] = [
    ("bit in a frame", |path, bytes, at| overwrite(path, at + 70, &[bytes[at as usize + 70] ^ 4])),
    ("bit in a frame's header", |path, bytes, at| {
        overwrite(path, at + 9, &[bytes[at as usize + 9] ^ 1]);
    }),
    ("zeros", |path, bytes, at| overwrite(path, at, &vec![0; bytes.len() - at as usize])),
    ("bit in the segment's header", |path, bytes, _| overwrite(path, 30, &[bytes[30] ^ 1])),
    ("shorter", |path, bytes, at| fs::write(path, &bytes[..at as usize + 9]).unwrap()),
    ("longer", |path, bytes, _| fs::write(path, [bytes, b"more"].concat()).unwrap()),
    ("lost", |path, _, _| fs::remove_file(path).unwrap()),
];

#[test]
fn every_sealed_segment_is_mended_to_the_bytes_that_it_had() {
    let (one, other) = twins();
    let sound = files(&one);
    assert!(sound.len() >= 5);
    for (index, (path, bytes)) in sound.iter().enumerate().take(sound.len() - 1) {
        for (what, spoil) in SPOILS {
            if what == "lost" && index == 0 {
                // Nothing says that there was one: that is what retention leaves.
                continue;
            }
            spoil(path, bytes, frames_in(&other.path.join(name(path)))[2].0);
            assert!(verify(&one.path).is_err(), "{what}");
            assert_eq!(mend(&one.path, &other.path).unwrap(), [name(path)], "{what}");
            assert_eq!(files(&one), sound, "{what}");
            verify(&one.path).unwrap();
        }
    }
    assert_eq!(read_all(&one.open()), read_all(&other.open()));
}

#[test]
fn several_damaged_segments_are_mended_in_one_go() {
    let (one, other) = twins();
    let sound = files(&one);
    for (path, bytes) in sound.iter().take(4) {
        let at = frames_in(path)[1].0 + 70;
        overwrite(path, at, &[bytes[at as usize] ^ 1]);
    }
    assert_eq!(mend(&one.path, &other.path).unwrap().len(), 4);
    assert_eq!(files(&one), sound);
}

#[test]
fn what_was_flushed_of_the_newest_segment_is_mended_and_the_log_goes_on() {
    for known in [true, false] {
        let (one, other) = twins();
        let path = one.segments().pop().unwrap();
        let bytes = fs::read(&path).unwrap();
        if !known {
            fs::remove_file(one.path.join("flushed")).unwrap();
        }
        let at = frames_in(&path)[1].0 + 70;
        overwrite(&path, at, &[bytes[at as usize] ^ 1]);
        assert!(Log::open(&one.path, SMALL).is_err());
        assert_eq!(mend(&one.path, &other.path).unwrap(), [name(&path)]);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        let mut log = one.open();
        assert_eq!(read_all(&log), read_all(&other.open()));
        append(&mut log, epoch(2), &[Body::Transaction(transaction(99, 10))]);
        drop(log);
        verify(&one.path).unwrap();
    }
}

#[test]
fn another_history_is_refused_and_nothing_changes() {
    let (one, _) = twins();
    let other = Folder::fast();
    let mut log = filled(&other, 2, 250);
    for number in 50..90 {
        append(&mut log, epoch(1), &[Body::Transaction(transaction(number, 250))]);
    }
    drop(log);
    let path = one.segments().remove(1);
    let at = frames_in(&path)[0].0 + 70;
    overwrite(&path, at, &[0xee]);
    let damaged = files(&one);
    let refused = mend(&one.path, &other.path);
    assert!(matches!(refused, Err(Error::Refused(Fault::Chain { .. }))), "{refused:?}");
    assert_eq!(files(&one), damaged);
    // And one that ends too early.
    let short = Folder::fast();
    drop(filled(&short, 10, 250));
    let refused = mend(&one.path, &short.path);
    assert!(matches!(refused, Err(Error::Refused(Fault::Missing(_)))), "{refused:?}");
    assert_eq!(files(&one), damaged);
}

#[test]
fn a_writer_mends_beside_its_appends() {
    let (one, other) = twins();
    let mut log = one.open();
    let from = LogReader::open(&other.path).unwrap();
    // The newest one first: it is sealed for that, and another begins.
    for path in one.segments().into_iter().rev() {
        let at = frames_in(&path)[1].0 + 70;
        let byte = fs::read(&path).unwrap()[at as usize];
        overwrite(&path, at, &[byte ^ 1]);
        let base = name(&path).trim_end_matches(".seg").parse().unwrap();
        assert_eq!(damage(log.reader().check(lsn(base))), (name(&path), at - 70));
        let damage = log.damage(&name(&path)).unwrap().unwrap();
        let mended = write_anew(damage, &from).unwrap();
        let number = log.tail().unwrap().lsn.get();
        append(&mut log, epoch(2), &[Body::Transaction(transaction(number, 20))]);
        assert!(log.publish(mended).unwrap());
    }
    log.sync().unwrap();
    for segment in log.reader().segments() {
        log.reader().check(segment.base_lsn).unwrap();
    }
    let records = read_all(&log);
    drop(log);
    verify(&one.path).unwrap();
    assert_eq!(records, read_all(&one.open()));
    assert_eq!(records[..72], read_all(&other.open())[..]);
}

#[test]
fn what_an_adoption_has_cut_meanwhile_is_not_put_back() {
    let (one, other) = twins();
    let mut log = one.open();
    let path = one.segments().remove(2);
    let damage = log.damage(&name(&path)).unwrap().unwrap();
    let (first, _) = damage.records();
    let mended = write_anew(damage, &LogReader::open(&other.path).unwrap()).unwrap();
    log.truncate_after(first.previous()).unwrap();
    assert!(!log.publish(mended).unwrap());
    assert!(log.damage(&name(&path)).unwrap().is_none());
    drop(log);
    verify(&one.path).unwrap();
    assert_eq!(fs::read_dir(&one.path).unwrap().count(), 3 + one.segments().len());
}

/// One side, both or none has compressed its sealed segments again: the records come back all the same,
/// and the log opens and goes on.
#[test]
fn what_one_side_has_compressed_again_is_mended_too() {
    for (ours, theirs) in [(false, true), (true, false), (true, true)] {
        let (one, other) = twins();
        for (folder, again) in [(&one, ours), (&other, theirs)] {
            let log = folder.open();
            let recompressor = log.recompressor();
            for (_, base) in recompressor.candidates().into_iter().filter(|_| again) {
                recompressor.recompress(base, 9, |_| true).unwrap();
            }
        }
        let sound = files(&one);
        for (index, (path, bytes)) in sound.iter().enumerate().take(sound.len() - 1) {
            for (what, spoil) in SPOILS.into_iter().filter(|(what, _)| *what != "lost" || index > 0)
            {
                let what = format!("{what}, compressed again: {ours} and {theirs}");
                spoil(path, bytes, frames_in(path)[2].0);
                assert_eq!(mend(&one.path, &other.path).expect(&what), [name(path)], "{what}");
                verify(&one.path).expect(&what);
                // The next one begins as this one did.
                fs::write(path, bytes).unwrap();
            }
        }
        let (path, bytes) = &sound[1];
        overwrite(path, frames_in(path)[2].0 + 70, &[!bytes[frames_in(path)[2].0 as usize + 70]]);
        let mut log = one.open();
        let damage = log.damage(&name(path)).unwrap().unwrap();
        let from = LogReader::open(&other.path).unwrap();
        assert!(log.publish(write_anew(damage, &from).unwrap()).unwrap());
        assert_eq!(read_all(&log), read_all(&other.open()));
        append(&mut log, epoch(2), &[Body::Transaction(transaction(500, 250))]);
        log.sync().unwrap();
        drop(log);
        verify(&one.path).unwrap();
    }
}
