//! A writer in a process of its own, killed at any instant, and looked at while it writes.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wal::{Body, Log, LogReader, Lsn, verify};

use crate::support::*;

const FOLDER: &str = "WAL_TEST_WRITER_FOLDER";

/// Not a test by itself: what the tests below start. Tells the LSN that each fsync reached.
#[test]
fn writer_process() {
    let Some(dir) = env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let mut log = Log::open(&dir, SMALL).unwrap();
    let mut out = std::io::stdout().lock();
    let mut number = log.tail().map_or(1, |tail| tail.epoch.get() + 1);
    append(&mut log, epoch(number), &[Body::EpochStart(epoch_start("s1"))]);
    for round in 1.. {
        let next = log.tail().unwrap().lsn.next().get();
        let size = 10 + (round * 53) % 700;
        append(&mut log, epoch(number), &[Body::Transaction(transaction(next, size))]);
        if round % 5 == 0 {
            log.sync().unwrap();
            writeln!(out, "flushed {next}").unwrap();
            out.flush().unwrap();
        }
        if round % 97 == 0 {
            log.truncate_after(Lsn::new(next - 3)).unwrap();
            number += 1;
            append(&mut log, epoch(number), &[Body::EpochStart(epoch_start("s2"))]);
        }
    }
}

/// Lets a writer run until `enough` fsyncs, kills it, and gives the last LSN that it flushed.
fn run_writer(folder: &Folder, enough: usize, mut meanwhile: impl FnMut()) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["crash::writer_process", "--exact", "--nocapture"])
        .env(FOLDER, &folder.path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut flushed = 0;
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(at) = line.rfind("flushed ") else {
            continue;
        };
        flushed = line[at + 8..].parse().unwrap();
        meanwhile();
        seen += 1;
        if seen == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    flushed
}

#[test]
fn a_writer_killed_at_any_instant_loses_nothing_flushed() {
    let folder = Folder::new();
    drop(folder.create());
    for round in 0..8 {
        let flushed = run_writer(&folder, 5 + round * 7, || {});
        let log = folder.open();
        // Its last adoption may have taken back three.
        assert!(log.tail().unwrap().lsn.get() + 3 >= flushed, "round {round}");
        for record in read_all(&log) {
            if let Body::Transaction(one) = record.body {
                assert_eq!(one.start.offset / 1000, record.lsn.get());
            }
        }
        drop(log);
        verify(&folder.path).unwrap();
    }
}

#[test]
fn a_log_is_looked_at_beside_its_writer() {
    let folder = Folder::fast();
    drop(folder.create());
    let until = Instant::now() + Duration::from_millis(700);
    let mut looks = 0;
    run_writer(&folder, 60, || {
        if Instant::now() < until {
            let reader = LogReader::open(&folder.path).unwrap();
            assert!(reader.written().is_some());
            looks += 1;
        }
    });
    assert!(looks > 5);
    let reader = LogReader::open(&folder.path).unwrap();
    let last = reader.written().unwrap();
    let mut cursor = reader.cursor(Lsn::FIRST).unwrap();
    while cursor.next_frame(last.lsn).unwrap().is_some() {}
    assert_eq!(cursor.last(), Some(last));
}
