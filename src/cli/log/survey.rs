//! What a log holds: `ls` by segment, `stat` in all.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};
use wal::{Depth, LogReader, SegmentInfo, Survey};

use super::progress::Bar;
use crate::wall_clock::Time;

/// One line for each segment.
pub(super) fn ls(out: &mut impl Write, reader: &LogReader, json: bool) -> anyhow::Result<ExitCode> {
    for (segment, survey) in surveyed(reader, Depth::Frames)? {
        if json {
            writeln!(out, "{}", segment_json(&segment, &survey))?;
            continue;
        }
        let last = segment.last_lsn.map_or_else(|| "empty".to_owned(), |last| format!("to {last}"));
        let committed = survey.committed.map_or_else(
            || "no transaction".to_owned(),
            |(first, latest)| {
                format!("{} to {}", Time::from_micros(first), Time::from_micros(latest))
            },
        );
        writeln!(
            out,
            "{} {} {last} epoch {} {committed} {} bytes {} {} {}",
            file(&segment),
            segment.base_lsn,
            segment.epoch,
            segment.bytes,
            counts(&survey.codecs),
            state(&segment),
            index(&segment),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn surveyed(reader: &LogReader, depth: Depth) -> anyhow::Result<Vec<(SegmentInfo, Survey)>> {
    let bar = Bar::of(reader.dir());
    let surveyed = reader.survey(depth, &|bytes| bar.passed(bytes));
    bar.end();
    Ok(surveyed?)
}

fn file(segment: &SegmentInfo) -> String {
    segment.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn state(segment: &SegmentInfo) -> &'static str {
    if segment.sealed { "sealed" } else { "growing" }
}

fn index(segment: &SegmentInfo) -> &'static str {
    if segment.indexed { "indexed" } else { "no-index" }
}

fn counts(counted: &std::collections::BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<_> = counted.iter().map(|(name, count)| format!("{name}:{count}")).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(",") }
}

fn segment_json(segment: &SegmentInfo, survey: &Survey) -> Value {
    let mut value = survey_json(survey);
    let own = json!({
        "path": segment.path, "epoch": segment.epoch, "base_lsn": segment.base_lsn,
        "last_lsn": segment.last_lsn, "bytes": segment.bytes, "sealed": segment.sealed,
        "indexed": segment.indexed,
    });
    if let (Value::Object(value), Value::Object(own)) = (&mut value, own) {
        value.extend(own);
    }
    value
}

fn survey_json(survey: &Survey) -> Value {
    let time = |micros: i64| Time::from_micros(micros).to_string();
    let largest = survey.largest.iter();
    json!({
        "frames": survey.frames, "raw_bytes": survey.raw_bytes,
        "stored_bytes": survey.stored_bytes, "codecs": survey.codecs,
        "first_timestamp": survey.timestamps.map(|(first, _)| first.to_string()),
        "last_timestamp": survey.timestamps.map(|(_, last)| last.to_string()),
        "first_committed": survey.committed.map(|(first, _)| time(first)),
        "latest_committed": survey.committed.map(|(_, latest)| time(latest)),
        "kinds": survey.kinds,
        "largest": largest.map(|(bytes, lsn)| json!({ "lsn": lsn, "bytes": bytes })).collect::<Vec<_>>(),
    })
}

/// Whose log it is, its epochs, and what all of it holds.
pub(super) fn stat(
    out: &mut impl Write,
    reader: &LogReader,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let surveyed = surveyed(reader, Depth::Records)?;
    let mut all = Survey::default();
    surveyed.iter().for_each(|(_, survey)| all.add(survey));
    if json {
        let segments: Vec<_> =
            surveyed.iter().map(|(segment, survey)| segment_json(segment, survey)).collect();
        let stat = json!({
            "cluster": reader.cluster(), "incarnation": reader.incarnation(),
            "first_lsn": reader.first_lsn(), "last": reader.written(), "bytes": reader.bytes(),
            "epochs": reader.epochs(), "total": survey_json(&all), "segments": segments,
        });
        writeln!(out, "{stat}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "cluster      {}", reader.cluster())?;
    writeln!(out, "incarnation  {}", reader.incarnation())?;
    match (reader.first_lsn(), reader.written()) {
        (Some(first), Some(last)) => {
            writeln!(out, "records      {first} to {} (epoch {})", last.lsn, last.epoch)?;
        }
        _ => writeln!(out, "records      none")?,
    }
    let indexed = surveyed.iter().filter(|(segment, _)| segment.indexed).count();
    let count = surveyed.len();
    writeln!(out, "bytes        {} in {count} segments, {indexed} indexed", reader.bytes())?;
    for point in reader.epochs() {
        writeln!(out, "epoch        {} ends at {}", point.epoch, point.lsn)?;
    }
    write_totals(out, &all)?;
    Ok(ExitCode::SUCCESS)
}

fn write_totals(out: &mut impl Write, all: &Survey) -> std::io::Result<()> {
    let Survey { frames, raw_bytes, stored_bytes, .. } = all;
    let ratio = *stored_bytes as f64 / (*raw_bytes).max(1) as f64;
    let codecs = counts(&all.codecs);
    writeln!(
        out,
        "frames       {frames} ({codecs}): {raw_bytes} bytes stored as {stored_bytes}, {ratio:.2}"
    )?;
    if let Some((first, latest)) = all.committed {
        let (first, latest) = (Time::from_micros(first), Time::from_micros(latest));
        writeln!(out, "committed    {first} to {latest}")?;
    }
    for (kind, records) in &all.kinds {
        writeln!(out, "kind         {kind} {records}")?;
    }
    for (bytes, lsn) in &all.largest {
        writeln!(out, "largest      {lsn} {bytes} bytes")?;
    }
    Ok(())
}
