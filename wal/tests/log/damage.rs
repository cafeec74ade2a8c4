//! Damage is found and named, whatever it is (I13).

use std::fs;

use wal::{ClusterId, Error, Fault, Log, LogOptions, LogReader, Record, verify};

use crate::support::*;

/// All records that a folder gives to who only reads, or the first error.
fn read(folder: &Folder) -> Result<Vec<Record>, Error> {
    let reader = LogReader::open(&folder.path)?;
    let mut records = Vec::new();
    let (Some(first), Some(last)) = (reader.first_lsn(), reader.written()) else {
        return Ok(records);
    };
    let mut cursor = reader.cursor(first)?;
    while let Some(frame) = cursor.next_frame(last.lsn)? {
        records.extend(frame.records()?);
    }
    Ok(records)
}

#[test]
fn every_flipped_bit_is_found() {
    let folder = Folder::fast();
    let options = LogOptions { segment_bytes: 900 };
    drop(filled(&folder, 0, 0));
    let mut log = Log::open(&folder.path, options.clone()).unwrap();
    for number in 1..12 {
        append(&mut log, epoch(2), &[wal::Body::Transaction(transaction(number, 30))]);
    }
    log.sync().unwrap();
    drop(log);
    let segments = folder.segments();
    assert!(segments.len() >= 3);
    let sound = read(&folder).unwrap();
    for (index, path) in segments.iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let frames = frames_in(path);
        let end = frames.last().unwrap().1;
        // The frame that an offset lies in, else the header.
        let part =
            |offset| frames.iter().rfind(|frame| frame.0 <= offset).map_or(0, |frame| frame.0);
        let newest = index + 1 == segments.len();
        assert!(newest || bytes.len() as u64 == end, "a sealed segment has nothing behind it");
        for (offset, byte) in (0..end + 8).zip(&bytes) {
            for bit in 0..8 {
                overwrite(path, offset, &[byte ^ (1 << bit)]);
                if offset < end {
                    let found = damage(verify(&folder.path));
                    assert_eq!(found, (name(path), part(offset)), "{offset}.{bit}");
                } else {
                    assert!(verify(&folder.path).unwrap().unflushed_bytes > 0);
                    assert_eq!(read(&folder).unwrap(), sound);
                }
            }
            // The last flipped bit still stands; who reads or opens meets it too.
            if offset < end {
                assert!(read(&folder).is_err(), "{offset}");
            }
            if newest && offset < end {
                let opened = Log::open(&folder.path, options.clone());
                assert_eq!(damage(opened.map(|_| ())).0, name(path), "{offset}");
            }
            overwrite(path, offset, &[*byte]);
        }
    }
    assert_eq!(read(&folder).unwrap(), sound);
}

#[test]
fn a_flipped_bit_in_the_identity_is_found() {
    let folder = Folder::fast();
    drop(filled(&folder, 1, 10));
    let path = folder.path.join("identity");
    for (offset, byte) in (0..).zip(fs::read(&path).unwrap()) {
        for bit in 0..8 {
            overwrite(&path, offset, &[byte ^ (1 << bit)]);
            let opened = damage(Log::open(&folder.path, SMALL).map(|_| ()));
            assert_eq!(opened, ("identity".to_owned(), 0), "{offset}.{bit}");
        }
        overwrite(&path, offset, &[byte]);
    }
    verify(&folder.path).unwrap();
}

/// Whatever the note of fsyncs says after a bit of it flipped, nothing that is there is lost.
#[test]
fn a_flipped_bit_in_the_note_of_fsyncs_costs_nothing() {
    let folder = Folder::fast();
    filled(&folder, 5, 40).sync().unwrap();
    let path = folder.path.join("flushed");
    let sound = fs::read(&path).unwrap();
    for offset in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[offset] ^= 1 << (offset % 8);
        fs::write(&path, &flipped).unwrap();
        assert_eq!(read_all(&folder.open()).len(), 6);
        assert_eq!(fs::read(&path).unwrap(), sound, "an opening notes it anew");
    }
}

#[test]
fn zeros_for_any_frame_of_a_sealed_segment_are_damage_there() {
    let folder = Folder::fast();
    filled(&folder, 40, 200).sync().unwrap();
    let path = folder.segments().remove(1);
    let sound = fs::read(&path).unwrap();
    for (start, end) in frames_in(&path) {
        for until in [end, sound.len() as u64] {
            overwrite(&path, start, &vec![0; (until - start) as usize]);
            assert_eq!(damage(verify(&folder.path)), (name(&path), start));
            assert!(read(&folder).is_err());
            fs::write(&path, &sound).unwrap();
        }
    }
    verify(&folder.path).unwrap();
}

#[test]
fn a_hole_with_whole_frames_behind_it_is_damage() {
    for flush in [true, false] {
        let folder = Folder::fast();
        let mut log = filled(&folder, 5, 40);
        if flush {
            log.sync().unwrap();
        }
        drop(log);
        let path = folder.segments().pop().unwrap();
        let (start, end) = frames_in(&path)[2];
        overwrite(&path, start, &vec![0; (end - start) as usize]);
        if !flush {
            // What an older program, or a copy, leaves: nothing is known of fsyncs.
            fs::remove_file(folder.path.join("flushed")).unwrap();
        }
        assert_eq!(damage(Log::open(&folder.path, SMALL).map(|_| ())), (name(&path), start));
        assert_eq!(damage(verify(&folder.path)), (name(&path), start));
    }
}

#[test]
fn swapped_frames_are_damage() {
    let folder = Folder::fast();
    drop(filled(&folder, 6, 40));
    let path = folder.segments().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let frames = frames_in(&path);
    let pair = frames.windows(2).find(|pair| pair[0].1 - pair[0].0 == pair[1].1 - pair[1].0);
    let [one, two] = pair.unwrap() else { unreachable!() };
    overwrite(&path, one.0, &bytes[two.0 as usize..two.1 as usize]);
    overwrite(&path, two.0, &bytes[one.0 as usize..one.1 as usize]);
    assert_eq!(damage(Log::open(&folder.path, SMALL).map(|_| ())), (name(&path), one.0));
}

#[test]
fn lost_shortened_and_foreign_segments_are_damage() {
    let folder = Folder::fast();
    filled(&folder, 60, 200).sync().unwrap();
    let segments = folder.segments();
    assert!(segments.len() >= 4);
    for (index, path) in segments.iter().enumerate() {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).unwrap();
        // The oldest one too: retention writes down where the log begins then (`remove.rs`).
        assert!(verify(&folder.path).is_err(), "segment {index} lost");
        assert!(Log::open(&folder.path, SMALL).is_err(), "segment {index} lost");
        fs::rename(&aside, path).unwrap();
    }
    let whole = fs::read(&segments[1]).unwrap();
    fs::write(&segments[1], &whole[..whole.len() - 1]).unwrap();
    let expected = (name(&segments[1]), whole.len() as u64 - 1);
    assert_eq!(damage(Log::open(&folder.path, SMALL).map(|_| ())), expected);
    fs::write(&segments[1], &whole).unwrap();
    verify(&folder.path).unwrap();

    let other = Folder::fast();
    let theirs = ClusterId::from_bytes([8; 16]);
    let mut log = Log::create(&other.path, theirs, INCARNATION, SMALL).unwrap();
    append(&mut log, epoch(1), &[wal::Body::EpochStart(epoch_start("s1"))]);
    fs::copy(&other.segments()[0], &segments[0]).unwrap();
    match Log::open(&folder.path, SMALL).map(|_| ()) {
        Err(Error::Damaged { fault: Fault::Cluster { expected, found }, .. }) => {
            assert_eq!((expected, found), (CLUSTER, theirs));
        }
        other => panic!("{other:?}"),
    }
}
