//! The record that an operator means.

use wal::{BinlogPosition, Body, Find, Timestamp};

use crate::support::*;

#[test]
fn a_record_is_found_by_everything_that_names_it() {
    let folder = Folder::new();
    let log = filled(&folder, 80, 150);
    let reader = log.reader();
    assert!(folder.segments().len() > 3);
    let all = read_all(&log);
    let find = |what: Find| reader.find(&what).unwrap();
    for record in &all {
        let lsn = Some(record.lsn);
        assert_eq!(find(Find::Lsn(record.lsn)), lsn);
        assert_eq!(find(Find::Timestamp(record.timestamp)), lsn);
        let earlier = Timestamp::from_bits(record.timestamp.bits() - 1).unwrap();
        assert_eq!(find(Find::Timestamp(earlier)), lsn);
        let Body::Transaction(one) = &record.body else {
            continue;
        };
        assert_eq!(find(Find::Gtid(one.gtid.clone().unwrap())), lsn);
        assert_eq!(find(Find::Position(one.end.clone())), lsn);
        let inside = BinlogPosition::new(one.start.file.clone(), one.start.offset + 1);
        assert_eq!(find(Find::Position(inside)), lsn);
        assert_eq!(find(Find::WallClock(one.commit_micros)), lsn);
        assert_eq!(find(Find::WallClock(one.commit_micros - 1)), lsn);
    }
    let beyond = all.last().unwrap();
    assert_eq!(find(Find::Lsn(beyond.lsn.next())), None);
    assert_eq!(find(Find::Timestamp(timestamp(1 << 40))), None);
    assert_eq!(find(Find::Gtid(mariadb(999))), None);
    assert_eq!(find(Find::Position(BinlogPosition::new("bin.000007", 950))), None);
    assert_eq!(find(Find::WallClock(i64::MAX)), None);
    assert_eq!(find(Find::WallClock(0)), Some(lsn(2)));
}
