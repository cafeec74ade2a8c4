//! `tests/reader/plimsoll_log.py`, which was written from `wal/FORMAT.md` alone, and ours: they say
//! the same of every log, and refuse the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use wal::{
    BinlogPosition, Body, ClusterId, Codec, Epoch, EpochStart, Error, FrameBuilder, Gtid,
    Incarnation, Log, LogOptions, LogReader, Lsn, Record, Timestamp, Transaction, TransactionClass,
};

use crate::support::{Context, Result, ensure};

/// Every so many bytes of a log are flipped: some hundred folders, in one run of Python.
const STRIDE: usize = 23;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the second reader prints.
fn python(arguments: &[&Path]) -> Result<Vec<Value>> {
    let mut command = Command::new("python3");
    command.arg(project("tests/reader/plimsoll_log.py")).args(arguments);
    let done = command.output().context("cannot start python3: cargo xtask servers installs it")?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "ended with {}: {complaint}", done.status);
    let lines = String::from_utf8_lossy(&done.stdout).into_owned();
    lines.lines().map(|line| serde_json::from_str(line).context("a line of JSON")).collect()
}

fn ours(dir: &Path) -> Result<Vec<Value>> {
    let reader = LogReader::open(dir)?;
    let (Some(first), Some(last)) = (reader.first_lsn(), reader.written()) else {
        return Ok(Vec::new());
    };
    let mut cursor = reader.cursor(first)?;
    let mut lines = Vec::new();
    while let Some(frame) = cursor.next_frame(last.lsn)? {
        let epoch = frame.header().epoch;
        lines.extend(frame.records()?.iter().map(|record| line(epoch, record)));
    }
    Ok(lines)
}

fn line(epoch: Epoch, record: &Record) -> Value {
    let mut line = json!({
        "lsn": record.lsn, "timestamp": record.timestamp.bits(), "epoch": epoch,
    });
    let fields = match &record.body {
        Body::Transaction(transaction) => transaction_fields("Transaction", transaction),
        Body::ChunkEnd(transaction) => transaction_fields("ChunkEnd", transaction),
        Body::EpochStart(start) => json!({
            "kind": "EpochStart", "member": start.member, "server_uuid": start.server_uuid,
            "server_version": start.server_version, "end": position(&start.position),
            "gtid": start.last_gtid, "crc": start.end_crc,
            "bytes": start.format_description.len(), "bytes_crc32": crc(&start.format_description),
        }),
        Body::FormatDescription { position: end, event } => json!({
            "kind": "FormatDescription", "end": position(end),
            "bytes": event.len(), "bytes_crc32": crc(event),
        }),
        Body::Heartbeat { closed } => {
            json!({ "kind": "Heartbeat", "closed_timestamp": closed.bits() })
        }
        Body::Membership(bytes) => opaque("Membership", bytes),
        Body::Chunk(bytes) => opaque("Chunk", bytes),
    };
    let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) else { unreachable!() };
    line.extend(fields);
    Value::Object(std::mem::take(line))
}

fn transaction_fields(kind: &str, transaction: &Transaction) -> Value {
    let class = match transaction.class {
        TransactionClass::Rows => "rows",
        TransactionClass::Ddl => "DDL",
        TransactionClass::CreateSelect => "CREATE ... SELECT",
        TransactionClass::XaPrepare => "XA PREPARE",
        TransactionClass::XaCommit => "XA COMMIT",
        TransactionClass::XaRollback => "XA ROLLBACK",
    };
    json!({
        "kind": kind, "class": class, "start": position(&transaction.start),
        "end": position(&transaction.end), "gtid": transaction.gtid,
        "commit_time_us": transaction.commit_micros, "crc": transaction.end_crc,
        "bytes": transaction.events.len(), "bytes_crc32": crc(&transaction.events),
    })
}

fn position(position: &BinlogPosition) -> Value {
    json!({ "file": position.file, "offset": position.offset })
}

fn opaque(kind: &str, bytes: &[u8]) -> Value {
    json!({ "kind": kind, "bytes": bytes.len(), "bytes_crc32": crc(bytes) })
}

fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = flate2::Crc::new();
    hasher.update(bytes);
    hasher.sum()
}

fn epoch(number: u32) -> Epoch {
    Epoch::new(number).expect("not 0")
}

/// A log of three epochs in many segments, with every kind of record and both families' GTIDs.
fn make(dir: &Path) -> Result<()> {
    let (cluster, incarnation) = (ClusterId::from_bytes([3; 16]), Incarnation::from_bytes([4; 16]));
    let mut log = Log::create(dir, cluster, incarnation, LogOptions { segment_bytes: 8192 })?;
    for reign in [1, 2, 9] {
        let mariadb = reign != 2;
        append(&mut log, reign, &[start(reign, mariadb)])?;
        for number in 1..12 {
            let run: Vec<Body> =
                (0..number).map(|index| some(number * 40 + index, mariadb)).collect();
            append(&mut log, reign, &run)?;
        }
    }
    log.sync()?;
    Ok(())
}

fn append(log: &mut Log, reign: u32, bodies: &[Body]) -> Result<()> {
    let mut counter = log.last_timestamp().map_or(0, Timestamp::counter);
    let mut builder = FrameBuilder::new();
    builder.set_codec(if reign == 1 { Codec::Lz4 } else { Codec::Zstd });
    for body in bodies {
        // Differences of one byte, and of many.
        counter += 1 + u64::from(reign) * counter % 100_000_007;
        builder.push(Timestamp::new(counter, 5).context("a timestamp")?, body)?;
    }
    let first = Lsn::after(log.tail().map(|tail| tail.lsn));
    let frame = builder.seal(epoch(reign), first, log.chain())?;
    log.append(&frame)?;
    Ok(())
}

fn gtid(number: u64, mariadb: bool) -> Gtid {
    let tag = if number.is_multiple_of(2) { "blue_7" } else { "" }.to_owned();
    match mariadb {
        true => Gtid::Mariadb { domain: u32::MAX, server: 4000, sequence: number << 40 },
        false => Gtid::Mysql { uuid: [number as u8; 16], tag, number: number << 20 },
    }
}

fn start(reign: u32, mariadb: bool) -> Body {
    Body::EpochStart(EpochStart {
        member: format!("s{reign}"),
        server_uuid: format!("uuid-{reign}"),
        server_version: "11.8.3-MariaDB-größer".to_owned(),
        position: BinlogPosition::new("bin.000001", u64::from(reign) << 33),
        last_gtid: (reign > 1).then(|| gtid(7, mariadb)),
        end_crc: (reign > 1).then_some(0xffff_ffff),
        format_description: Bytes::from(vec![15; 90]),
    })
}

fn some(number: u64, mariadb: bool) -> Body {
    // From bytes that LZ4 makes much smaller to bytes that it cannot.
    let mut state = number | 1;
    let mut event = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if number.is_multiple_of(3) { (state >> 56) as u8 } else { (number % 7) as u8 }
    };
    let events: Bytes = (0..number * 13 % 2000).map(&mut event).collect();
    let classes = [
        TransactionClass::Rows,
        TransactionClass::Ddl,
        TransactionClass::CreateSelect,
        TransactionClass::XaPrepare,
        TransactionClass::XaCommit,
        TransactionClass::XaRollback,
    ];
    let rotated = number.is_multiple_of(5);
    let transaction = Transaction {
        class: classes[number as usize % classes.len()],
        start: BinlogPosition::new("bin.000001", number),
        end: BinlogPosition::new(if rotated { "bin.000002" } else { "bin.000001" }, number + 9),
        gtid: (!number.is_multiple_of(11)).then(|| gtid(number, mariadb)),
        commit_micros: number as i64 - 200,
        end_crc: number as u32 * 7,
        events: events.clone(),
    };
    match number % 17 {
        3 => Body::Chunk(events),
        4 => Body::ChunkEnd(transaction),
        5 => Body::Membership(events),
        6 => Body::Heartbeat { closed: Timestamp::new(number, 1).expect("small") },
        7 => Body::FormatDescription { position: BinlogPosition::new("b", 4), event: events },
        _ => Body::Transaction(transaction),
    }
}

/// A copy of a log folder, in which one byte of one file is another.
fn flipped(from: &Path, to: &Path, file: &str, at: usize, with: u8) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let mut bytes = fs::read(entry.path())?;
        if entry.file_name() == file {
            bytes[at] ^= with;
        }
        fs::write(to.join(entry.file_name()), bytes)?;
    }
    Ok(())
}

#[test]
fn golden_logs_are_read_alike() {
    for version in wal::FORMATS {
        let golden = project(&format!("wal/tests/golden/v{version}"));
        let expected = ours(&golden).expect("ours reads it");
        assert!(expected.len() >= 22, "{}", expected.len());
        assert_eq!(python(&[&golden]).expect("the other reads it"), expected);
    }
}

#[test]
fn a_log_of_many_segments_and_epochs_is_read_alike() {
    let folder = TempDir::new().expect("a folder");
    let dir = folder.path().join("log");
    make(&dir).expect("makes a log");
    let segments = LogReader::open(&dir).expect("opens").segments().len();
    let expected = ours(&dir).expect("ours reads it");
    assert!(segments >= 6 && expected.len() == 3 * 67, "{segments}, {}", expected.len());
    assert_eq!(python(&[&dir]).expect("the other reads it"), expected);
}

#[test]
fn the_same_flipped_bytes_are_refused() {
    // In memory where the system offers it: some hundred copies.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new());
    let folder = memory.expect("a folder");
    let golden = project("wal/tests/golden/v2");
    let mut cases = Vec::new();
    for entry in fs::read_dir(&golden).expect("can be listed") {
        let path = entry.expect("can be listed").path();
        let file = path.file_name().expect("has a name").to_string_lossy().into_owned();
        let bytes = fs::read(&path).expect("can be read").len();
        for at in (cases.len() % STRIDE..bytes).step_by(STRIDE) {
            let to = folder.path().join(format!("{file}-{at}"));
            flipped(&golden, &to, &file, at, 1 << (at % 8)).expect("copies");
            cases.push(to);
        }
    }
    let refused = agreed(&cases, true);
    assert!(refused > 200 && refused < cases.len(), "{refused} of {}", cases.len());
}

/// What the fuzzer learned about folders, its seeds and findings: many of them lie, with right checksums.
#[test]
fn the_fuzzers_folders_are_judged_alike() {
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new());
    let folder = memory.expect("a folder");
    let mut cases = Vec::new();
    for inputs in ["fuzz/corpus/segment", "fuzz/regressions/segment"] {
        for input in fs::read_dir(project(inputs)).expect("can be listed") {
            let bytes = fs::read(input.expect("can be listed").path()).expect("can be read");
            wal::fuzzing::folders(&bytes, |dir| {
                let to = folder.path().join(cases.len().to_string());
                flipped(dir, &to, "none", 0, 0).expect("copies");
                cases.push(to);
            });
        }
    }
    // Where there is more than one damage, each names what it meets first.
    let refused = agreed(&cases, false);
    assert!(refused > 0 && refused < cases.len(), "{refused} of {}", cases.len());
}

/// Asks both readers about every folder: they read as many records, or both refuse, and at one `place`.
/// How many they refuse.
fn agreed(folders: &[PathBuf], place: bool) -> usize {
    let mut arguments = vec![Path::new("--check")];
    arguments.extend(folders.iter().map(PathBuf::as_path));
    let theirs = python(&arguments).expect("the other reads them");
    assert_eq!(theirs.len(), folders.len());
    let (mut refused, mut differences) = (0, Vec::new());
    for (folder, theirs) in folders.iter().zip(theirs) {
        let ours = match wal::verify(folder) {
            Ok(verified) => json!({ "records": verified.records }),
            Err(Error::Damaged { segment, offset, fault }) => {
                refused += 1;
                json!({ "file": segment, "offset": offset, "fault": fault.to_string() })
            }
            Err(error) => panic!("{}: {error}", folder.display()),
        };
        let same = |key| ours[key] == theirs[key];
        if !same("records") || place && !(same("file") && same("offset")) {
            differences.push(format!("{}: ours {ours}, theirs {theirs}", folder.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    println!("{refused} of {} refused", folders.len());
    refused
}
