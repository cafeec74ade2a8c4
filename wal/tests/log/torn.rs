//! A write that a crash broke off is cut; what an fsync reached never is (I13).

use std::fs;

use wal::{Body, Log, Lsn, verify};

use crate::refuse::crc32;
use crate::support::*;

/// A log whose last frame is written but not flushed: segment, start and end of that frame.
fn unflushed_tail(folder: &Folder) -> (std::path::PathBuf, u64, u64) {
    let mut log = filled(folder, 3, 40);
    log.sync().unwrap();
    append(&mut log, epoch(1), &[Body::Transaction(transaction(4, 40))]);
    let path = folder.segments().pop().unwrap();
    let (start, end) = *frames_in(&path).last().unwrap();
    (path, start, end)
}

#[test]
fn every_broken_off_last_frame_is_cut_to_the_last_whole_one() {
    let folder = Folder::fast();
    let (path, start, end) = unflushed_tail(&folder);
    let whole = fs::read(&path).unwrap();
    let marks = fs::read(folder.path.join("flushed")).unwrap();
    for known in [true, false] {
        for cut in start..end {
            for shorter in [true, false] {
                let mut bytes = whole.clone();
                if shorter {
                    bytes.truncate(cut as usize);
                } else {
                    bytes[cut as usize..].fill(0);
                }
                fs::write(&path, bytes).unwrap();
                match known {
                    true => fs::write(folder.path.join("flushed"), &marks).unwrap(),
                    false => fs::remove_file(folder.path.join("flushed")).unwrap(),
                }
                let log = folder.open();
                assert_eq!(log.tail().map(|tail| tail.lsn), Lsn::new(4), "cut at {cut}");
                assert_eq!(log.flushed(), log.tail());
                assert!(fs::read(&path).unwrap()[start as usize..].iter().all(|&byte| byte == 0));
            }
        }
    }
    let mut log = folder.open();
    append(&mut log, epoch(1), &[Body::Transaction(transaction(5, 40))]);
    drop(log);
    assert_eq!(read_all(&folder.open()).len(), 5);
    assert_eq!(verify(&folder.path).unwrap().records, 5);
}

#[test]
fn the_same_frame_once_flushed_is_damage() {
    let folder = Folder::fast();
    let (path, start, end) = unflushed_tail(&folder);
    folder.open().sync().unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in [start, start + 1, start + 60, end - 1] {
        let mut bytes = whole.clone();
        bytes[cut as usize..].fill(0);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(damage(Log::open(&folder.path, SMALL).map(|_| ())), (name(&path), start));
        assert_eq!(damage(verify(&folder.path)), (name(&path), start));
        assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was repaired by guessing");
    }
}

/// What a newer version wrote last, before it was killed: never cut by an older one.
#[test]
fn a_signed_header_that_is_not_known_is_no_torn_tail() {
    let folder = Folder::fast();
    let (path, start, _) = unflushed_tail(&folder);
    let mut header = fs::read(&path).unwrap()[start as usize..][..60].to_vec();
    header[2] = 9;
    let crc = crc32(&header[..56]);
    header[56..].copy_from_slice(&crc.to_le_bytes());
    overwrite(&path, start, &header);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(damage(Log::open(&folder.path, SMALL).map(|_| ())), (name(&path), start));
    assert_eq!(damage(verify(&folder.path)), (name(&path), start));
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was cut");
}

#[test]
fn verify_beside_a_torn_tail_says_how_much_is_not_flushed() {
    let folder = Folder::fast();
    let (path, start, end) = unflushed_tail(&folder);
    overwrite(&path, end - 3, &[0; 3]);
    let verified = verify(&folder.path).unwrap();
    assert_eq!(verified.records, 4);
    assert_eq!(verified.unflushed_bytes, 4096 - start);
}

#[test]
fn half_made_files_are_removed() {
    let folder = Folder::fast();
    drop(filled(&folder, 3, 40));
    let temporary = folder.path.join("00000000000000000009.seg.tmp");
    fs::write(&temporary, b"half").unwrap();
    assert_eq!(folder.open().tail().map(|tail| tail.lsn), Lsn::new(4));
    assert!(!temporary.exists());
}

#[test]
fn the_log_goes_on_after_each_of_many_restarts() {
    let folder = Folder::fast();
    drop(filled(&folder, 1, 40));
    for number in 2..40 {
        let mut log = folder.open();
        append(&mut log, epoch(1), &[Body::Transaction(transaction(number, 100))]);
    }
    assert_eq!(read_all(&folder.open()).len(), 40);
    assert!(folder.segments().len() < 8, "a restart begins no segment");
}
