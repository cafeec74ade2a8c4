//! Frames that are whole but not the next one, and folders that are taken.

use wal::{Body, ClusterId, Error, ErrorClass, Fault, Frame, FrameBuilder, Log, LogOptions, Lsn};

use crate::support::*;

fn fault(result: Result<(), Error>) -> Fault {
    match result {
        Err(error @ Error::Refused(_)) => {
            assert_eq!(error.class(), ErrorClass::Reconnect);
            let Error::Refused(fault) = error else { unreachable!() };
            fault
        }
        other => panic!("{other:?}"),
    }
}

fn frame(time: u64, number: u32, first: Lsn, chain: u32) -> Frame {
    let mut builder = FrameBuilder::new();
    builder.push(timestamp(time), &Body::Heartbeat { closed: timestamp(1) }).unwrap();
    builder.seal(epoch(number), first, chain).unwrap()
}

#[test]
fn a_frame_that_is_not_the_next_one_is_refused_and_nothing_changes() {
    let folder = Folder::new();
    let mut log = folder.create();
    let foreign = {
        let other = Folder::new();
        let cluster = ClusterId::from_bytes([8; 16]);
        let log = Log::create(&other.path, cluster, INCARNATION, SMALL).unwrap();
        frame(10, 2, lsn(1), log.chain())
    };
    assert!(matches!(fault(log.append(&foreign)), Fault::Chain { .. }));
    append(&mut log, epoch(2), &[Body::EpochStart(epoch_start("s1"))]);
    append(&mut log, epoch(2), &[Body::Heartbeat { closed: timestamp(1) }]);
    let chain = log.chain();
    let before = (log.tail(), chain, log.last_timestamp(), log.context());
    let refused = |frame: &Frame, log: &mut Log| fault(log.append(frame));
    assert!(matches!(refused(&frame(10, 2, lsn(4), chain), &mut log), Fault::Lsn { .. }));
    assert!(matches!(refused(&frame(10, 2, lsn(2), chain), &mut log), Fault::Lsn { .. }));
    assert!(matches!(refused(&frame(10, 1, lsn(3), chain), &mut log), Fault::Epoch { .. }));
    assert!(matches!(refused(&frame(10, 2, lsn(3), chain ^ 1), &mut log), Fault::Chain { .. }));
    assert!(matches!(refused(&frame(2, 2, lsn(3), chain), &mut log), Fault::Timestamp { .. }));
    assert_eq!(before, (log.tail(), log.chain(), log.last_timestamp(), log.context()));
    log.append(&frame(10, 3, lsn(3), chain)).unwrap();
}

#[test]
fn a_frame_from_elsewhere_is_checked_inside_too() {
    let folder = Folder::new();
    let mut log = folder.create();
    let sound = next_frame(&log, epoch(1), &[Body::Heartbeat { closed: timestamp(1) }]);
    let mut bytes = sound.bytes().to_vec();
    bytes[48] ^= 1; // the chain, and then the header's checksum to match
    let crc = crc32(&bytes[..56]);
    bytes[56..60].copy_from_slice(&crc.to_le_bytes());
    let forged = Frame::decode(bytes.into()).unwrap();
    assert!(forged.records().is_err());
    assert!(matches!(log.append(&forged), Err(Error::BadFrame(Fault::Chain { .. }))));
    assert_eq!(log.tail(), None);
    log.append(&Frame::decode(sound.bytes().clone()).unwrap()).unwrap();
}

#[test]
fn the_builder_refuses_what_could_not_be_read() {
    let mut builder = FrameBuilder::new();
    assert!(builder.seal(epoch(1), lsn(1), 0).is_err());
    builder.push(timestamp(5), &Body::Heartbeat { closed: timestamp(1) }).unwrap();
    assert!(builder.push(timestamp(5), &Body::Heartbeat { closed: timestamp(1) }).is_err());
    assert!(builder.push(timestamp(6), &Body::EpochStart(epoch_start("s1"))).is_err());
    let mut long = transaction(1, 1);
    long.start.file = "x".repeat(5000);
    assert!(builder.push(timestamp(6), &Body::Transaction(long)).is_err());
    assert_eq!(builder.record_count(), 1);
    assert_eq!(builder.seal(epoch(1), lsn(1), 0).unwrap().records().unwrap().len(), 1);
    assert!(builder.is_empty());
}

#[test]
fn one_writer_at_a_time_and_only_of_a_log() {
    let folder = Folder::new();
    let log = folder.create();
    match Log::open(&folder.path, SMALL).map(|_| ()) {
        Err(error @ Error::Locked(_)) => assert_eq!(error.class(), ErrorClass::Retry),
        other => panic!("{other:?}"),
    }
    wal::LogReader::open(&folder.path).unwrap();
    let again = || Log::create(&folder.path, CLUSTER, INCARNATION, SMALL).map(|_| ());
    assert!(matches!(again(), Err(Error::Exists(_))));
    drop(log);
    assert!(matches!(again(), Err(Error::Exists(_))));
    let log = folder.open();
    assert_eq!((log.cluster(), log.incarnation()), (CLUSTER, INCARNATION));
    let missing = folder.path.join("nothing");
    assert!(matches!(Log::open(&missing, LogOptions::default()), Err(Error::NotALog(_))));
    std::fs::create_dir(&missing).unwrap();
    Log::create(&missing, CLUSTER, INCARNATION, SMALL).unwrap();
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
