//! One record, or one segment, on one line.

use std::io::{self, Write};

use serde_json::{Value, json};
use wal::{Body, Epoch, EpochStart, Record, Transaction, TransactionClass};

use crate::wall_clock::Time;

pub(super) fn write(
    out: &mut impl Write,
    epoch: Epoch,
    record: &Record,
    json: bool,
) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", to_json(epoch, record));
    }
    write!(out, "{}@{epoch} {} ", record.lsn, record.timestamp)?;
    match &record.body {
        Body::Transaction(one) => write_transaction(out, class(one.class), one),
        Body::ChunkEnd(one) => write_transaction(out, "chunk-end", one),
        Body::EpochStart(start) => writeln!(
            out,
            "epoch-start {} server {} ({}) at {}{}",
            start.member,
            start.server_uuid,
            start.server_version,
            start.position,
            start.last_gtid.as_ref().map(|gtid| format!(" after {gtid}")).unwrap_or_default(),
        ),
        Body::FormatDescription { position, event } => {
            writeln!(out, "format {position} {} bytes", event.len())
        }
        Body::Heartbeat { closed } => writeln!(out, "heartbeat closed {closed}"),
        Body::Membership(bytes) => writeln!(out, "membership {} bytes", bytes.len()),
        Body::Chunk(bytes) => writeln!(out, "chunk {} bytes", bytes.len()),
    }
}

fn write_transaction(out: &mut impl Write, kind: &str, one: &Transaction) -> io::Result<()> {
    let gtid = one.gtid.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let time = Time::from_micros(one.commit_micros);
    let (start, end, bytes) = (&one.start, &one.end, one.events.len());
    writeln!(out, "{kind} {gtid} {start} to {end} {time} {bytes} bytes")
}

fn class(class: TransactionClass) -> &'static str {
    match class {
        TransactionClass::Rows => "rows",
        TransactionClass::Ddl => "ddl",
        TransactionClass::CreateSelect => "create-select",
        TransactionClass::XaPrepare => "xa-prepare",
        TransactionClass::XaCommit => "xa-commit",
        TransactionClass::XaRollback => "xa-rollback",
    }
}

fn to_json(epoch: Epoch, record: &Record) -> Value {
    let (kind, body) = match &record.body {
        Body::Transaction(one) => ("transaction", transaction_json(one)),
        Body::ChunkEnd(one) => ("chunk_end", transaction_json(one)),
        Body::EpochStart(start) => ("epoch_start", epoch_start_json(start)),
        Body::FormatDescription { position, event } => {
            ("format_description", json!({ "position": position, "bytes": event.len() }))
        }
        Body::Heartbeat { closed } => ("heartbeat", json!({ "closed": closed.to_string() })),
        Body::Membership(bytes) => ("membership", json!({ "bytes": bytes.len() })),
        Body::Chunk(bytes) => ("chunk", json!({ "bytes": bytes.len() })),
    };
    let timestamp = record.timestamp.to_string();
    json!({ "lsn": record.lsn, "epoch": epoch, "timestamp": timestamp, "kind": kind, kind: body })
}

fn transaction_json(one: &Transaction) -> Value {
    json!({
        "class": class(one.class), "gtid": one.gtid, "start": one.start, "end": one.end,
        "committed": Time::from_micros(one.commit_micros).to_string(),
        "end_crc": one.end_crc, "bytes": one.events.len(),
    })
}

fn epoch_start_json(start: &EpochStart) -> Value {
    json!({
        "member": start.member, "server_uuid": start.server_uuid,
        "server_version": start.server_version, "position": start.position,
        "last_gtid": start.last_gtid, "end_crc": start.end_crc,
    })
}
