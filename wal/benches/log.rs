//! What the log costs: `cargo bench -p plimsoll-wal [-- FOLDER]`. Prints one line per figure.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wal::{
    BinlogPosition, Body, ClusterId, Epoch, Frame, FrameBuilder, Gtid, Incarnation, Log,
    LogOptions, Lsn, Timestamp, Transaction, TransactionClass,
};

fn main() {
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let parent = match folder {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let (cluster, incarnation) = (ClusterId::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
    let new = |name: &str| {
        let dir = parent.path().join(name);
        Log::create(&dir, cluster, incarnation, LogOptions::default()).unwrap()
    };
    let frames = stream(&mut new("stream"));
    receive(&mut new("receive"), &frames);
    lone_commits(&mut new("lone"));
    open(&parent.path().join("receive"));
}

fn transaction(number: u64) -> Body {
    // Half of it repeats, half does not: row events compress to about half.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let events: Vec<u8> = (0..400u32)
        .map(|index| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if index % 16 < 6 { (state >> 56) as u8 } else { (index % 16) as u8 }
        })
        .collect();
    Body::Transaction(Transaction {
        class: TransactionClass::Rows,
        start: BinlogPosition::new("mysql-bin.000042", number * 500),
        end: BinlogPosition::new("mysql-bin.000042", number * 500 + 400),
        gtid: Some(Gtid::Mysql { uuid: [3; 16], tag: String::new(), number }),
        commit_micros: 1_700_000_000_000_000 + number as i64,
        end_crc: number as u32,
        events: Bytes::from(events),
    })
}

/// Builds, seals, appends and reads 1,000,000 transactions.
fn stream(log: &mut Log) -> Vec<Frame> {
    let bodies: Vec<Body> = (1..=10_000).map(transaction).collect();
    let mut builder = FrameBuilder::new();
    let mut frames = Vec::new();
    let (mut raw, mut build, mut append) = (0, Duration::ZERO, Duration::ZERO);
    let (mut time, mut slowest) = (0, Duration::ZERO);
    for body in bodies.iter().cycle().take(1_000_000) {
        let start = Instant::now();
        time += 1;
        builder.push(Timestamp::new(time, 0).unwrap(), body).unwrap();
        if !builder.is_full() {
            build += start.elapsed();
            continue;
        }
        raw += u64::from(builder.raw_len());
        let first = Lsn::after(log.tail().map(|tail| tail.lsn));
        let frame = builder.seal(Epoch::FIRST, first, log.chain()).unwrap();
        build += start.elapsed();
        let start = Instant::now();
        log.append(&frame).unwrap();
        append += start.elapsed();
        slowest = slowest.max(start.elapsed());
        frames.push(frame);
    }
    let stored: u64 = frames.iter().map(|frame| frame.header().frame_len()).sum();
    println!("build and compress      {}", rate(raw, build));
    println!("append own frames       {} (slowest {slowest:?})", rate(raw, append));
    println!("compressed to           {:.2}", stored as f64 / raw as f64);
    let start = Instant::now();
    log.sync().unwrap();
    println!("sync of the rest        {:?}", start.elapsed());
    let mut cursor = log.reader().cursor(Lsn::FIRST).unwrap();
    let last = log.tail().unwrap().lsn;
    let start = Instant::now();
    while let Some(frame) = cursor.next_frame(last).unwrap() {
        black_box(frame);
    }
    println!("read frames             {}", rate(raw, start.elapsed()));
    let start = Instant::now();
    for frame in &frames {
        black_box(frame.records().unwrap());
    }
    println!("decode records          {}", rate(raw, start.elapsed()));
    frames
}

/// Checks and appends frames as they come over a wire.
fn receive(log: &mut Log, frames: &[Frame]) {
    let raw: u64 = frames.iter().map(|frame| u64::from(frame.header().raw_len)).sum();
    let start = Instant::now();
    for frame in frames {
        log.append(&Frame::decode(frame.bytes().clone()).unwrap()).unwrap();
    }
    println!("receive and append      {}", rate(raw, start.elapsed()));
    log.sync().unwrap();
}

/// One transaction, one frame, one fsync.
fn lone_commits(log: &mut Log) {
    let mut builder = FrameBuilder::new();
    let (mut write, mut sync) = (Vec::new(), Vec::new());
    for number in 1..=3000 {
        let body = transaction(number);
        let start = Instant::now();
        builder.push(Timestamp::new(number, 0).unwrap(), &body).unwrap();
        let frame = builder.seal(Epoch::FIRST, Lsn::new(number).unwrap(), log.chain()).unwrap();
        log.append(&frame).unwrap();
        write.push(start.elapsed());
        let start = Instant::now();
        log.sync().unwrap();
        sync.push(start.elapsed());
    }
    println!("lone commit, to written {}", quantiles(&mut write));
    println!("lone commit, fsync      {}", quantiles(&mut sync));
}

fn open(dir: &std::path::Path) {
    let start = Instant::now();
    black_box(Log::open(dir, LogOptions::default()).unwrap());
    println!("open                    {:?}", start.elapsed());
}

fn rate(bytes: u64, took: Duration) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / took.as_secs_f64())
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    format!("p50 {:?} p99 {:?} p99.9 {:?}", at(500), at(990), at(999))
}
