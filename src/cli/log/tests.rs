use bytes::Bytes;
use clap::Parser;
use wal::{Body, ClusterId, Epoch, FrameBuilder, Incarnation, Log, LogOptions, Transaction};

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
}

fn log_of(count: u64) -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let (cluster, incarnation) = (ClusterId::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
    let options = LogOptions { segment_bytes: 4096 };
    let mut log = Log::create(&dir, cluster, incarnation, options).unwrap();
    let mut builder = FrameBuilder::new();
    for number in 1..=count {
        let transaction = Transaction {
            class: wal::TransactionClass::Rows,
            start: BinlogPosition::new("bin.000001", number * 10),
            end: BinlogPosition::new("bin.000001", number * 10 + 9),
            gtid: Some(format!("0-1-{number}").parse().unwrap()),
            commit_micros: number as i64 * 1_000_000,
            end_crc: 0,
            events: Bytes::from_static(b"events"),
        };
        let timestamp = Timestamp::new(number, 0).unwrap();
        builder.push(timestamp, &Body::Transaction(transaction)).unwrap();
        let lsn = Lsn::new(number).unwrap();
        let frame = builder.seal(Epoch::FIRST, lsn, log.chain()).unwrap();
        log.append(&frame).unwrap();
    }
    log.sync().unwrap();
    (parent, dir)
}

fn dumped(dir: &Path, from: u64, limit: Option<u64>, json: bool) -> String {
    let mut out = Vec::new();
    dump(&mut out, dir, Lsn::new(from), limit, Look { json, heads: true }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn dump_prints_what_is_asked_for() {
    let (_parent, dir) = log_of(50);
    assert_eq!(dumped(&dir, 0, None, false).lines().count(), 50);
    assert_eq!(
        dumped(&dir, 7, Some(1), false),
        "7@1 7.0 rows 0-1-7 bin.000001:70 to bin.000001:79 1970-01-01T00:00:07.000000Z 6 bytes\n"
    );
    let line: serde_json::Value = serde_json::from_str(&dumped(&dir, 9, Some(1), true)).unwrap();
    assert_eq!(line["lsn"], 9);
    assert_eq!(line["transaction"]["gtid"], "0-1-9");
}

#[test]
fn find_takes_one_name_and_prints_the_record() {
    let (_parent, dir) = log_of(20);
    let path = dir.to_str().unwrap();
    for name in [
        ["--lsn", "5"],
        ["--timestamp", "5.0"],
        ["--gtid", "0-1-5"],
        ["--position", "bin.000001:59"],
        ["--time", "5"],
        ["--time", "1970-01-01T00:00:05Z"],
    ] {
        let args = ["log", "find", path, name[0], name[1]];
        let Verb::Find { what, .. } = Cli::try_parse_from(args).unwrap().log.verb else { panic!() };
        let mut out = Vec::new();
        find(&mut out, &dir, &what, false).unwrap();
        assert!(out.starts_with(b"5@1 5.0 "), "{name:?}");
    }
    assert!(Cli::try_parse_from(["log", "find", path]).is_err());
    assert!(Cli::try_parse_from(["log", "find", path, "--lsn", "0"]).is_err());
    assert!(Cli::try_parse_from(["log", "find", path, "--lsn", "1", "--time", "5"]).is_err());
}

#[test]
fn verify_names_segment_and_offset_of_damage() {
    let (_parent, dir) = log_of(50);
    let mut out = Vec::new();
    verify(&mut out, &dir, false).unwrap();
    assert!(out.starts_with(b"sound: 50 records"));
    let mut out = Vec::new();
    survey::stat(&mut out, &open(&dir).unwrap(), false).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("records      1 to 50 (epoch 1)"));
    let path = dir.join("00000000000000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = verify(&mut Vec::new(), &dir, false).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("00000000000000000001.seg is damaged at offset "), "{text}");
}

#[test]
fn times_are_read_as_they_are_written() {
    for text in ["1970-01-01T00:00:00.000000Z", "2026-11-21T12:34:56.789000Z"] {
        assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
    }
    let same = ["1700000000.5", "2023-11-14T22:13:20.5Z", "2023-11-14 22:13:20.5"];
    for text in same {
        assert_eq!(text.parse::<Time>().unwrap().micros(), 1_700_000_000_500_000);
    }
    assert_eq!("2024-02-29".parse::<Time>().unwrap().to_string(), "2024-02-29T00:00:00.000000Z");
    for text in ["", "2023-02-29", "2023-13-01", "2023-01-01T24:00:00", "noon", "1.1234567", "-"] {
        assert!(text.parse::<Time>().is_err(), "{text}");
    }
}
