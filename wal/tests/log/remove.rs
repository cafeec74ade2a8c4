//! Retention: the oldest segments go, and what is left is a log.

use wal::{
    Beginning, BinlogPosition, Body, Error, Find, LogPoint, LogReader, Timestamp, Transaction,
    verify,
};

use crate::support::*;

/// Three epochs, several segments each.
fn long(folder: &Folder) -> wal::Log {
    let mut log = folder.create();
    for (reign, count) in [(1, 40), (2, 30), (3, 30)] {
        append(&mut log, epoch(reign), &[Body::EpochStart(epoch_start("s1"))]);
        for number in 1..=count {
            let number = u64::from(reign) * 100 + number;
            let one = Transaction { events: noise(number, 700), ..transaction(number, 0) };
            append(&mut log, epoch(reign), &[Body::Transaction(one)]);
        }
    }
    log.sync().unwrap();
    log
}

#[test]
fn old_segments_go_and_the_rest_is_as_before() {
    let folder = Folder::fast();
    let mut log = long(&folder);
    let all = read_all(&log);
    let (epochs, reader) = (log.epochs(), log.reader());
    log.reader().index_sealed(usize::MAX).unwrap();
    let mut old = reader.cursor(lsn(1)).unwrap();
    old.next_frame(lsn(1)).unwrap().unwrap();
    for keep in [1, 30, 60, 95] {
        let format = reader.format_at(lsn(100)).unwrap();
        log.remove_before(lsn(keep)).unwrap().finish().unwrap();
        let first = log.reader().first_lsn().unwrap();
        assert!(first <= lsn(keep), "nothing that is to be kept went");
        let second = reader.segments()[1].base_lsn;
        assert!(second > lsn(keep), "and all the rest did");
        assert_eq!(read_all(&log), all[first.get() as usize - 1..]);
        assert_eq!(log.epochs(), epochs, "how epochs ended is still known");
        assert_eq!(reader.format_at(lsn(100)).unwrap(), format);
        assert_eq!(reader.format_at(first).unwrap().1, format.1);
        verify(&folder.path).unwrap();
        let opened = LogReader::open(&folder.path).unwrap();
        assert_eq!((opened.first_lsn(), opened.epochs()), (Some(first), epochs.clone()));
    }
    assert!(matches!(reader.cursor(lsn(1)), Err(Error::Gone { .. })));
    assert!(matches!(old.next_frame(lsn(50)), Err(Error::Gone { .. })));
    assert!(matches!(reader.find(&Find::Lsn(lsn(1))), Err(Error::Gone { .. })));
    let early = Find::Timestamp(Timestamp::from_bits(1 << 8).unwrap());
    assert!(matches!(reader.find(&early), Err(Error::Gone { .. })));
    assert_eq!(reader.find(&Find::Gtid(mariadb(330))).unwrap(), Some(lsn(103)));
    drop(log);
    let mut log = folder.open();
    assert_eq!(
        (log.epochs(), log.tail()),
        (epochs, Some(LogPoint { epoch: epoch(3), lsn: lsn(103) }))
    );
    append(&mut log, epoch(3), &[Body::Transaction(transaction(999, 10))]);
}

#[test]
fn the_newest_segment_stays_and_nothing_is_cut_below_the_beginning() {
    let folder = Folder::fast();
    let mut log = long(&folder);
    log.remove_before(lsn(10_000)).unwrap().finish().unwrap();
    let left = log.reader().segments();
    assert_eq!(left.len(), 1);
    let first = left[0].base_lsn;
    assert!(matches!(log.truncate_after(None), Err(Error::Gone { .. })));
    assert!(matches!(log.truncate_after(Some(lsn(50))), Err(Error::Gone { .. })));
    // Down to where it begins: then the next record is the first one, as before.
    log.truncate_after(first.previous()).unwrap();
    assert_eq!(log.tail().map(|tail| tail.lsn), first.previous());
    append(&mut log, epoch(4), &[Body::EpochStart(epoch_start("s3"))]);
    log.sync().unwrap();
    drop(log);
    let log = folder.open();
    assert_eq!(log.reader().first_lsn(), Some(first));
    assert_eq!(log.tail(), Some(LogPoint { epoch: epoch(4), lsn: first }));
}

/// A removal that broke off behind any of its steps: the beginning is written, and some files are
/// gone. What is left opens, is dense, and the next removal goes on.
#[test]
fn a_removal_may_break_off_anywhere() {
    let whole = Folder::fast();
    drop(long(&whole));
    let segments = whole.segments();
    for (gone, begins) in segments.iter().enumerate().take(6) {
        let folder = Folder::fast();
        let mut log = long(&folder);
        let all = read_all(&log);
        let removal = log.remove_before(lsn(60)).unwrap();
        assert!(removal.segments() > 5 && removal.bytes() > 10_000);
        drop((removal, log));
        for path in &folder.segments()[..gone] {
            std::fs::remove_file(path).unwrap();
        }
        let mut log = folder.open();
        let first = log.reader().first_lsn().unwrap();
        assert_eq!(name(begins), format!("{:020}.seg", first.get()));
        assert_eq!(read_all(&log), all[first.get() as usize - 1..]);
        assert_eq!(log.epochs().len(), 3);
        verify(&folder.path).unwrap();
        log.remove_before(lsn(60)).unwrap().finish().unwrap();
        assert!(log.reader().first_lsn().unwrap() > lsn(50));
        verify(&folder.path).unwrap();
    }
}

#[test]
fn segments_that_went_by_themselves_are_damage() {
    let folder = Folder::fast();
    drop(long(&folder));
    std::fs::remove_file(&folder.segments()[0]).unwrap();
    assert!(matches!(verify(&folder.path), Err(Error::Damaged { .. })));
    assert!(matches!(LogReader::open(&folder.path), Err(Error::Damaged { .. })));
}

#[test]
fn an_empty_log_begins_where_another_one_does() {
    let (from, to) = (Folder::fast(), Folder::fast());
    let mut log = long(&from);
    log.remove_before(lsn(60)).unwrap().finish().unwrap();
    let bytes = log.reader().beginning().unwrap().encode();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(Beginning::decode(&flipped, CLUSTER).is_err(), "byte {at}");
        assert!(Beginning::decode(&bytes[..at], CLUSTER).is_err(), "cut at {at}");
    }
    let beginning = Beginning::decode(&bytes, CLUSTER).unwrap();
    let mut new = to.create();
    new.begin(beginning.clone()).unwrap();
    // What it begins with outlives a restart before the first record.
    drop(new);
    let mut new = to.open();
    assert_eq!(new.tail(), Some(beginning.last()));
    assert_eq!((new.flushed(), new.reader().first_lsn()), (new.tail(), None));
    let reader = log.reader();
    let mut cursor = reader.cursor(reader.first_lsn().unwrap()).unwrap();
    while let Some(frame) = cursor.next_frame(lsn(103)).unwrap() {
        new.append(&frame).unwrap();
    }
    new.sync().unwrap();
    assert_eq!(read_all(&new), read_all(&log));
    assert_eq!((new.epochs(), new.context()), (log.epochs(), log.context()));
    assert_eq!(new.reader().format_at(lsn(60)).unwrap(), reader.format_at(lsn(60)).unwrap());
    verify(&to.path).unwrap();
    assert!(matches!(new.begin(beginning), Err(Error::Refused(_))), "it has records");
    let position = BinlogPosition::new("bin.000007", 330 * 1000 + 1);
    assert_eq!(new.reader().find(&Find::Position(position)).unwrap(), Some(lsn(103)));
}
