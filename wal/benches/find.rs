//! What a search costs: `cargo bench -p plimsoll-wal --bench find [-- FOLDER [GIB]]`. Writes a log of
//! so many GiB (default 1), indexes it, and asks for random records. Prints one line per figure.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wal::{
    BinlogPosition, Body, ClusterId, Epoch, Find, FrameBuilder, Gtid, Incarnation, Log, LogOptions,
    LogReader, Lsn, Timestamp, Transaction, TransactionClass,
};

const QUESTIONS: u64 = 20_000;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let parent = match args.next() {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let gib: u64 = args.next().map_or(1, |text| text.parse().unwrap());
    let dir = parent.path().join("log");
    let (cluster, incarnation) = (ClusterId::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
    let mut log = Log::create(&dir, cluster, incarnation, LogOptions::default()).unwrap();
    let records = fill(&mut log, gib << 30);
    log.sync().unwrap();
    let reader = log.reader();
    println!("{records} records in {} segments", reader.segments().len());
    let start = Instant::now();
    let made = reader.index_sealed(usize::MAX).unwrap();
    println!("index {made} segments       {:?}", start.elapsed());
    let bytes = |extension| {
        let files = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap());
        let files =
            files.filter(|file| file.path().extension().is_some_and(|one| one == extension));
        files.map(|file| file.metadata().unwrap().len()).sum::<u64>()
    };
    println!(
        "bytes of the log that an index takes {:.4}",
        bytes("idx") as f64 / bytes("seg") as f64
    );
    let opened = LogReader::open(&dir).unwrap();
    let start = Instant::now();
    black_box(opened.find(&Find::Gtid(gtid(1))).unwrap());
    println!("first GTID, nothing known    {:?}", start.elapsed());
    for (name, question) in KINDS {
        ask(name, &reader, records, question);
    }
    drop(log);
    let start = Instant::now();
    black_box(Log::open(&dir, LogOptions::default()).unwrap());
    println!("open                         {:?}", start.elapsed());
}

/// What names record `number`.
type Question = fn(u64) -> Find;

const KINDS: [(&str, Question); 5] = [
    ("LSN", |number| Find::Lsn(Lsn::new(number).unwrap())),
    ("timestamp", |number| Find::Timestamp(Timestamp::new(number, 0).unwrap())),
    ("GTID", |number| Find::Gtid(gtid(number))),
    ("position", |number| Find::Position(at(number, 100))),
    ("time", |number| Find::WallClock(number as i64)),
];

fn ask(name: &str, reader: &LogReader, records: u64, question: Question) {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        question(1 + (state >> 16) % records)
    };
    // Warm: what the page cache and the indexes' can hold, they do.
    for _ in 0..QUESTIONS / 4 {
        black_box(reader.find(&next()).unwrap());
    }
    let (mut found, mut opened) = (Vec::new(), Vec::new());
    for _ in 0..QUESTIONS {
        let what = next();
        let start = Instant::now();
        assert!(black_box(reader.find(&what).unwrap()).is_some());
        found.push(start.elapsed());
        let start = Instant::now();
        let (lsn, mut cursor) = reader.cursor_at(&what).unwrap().unwrap();
        black_box(cursor.next_frame(lsn).unwrap());
        opened.push(start.elapsed());
    }
    println!("find by {name:<10}           {}", quantiles(&mut found));
    println!("and read its frame           {}", quantiles(&mut opened));
}

fn gtid(number: u64) -> Gtid {
    Gtid::Mysql { uuid: [3; 16], tag: String::new(), number }
}

fn at(number: u64, inside: u64) -> BinlogPosition {
    let (file, offset) = (number / 1_000_000, number % 1_000_000 * 500 + 4);
    BinlogPosition::new(format!("mysql-bin.{file:06}"), offset + inside)
}

/// Batches of 128 KiB, and between them lone commits.
fn fill(log: &mut Log, bytes: u64) -> u64 {
    let mut builder = FrameBuilder::new();
    let (mut number, mut stored, mut frames) = (0, 0, 0u64);
    let events: Vec<Bytes> = (0..512).map(events).collect();
    while stored < bytes {
        number += 1;
        let one = Transaction {
            class: TransactionClass::Rows,
            start: at(number, 0),
            end: at(number, 400),
            gtid: Some(gtid(number)),
            commit_micros: number as i64,
            end_crc: number as u32,
            events: events[number as usize % events.len()].clone(),
        };
        builder.push(Timestamp::new(number, 0).unwrap(), &Body::Transaction(one)).unwrap();
        if !builder.is_full() && frames % 64 > 32 {
            continue;
        }
        let first = Lsn::after(log.tail().map(|tail| tail.lsn));
        let frame = builder.seal(Epoch::FIRST, first, log.chain()).unwrap();
        log.append(&frame).unwrap();
        stored += frame.header().frame_len();
        frames += 1;
    }
    log.tail().unwrap().lsn.get()
}

/// Half of it repeats, half does not: row events compress to about half.
fn events(seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut byte = |index: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if index % 16 < 6 { (state >> 56) as u8 } else { (index % 16) as u8 }
    };
    (0..400).map(&mut byte).collect::<Vec<u8>>().into()
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    format!("p50 {:?} p99 {:?} p99.9 {:?}", at(500), at(990), at(999))
}
