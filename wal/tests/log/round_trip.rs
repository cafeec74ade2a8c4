//! What goes in comes out.

use bytes::Bytes;
use wal::{BinlogPosition, Body, Frame, Gtid, Log, Lsn, TransactionClass};

use crate::support::*;

fn every_kind() -> Vec<Body> {
    let mysql = |tag: &str| Gtid::Mysql { uuid: [3; 16], tag: tag.to_owned(), number: 77 };
    let mut bodies = vec![Body::EpochStart(epoch_start("s1"))];
    for class in [
        TransactionClass::Rows,
        TransactionClass::Ddl,
        TransactionClass::CreateSelect,
        TransactionClass::XaPrepare,
        TransactionClass::XaCommit,
        TransactionClass::XaRollback,
    ] {
        let mut one = transaction(10, 300);
        one.class = class;
        bodies.push(Body::Transaction(one));
    }
    for gtid in [None, Some(mysql("")), Some(mysql("tag_1")), Some(mariadb(u64::MAX))] {
        let mut one = transaction(11, 0);
        one.gtid = gtid;
        one.commit_micros = -1;
        one.end = BinlogPosition::new("bin.000008", u64::MAX);
        bodies.push(Body::Transaction(one));
    }
    let position = BinlogPosition::new("bin.000009", 256);
    let event = Bytes::from_static(b"format 2");
    bodies.push(Body::FormatDescription { position, event });
    bodies.push(Body::Heartbeat { closed: timestamp(5) });
    bodies.push(Body::Membership(Bytes::from_static(b"{}")));
    bodies.push(Body::Chunk(Bytes::from(vec![1; 5000])));
    bodies.push(Body::ChunkEnd(transaction(12, 10)));
    bodies
}

#[test]
fn every_kind_of_record_comes_back_as_it_was() {
    let folder = Folder::new();
    let mut log = folder.create();
    let bodies = every_kind();
    let frame = append(&mut log, epoch(1), &bodies);
    assert_eq!(Frame::decode(frame.bytes().clone()).unwrap(), frame);
    log.sync().unwrap();
    assert_eq!(log.flushed(), log.tail());
    drop(log);
    let log = folder.open();
    let read = read_all(&log);
    assert_eq!(read.iter().map(|record| record.body.clone()).collect::<Vec<_>>(), bodies);
    let lsns: Vec<u64> = read.iter().map(|record| record.lsn.get()).collect();
    assert_eq!(lsns, (1..=bodies.len() as u64).collect::<Vec<_>>());
    assert!(read.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
}

#[test]
fn a_log_of_many_segments_is_read_from_every_lsn() {
    let folder = Folder::new();
    let mut log = folder.create();
    append(&mut log, epoch(1), &[Body::EpochStart(epoch_start("s1"))]);
    for number in 1..100 {
        append(
            &mut log,
            epoch(1),
            &[
                Body::Transaction(transaction(number * 2, 150)),
                Body::Transaction(transaction(number * 2 + 1, 150)),
            ],
        );
    }
    assert!(folder.segments().len() > 3);
    let (all, tail) = (read_all(&log), log.tail().unwrap().lsn);
    assert_eq!(all.len() as u64, tail.get());
    for from in 1..=tail.get() {
        let mut cursor = log.reader().cursor(lsn(from)).unwrap();
        let frame = cursor.next_frame(tail).unwrap().unwrap();
        assert!(frame.header().first_lsn <= lsn(from) && frame.last().lsn >= lsn(from));
        assert_eq!(log.boundary(lsn(from)).unwrap(), frame.last().lsn == lsn(from));
    }
    assert!(
        log.reader()
            .cursor(tail.next())
            .unwrap()
            .next_frame(Lsn::FIRST.plus(999))
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_lone_commit_costs_little_more_than_its_events() {
    let folder = Folder::new();
    let mut log = folder.create();
    let mut one = transaction(3, 0);
    one.events =
        Bytes::from((0..200).map(|n: u32| ((n * n * 7919) >> 3) as u8).collect::<Vec<_>>());
    let frame = append(&mut log, epoch(1), &[Body::Transaction(one)]);
    assert!(frame.bytes().len() < 200 + 60 + 60, "{}", frame.bytes().len());
}

#[test]
fn the_context_says_where_the_source_stands() {
    let folder = Folder::new();
    let mut log: Log = folder.create();
    assert_eq!(log.context(), None);
    append(&mut log, epoch(1), &[Body::EpochStart(epoch_start("s1"))]);
    let context = log.context().unwrap();
    assert_eq!((context.epoch_start, context.format_lsn), (lsn(1), lsn(1)));
    assert_eq!(context.position, BinlogPosition::new("bin.000006", 4));
    assert_eq!((context.last_gtid, context.end_crc), (Some(mariadb(5)), Some(0xdead_beef)));
    append(&mut log, epoch(1), &[Body::Transaction(transaction(9, 10))]);
    let event = Bytes::from_static(b"format 2");
    let position = BinlogPosition::new("bin.000008", 256);
    append(&mut log, epoch(1), &[Body::FormatDescription { position, event: event.clone() }]);
    append(&mut log, epoch(2), &[Body::EpochStart(epoch_start("s1"))]);
    let before = log.context().unwrap();
    let start = transaction(9, 0).start;
    assert_eq!(before.last_transaction, Some((lsn(2), start)), "the same server's");
    assert_eq!(log.epochs().len(), 2);
    assert_eq!(log.reader().format_at(lsn(2)).unwrap().0, lsn(1));
    assert_eq!(log.reader().format_at(lsn(3)).unwrap(), (lsn(3), event));
    assert_eq!(log.reader().format_at(lsn(4)).unwrap().0, lsn(4));
    append(&mut log, epoch(3), &[Body::EpochStart(epoch_start("s2"))]);
    for number in 10..60 {
        append(&mut log, epoch(3), &[Body::Transaction(transaction(number, 300))]);
    }
    let before = log.context().unwrap();
    assert_eq!(before.last_transaction.as_ref().unwrap().0, log.tail().unwrap().lsn);
    assert_eq!((before.epoch_start, before.member.as_str()), (lsn(5), "s2"));
    assert_eq!(log.reader().format_at(log.tail().unwrap().lsn).unwrap().0, lsn(5));
    drop(log);
    assert_eq!(folder.open().context().unwrap(), before, "across segments and a restart");
}
