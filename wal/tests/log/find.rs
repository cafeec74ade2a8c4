//! The record that an operator means.

use bytes::Bytes;
use proptest::prelude::*;
use wal::{
    BinlogPosition, Body, Find, Gtid, Log, LogOptions, LogReader, Lsn, Record, Timestamp,
    Transaction,
};

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

/// What a log is made of, a frame each.
#[derive(Debug, Clone)]
enum Piece {
    Transactions(Vec<One>),
    Heartbeats(u8),
    Format,
    NewEpoch,
}

/// A transaction: its name, where it starts, how long ago it was committed, how large it is.
#[derive(Debug, Clone)]
struct One {
    gtid: Option<Gtid>,
    gap: u64,
    next_file: bool,
    back: i64,
    bytes: usize,
}

fn gtid() -> impl Strategy<Value = Option<Gtid>> {
    let mysql = (0u8..3, 0usize..3, 1u64..60).prop_map(|(uuid, tag, number)| {
        let tag = ["", "a", "b"][tag].to_owned();
        Some(Gtid::Mysql { uuid: [uuid; 16], tag, number })
    });
    let mariadb = (0u32..3, 1u32..4, 1u64..60)
        .prop_map(|(domain, server, sequence)| Some(Gtid::Mariadb { domain, server, sequence }));
    // More sources than an index keeps for one run.
    let many = (0u8..40, 1u64..4).prop_map(|(uuid, number)| {
        Some(Gtid::Mysql { uuid: [100 + uuid; 16], tag: String::new(), number })
    });
    prop_oneof![4 => mysql, 4 => mariadb, 1 => many, 1 => Just(None)]
}

fn piece() -> impl Strategy<Value = Piece> {
    let one = (gtid(), 0u64..50, prop::bool::weighted(0.1), -3i64..4, 0usize..9000)
        .prop_map(|(gtid, gap, next_file, back, bytes)| One { gtid, gap, next_file, back, bytes });
    prop_oneof![
        8 => prop::collection::vec(one, 1..5).prop_map(Piece::Transactions),
        3 => (1u8..4).prop_map(Piece::Heartbeats),
        1 => Just(Piece::Format),
        1 => Just(Piece::NewEpoch),
    ]
}

/// Writes the pieces behind one another: binlog files as a server names them, times that stand
/// still and jump, and after a RESET (here: a new epoch) the same names again.
fn write(log: &mut Log, pieces: &[Piece]) -> Vec<Record> {
    let (mut reign, mut file, mut offset, mut clock) = (1, 1u64, 4u64, 1_700_000_000i64);
    append(log, epoch(reign), &[Body::EpochStart(epoch_start("s1"))]);
    for piece in pieces {
        let bodies = match piece {
            Piece::Heartbeats(count) => {
                (0..*count).map(|_| Body::Heartbeat { closed: timestamp(1) }).collect()
            }
            Piece::Format => vec![Body::FormatDescription {
                position: at(file, offset),
                event: Bytes::from_static(b"other format"),
            }],
            Piece::NewEpoch => {
                (reign, file, offset) = (reign + 1, 1, 4);
                vec![Body::EpochStart(epoch_start("s2"))]
            }
            Piece::Transactions(all) => {
                let mut bodies = Vec::new();
                for one in all {
                    let start = at(file, offset);
                    if one.next_file {
                        (file, offset) = (file + 1, 4);
                    }
                    offset += 1 + one.gap;
                    clock += one.back;
                    bodies.push(Body::Transaction(Transaction {
                        start,
                        end: at(file, offset),
                        gtid: one.gtid.clone(),
                        commit_micros: clock,
                        events: noise(offset, one.bytes),
                        ..transaction(1, 0)
                    }));
                }
                bodies
            }
        };
        append(log, epoch(reign), &bodies);
    }
    read_all(log)
}

/// A new binlog file gets its seventh digit behind `999999`, where names no longer sort as numbers.
fn at(file: u64, offset: u64) -> BinlogPosition {
    BinlogPosition::new(format!("bin.{:06}", 999_997 + file), offset)
}

/// The same question to a plain list.
fn scan(all: &[Record], what: &Find) -> Option<Lsn> {
    let head = |record: &Record| match &record.body {
        Body::Transaction(one) | Body::ChunkEnd(one) => Some(one.clone()),
        _ => None,
    };
    let has = |is: &dyn Fn(&Transaction) -> bool, record: &Record| {
        head(record).is_some_and(|one| is(&one))
    };
    let found = match what {
        Find::Lsn(lsn) => all.iter().find(|record| record.lsn == *lsn),
        Find::Timestamp(wanted) => all.iter().find(|record| record.timestamp >= *wanted),
        Find::WallClock(wanted) => {
            all.iter().find(|record| has(&|one| one.commit_micros >= *wanted, record))
        }
        Find::Gtid(wanted) => {
            all.iter().rfind(|record| has(&|one| one.gtid.as_ref() == Some(wanted), record))
        }
        Find::Position(wanted) => all.iter().rfind(|record| match &record.body {
            Body::FormatDescription { position, .. } => position == wanted,
            _ => has(&|one| one.start < *wanted && *wanted <= one.end, record),
        }),
    };
    found.map(|record| record.lsn)
}

/// Everything that names a record, and what lies just beside it.
fn questions(all: &[Record]) -> Vec<Find> {
    let mut asked = vec![
        Find::Timestamp(timestamp(1 << 40)),
        Find::WallClock(i64::MIN),
        Find::WallClock(i64::MAX),
        Find::Position(BinlogPosition::new("bin", 4)),
        Find::Gtid(mariadb(999)),
    ];
    for record in all {
        asked.extend([Find::Lsn(record.lsn), Find::Lsn(record.lsn.next())]);
        let bits = record.timestamp.bits();
        asked.extend(
            [bits - 1, bits, bits + 1]
                .map(|bits| Find::Timestamp(Timestamp::from_bits(bits).unwrap())),
        );
        if let Body::FormatDescription { position, .. } = &record.body {
            asked.push(Find::Position(position.clone()));
        }
        let Body::Transaction(one) = &record.body else { continue };
        asked.extend(one.gtid.clone().map(Find::Gtid));
        asked.extend([-1, 0, 1].map(|by| Find::WallClock(one.commit_micros + by)));
        asked.extend([one.start.clone(), one.end.clone()].map(Find::Position));
        asked.push(Find::Position(BinlogPosition::new(&*one.end.file, one.end.offset + 1)));
    }
    asked
}

fn agree(reader: &LogReader, all: &[Record], asked: &[Find]) {
    for what in asked {
        assert_eq!(reader.find(what).unwrap(), scan(all, what), "{what:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_index_finds_what_a_scan_finds(
        pieces in prop::collection::vec(piece(), 1..40),
        segment_bytes in prop::sample::select(vec![4096u64, 30_000, 1 << 20]),
        share in 0.0..1.0f64,
    ) {
        let folder = Folder::fast();
        let options = LogOptions { segment_bytes };
        let mut log = Log::create(&folder.path, CLUSTER, INCARNATION, options).unwrap();
        // Looked at half-way, so that the newest segment's index grows, and is there when it is sealed.
        let reader = log.reader();
        let half = (pieces.len() as f64 * share) as usize;
        write(&mut log, &pieces[..half]);
        assert_eq!(reader.find(&Find::Gtid(mariadb(999))).unwrap(), None);
        log.truncate_after(None).unwrap();
        let all = write(&mut log, &pieces);
        let asked = questions(&all);
        agree(&reader, &all, &asked);
        agree(&LogReader::open(&folder.path).unwrap(), &all, &asked);
        let sealed = folder.segments().len() - 1;
        assert_eq!(reader.index_sealed(usize::MAX).unwrap(), sealed);
        assert_eq!(reader.index_sealed(usize::MAX).unwrap(), 0);
        agree(&LogReader::open(&folder.path).unwrap(), &all, &asked);
        agree(&reader, &all, &asked);
    }
}

/// A log of several segments with an index each, and what to ask of it.
fn indexed(folder: &Folder) -> (Vec<Record>, Vec<Find>) {
    let log = filled(folder, 60, 150);
    let all = read_all(&log);
    log.reader().index_sealed(usize::MAX).unwrap();
    let asked = [2, 17, 30, 31, 60].iter().flat_map(|&at: &usize| {
        let Body::Transaction(one) = &all[at].body else { unreachable!() };
        let gtid = one.gtid.clone().unwrap();
        [
            Find::Lsn(all[at].lsn),
            Find::Timestamp(all[at].timestamp),
            Find::Gtid(gtid),
            Find::Position(one.end.clone()),
            Find::WallClock(one.commit_micros),
        ]
    });
    let asked = asked.collect();
    (all, asked)
}

#[test]
fn a_damaged_index_is_made_anew() {
    let folder = Folder::fast();
    let (all, asked) = indexed(&folder);
    let segments = folder.segments();
    assert!(segments.len() > 3);
    let path = segments[1].with_extension("idx");
    let whole = std::fs::read(&path).unwrap();
    let told_by = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let reader = LogReader::open(&folder.path).unwrap();
        assert!(!reader.segments()[1].indexed, "{} bytes", bytes.len());
        reader
    };
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        agree(&told_by(&flipped), &all, &asked);
        told_by(&whole[..at]);
    }
    agree(&told_by(&[]), &all, &asked);
    let mut longer = whole.clone();
    longer.push(0);
    let reader = told_by(&longer);
    agree(&reader, &all, &asked);
    assert_eq!(reader.index_sealed(usize::MAX).unwrap(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn the_index_of_another_segment_is_not_believed() {
    let folder = Folder::fast();
    let (all, asked) = indexed(&folder);
    let segments = folder.segments();
    // Another segment's, and one of the same place in another log.
    std::fs::copy(segments[0].with_extension("idx"), segments[1].with_extension("idx")).unwrap();
    let other = Folder::fast();
    let log = filled(&other, 60, 149);
    log.reader().index_sealed(usize::MAX).unwrap();
    let first = other.segments()[0].with_extension("idx");
    assert_eq!(first.file_name(), segments[0].with_extension("idx").file_name());
    std::fs::copy(first, segments[0].with_extension("idx")).unwrap();
    let reader = LogReader::open(&folder.path).unwrap();
    let indexed: Vec<bool> = reader.segments().iter().map(|segment| segment.indexed).collect();
    assert_eq!(indexed[..3], [false, false, true]);
    assert_eq!(indexed.last(), Some(&false), "the newest one's is kept in memory");
    agree(&reader, &all, &asked);
}

/// A log whose files have the lengths of every other one made here, and other transactions.
fn twin(folder: &Folder, number: u64) -> Vec<Record> {
    let mut log = folder.create();
    append(&mut log, epoch(1), &[Body::EpochStart(epoch_start("s1"))]);
    for number in number..number + 20 {
        let one = Transaction { events: noise(number, 700), ..transaction(number, 0) };
        append(&mut log, epoch(1), &[Body::Transaction(one)]);
    }
    log.reader().index_sealed(usize::MAX).unwrap();
    read_all(&log)
}

#[test]
fn the_index_of_a_twin_is_told_by_the_chain() {
    let (folder, other) = (Folder::fast(), Folder::fast());
    let all = twin(&folder, 1000);
    twin(&other, 2000);
    let (segments, others) = (folder.segments(), other.segments());
    assert!(segments.len() > 3);
    for (own, foreign) in segments.iter().zip(&others) {
        let bytes = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
        assert_eq!((own.file_name(), bytes(own)), (foreign.file_name(), bytes(foreign)));
        let foreign = foreign.with_extension("idx");
        if foreign.exists() {
            std::fs::copy(foreign, own.with_extension("idx")).unwrap();
        }
    }
    agree(&LogReader::open(&folder.path).unwrap(), &all, &questions(&all));
}

#[test]
fn a_cut_takes_the_indexes_of_what_it_rewrites() {
    let folder = Folder::fast();
    indexed(&folder);
    let indexes = || {
        let present = |path: &std::path::PathBuf| path.with_extension("idx").exists();
        folder.segments().iter().filter(|path| present(path)).count()
    };
    assert_eq!(indexes(), folder.segments().len() - 1);
    let mut log = folder.open();
    let reader = log.reader();
    assert_eq!(reader.find(&Find::Gtid(mariadb(40))).unwrap(), Some(lsn(41)));
    log.truncate_after(Some(lsn(31))).unwrap();
    assert_eq!(indexes(), folder.segments().len() - 1);
    let left = std::fs::read_dir(&folder.path).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|found| found == "idx")
    });
    assert_eq!(left.count(), indexes(), "none without its segment");
    for number in [35, 40] {
        append(&mut log, epoch(2), &[Body::EpochStart(epoch_start("s2"))]);
        append(&mut log, epoch(2), &[Body::Transaction(transaction(number, 9000))]);
    }
    agree(&reader, &read_all(&log), &questions(&read_all(&log)));
    assert_eq!(reader.find(&Find::Gtid(mariadb(36))).unwrap(), None);
}
