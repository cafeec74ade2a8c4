//! `plimsoll log`: looks at a log folder, also beside the agent that writes it.
//!
//! In: a folder. Out: text or JSON lines. Opens without the writer's lock and changes nothing;
//! `repair` alone takes the lock, and other members' records.
//! Exit codes: 0, what was asked for is there and sound; 1, it is not; 2, the question is none.
//! Does not follow a growing log.

mod line;
mod progress;
mod survey;
mod repair;
mod rows;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use wal::{BinlogPosition, Find, Gtid, LogReader, Lsn, Timestamp};

use self::progress::Bar;
use self::rows::{Look, Printer};
use crate::explain::{Code, Coded};
use crate::wall_clock::Time;

/// Look at a log folder, also beside the agent that writes it.
#[derive(Debug, Args)]
pub struct LogArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print records and, below each transaction, its rows as values with names.
    Dump {
        /// The log folder of an agent.
        dir: PathBuf,
        /// First record to print. Default: the first one there is.
        #[arg(long, value_name = "LSN", value_parser = parse_lsn)]
        from: Option<Lsn>,
        /// Most records to print. Default: all.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        /// One JSON object per line: each change as in schemas/change.md, each other record as it is.
        #[arg(long)]
        json: bool,
        /// Records only, without what they changed.
        #[arg(long)]
        heads: bool,
    },
    /// Print its segments: records, times, bytes, codecs, indexes.
    Ls {
        /// The log folder of an agent.
        dir: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Print whose log it is, its epochs, and what it holds.
    Stat {
        /// The log folder of an agent.
        dir: PathBuf,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check every byte; name segment and offset of the first damage.
    Verify {
        /// The log folder of an agent.
        dir: PathBuf,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write damaged segments anew with another member's records. The agent must be stopped: one that
    /// runs does this by itself.
    Repair(repair::Args),
    /// Print the record that is meant.
    Find {
        /// The log folder of an agent.
        dir: PathBuf,
        #[command(flatten)]
        what: What,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The record of this number.
    #[arg(long, value_name = "LSN", value_parser = parse_lsn)]
    lsn: Option<Lsn>,
    /// The first record at or after this logical time: COUNTER.SERVER.
    #[arg(long, value_name = "TIMESTAMP", value_parser = parse_timestamp)]
    timestamp: Option<Timestamp>,
    /// The transaction of this name: UUID[:TAG]:NUMBER or DOMAIN-SERVER-SEQUENCE.
    #[arg(long, value_name = "GTID")]
    gtid: Option<Gtid>,
    /// The transaction that covers this place of the binlog, or ends there.
    #[arg(long, value_name = "FILE:OFFSET", value_parser = parse_position)]
    position: Option<BinlogPosition>,
    /// The first transaction committed at or after this time: 2026-11-21T12:00:00Z, or seconds
    /// since 1970.
    #[arg(long, value_name = "TIME")]
    time: Option<Time>,
}

/// Runs a verb. Damage, and a record that is not found, are failures.
///
/// # Errors
/// What could not be read, and what to do.
pub fn run(args: LogArgs) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match args.verb {
        Verb::Dump { dir, from, limit, json, heads } => {
            dump(&mut out, &dir, from, limit, Look { json, heads })
        }
        Verb::Ls { dir, json } => survey::ls(&mut out, &open(&dir)?, json),
        Verb::Stat { dir, json } => survey::stat(&mut out, &open(&dir)?, json),
        Verb::Verify { dir, json } => verify(&mut out, &dir, json),
        Verb::Repair(args) => {
            repair::run(&mut out, &args).and_then(|()| verify(&mut out, args.dir(), false))
        }
        Verb::Find { dir, what, json } => find(&mut out, &dir, &what, json),
    };
    // What was printed before an error comes out before it.
    let flushed = out.flush().map_err(anyhow::Error::from);
    done.and_then(|code| flushed.map(|()| code))
}

fn open(dir: &Path) -> anyhow::Result<LogReader> {
    LogReader::open(dir).with_context(|| format!("cannot open the log at {}", dir.display()))
}

fn dump(
    out: &mut impl Write,
    dir: &Path,
    from: Option<Lsn>,
    limit: Option<u64>,
    look: Look,
) -> anyhow::Result<ExitCode> {
    let reader = open(dir)?;
    let (Some(first), Some(last)) = (reader.first_lsn(), reader.written()) else {
        return Ok(ExitCode::SUCCESS);
    };
    let from = from.unwrap_or(first);
    let mut left = limit.unwrap_or(u64::MAX);
    let mut cursor = reader.cursor(from)?;
    let mut printer = Printer::new(&reader, from, look)?;
    while left > 0
        && let Some(frame) = cursor.next_frame(last.lsn)?
    {
        let wanted = frame.records()?.into_iter().filter(|record| record.lsn >= from);
        for record in wanted.take(usize::try_from(left).unwrap_or(usize::MAX)) {
            printer.record(out, frame.header().epoch, &record)?;
            left -= 1;
        }
    }
    // What could not be told is named in its place.
    Ok(if printer.untold == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(out: &mut impl Write, dir: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let bar = Bar::of(dir);
    let verified = wal::verify_with(dir, &|bytes| bar.passed(bytes));
    bar.end();
    let verified = verified.with_context(|| {
        format!(
            "the log at {} is not sound; if it is damaged, mend it from another member (its \
             running agent does so by itself; else `plimsoll log repair`)",
            dir.display()
        )
    })?;
    let wal::Verified { segments, frames, records, bytes, last, unflushed_bytes } = verified;
    if json {
        let sound = serde_json::json!({
            "sound": true, "segments": segments, "frames": frames, "records": records,
            "bytes": bytes, "last": last, "unflushed_bytes": unflushed_bytes,
        });
        writeln!(out, "{sound}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "sound: {records} records in {frames} frames, {segments} segments, {bytes} bytes"
    )?;
    if let Some(last) = last {
        writeln!(out, "last record {} of epoch {}", last.lsn, last.epoch)?;
    }
    if unflushed_bytes > 0 {
        writeln!(
            out,
            "{unflushed_bytes} bytes behind it were never flushed: being written, or broken off"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn find(out: &mut impl Write, dir: &Path, what: &What, json: bool) -> anyhow::Result<ExitCode> {
    let reader = open(dir)?;
    let Some(lsn) = reader.find(&what.find()?)? else {
        let text = format!("no such record in the log at {}", dir.display());
        return Err(Coded::new(Code::RECORD_NOT_FOUND, text).into());
    };
    let point = reader.point_at(lsn)?;
    match point.zip(reader.record_at(lsn)?) {
        Some((point, record)) => line::write(out, point.epoch, &record, json)?,
        None => {
            let text = format!("record {lsn} was cut off just now; try again");
            return Err(Coded::new(Code::LOG_CUT, text).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl What {
    fn find(&self) -> anyhow::Result<Find> {
        let named = self.lsn.map(Find::Lsn);
        let named = named.or(self.timestamp.map(Find::Timestamp));
        let named = named.or(self.gtid.clone().map(Find::Gtid));
        let named = named.or(self.position.clone().map(Find::Position));
        let named = named.or(self.time.map(|time| Find::WallClock(time.micros())));
        named.context("say what to find")
    }
}

fn parse_lsn(text: &str) -> Result<Lsn, String> {
    let number = text.parse().ok().and_then(Lsn::new);
    number.ok_or_else(|| format!("{text:?} is no LSN: a number from 1"))
}

fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    let parts = text.split_once('.');
    let parsed = parts
        .and_then(|(counter, server)| Timestamp::new(counter.parse().ok()?, server.parse().ok()?));
    parsed.ok_or_else(|| format!("{text:?} is no timestamp: COUNTER.SERVER"))
}

fn parse_position(text: &str) -> Result<BinlogPosition, String> {
    let parts = text.rsplit_once(':').filter(|(file, _)| !file.is_empty());
    let parsed =
        parts.and_then(|(file, offset)| Some(BinlogPosition::new(file, offset.parse().ok()?)));
    parsed.ok_or_else(|| format!("{text:?} is no binlog position: FILE:OFFSET"))
}

#[cfg(test)]
mod tests;
