//! mysql_cdc's reader, in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use mysql_cdc::events::binlog_event::BinlogEvent;
use mysql_cdc::events::event_header::EventHeader;
use mysql_cdc::events::event_parser::EventParser;
use mysql_cdc::events::row_events::mysql_value::MySqlValue;
use mysql_cdc::events::row_events::row_data::RowData;

use super::{Cell, Seen, corpus, ours};
use crate::support::{Context, Result, ensure};

/// What the child is to read.
const FILE: &str = "PLIMSOLL_TEST_CDC_FILE";
/// Before each of the child's lines, among those of the test runner.
const MARK: &str = "cdc: ";

/// Runs this very test program again, for one test: the one below.
pub fn read_in_a_child(file: &Path) -> Result<Vec<Seen>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "differential::mysql_cdc::reads_a_file", "--nocapture"]);
    let done = command.env(FILE, file).output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    let cause = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "the child ended with {}: {cause}", done.status);
    let lines = said.lines().filter_map(|line| line.split_once(MARK));
    lines.map(|(_, json)| serde_json::from_str(json).context("a line of the child")).collect()
}

/// The child's part; by itself it reads the corpus.
#[test]
fn reads_a_file() {
    let file = std::env::var_os(FILE).map_or_else(|| corpus("mysql-9.7.bin"), PathBuf::from);
    let seen = read(&file).expect("reads");
    assert!(!seen.is_empty());
    for seen in seen {
        println!("{MARK}{}", serde_json::to_string(&seen).expect("plain data"));
    }
}

fn read(file: &Path) -> Result<Vec<Seen>> {
    let mut parser = EventParser::new();
    let mut all = Vec::new();
    for event in ours::events(file)? {
        let header = EventHeader::parse(&event.raw).map_err(|_| anyhow::anyhow!("a header"))?;
        let (kind, len, next) =
            (header.event_type, header.event_length, header.next_event_position);
        let mut seen = Seen { kind, len, next, table: None, images: None };
        // An error is its own: text that is not UTF-8, types that it does not know.
        if let Ok(parsed) = parser.parse_event(&header, &event.raw[19..]) {
            match parsed {
                BinlogEvent::TableMapEvent(map) => {
                    seen.table = Some((map.database_name, map.table_name, map.column_types.len()));
                }
                BinlogEvent::WriteRowsEvent(rows) => seen.images = Some(images(&rows.rows)),
                BinlogEvent::DeleteRowsEvent(rows) => seen.images = Some(images(&rows.rows)),
                BinlogEvent::UpdateRowsEvent(rows) => {
                    let pairs = rows.rows.iter();
                    let rows = pairs.flat_map(|row| [&row.before_update, &row.after_update]);
                    seen.images = Some(rows.map(cells).collect());
                }
                _ => {}
            }
        }
        all.push(seen);
    }
    Ok(all)
}

fn images(rows: &[RowData]) -> Vec<Vec<Cell>> {
    rows.iter().map(cells).collect()
}

fn cells(row: &RowData) -> Vec<Cell> {
    row.cells.iter().map(|value| value.as_ref().map_or(Cell::Null, cell)).collect()
}

fn cell(value: &MySqlValue) -> Cell {
    match value {
        MySqlValue::TinyInt(number) => Cell::Integer((*number).into()),
        MySqlValue::SmallInt(number) => Cell::Integer((*number).into()),
        MySqlValue::MediumInt(number) | MySqlValue::Int(number) => Cell::Integer((*number).into()),
        MySqlValue::BigInt(number) => Cell::Integer(*number),
        MySqlValue::Float(number) => Cell::Float(number.to_bits().into()),
        MySqlValue::Double(number) => Cell::Float(number.to_bits()),
        MySqlValue::String(text) => Cell::bytes(text.as_bytes()),
        MySqlValue::Blob(bytes) => Cell::bytes(bytes),
        _ => Cell::Other,
    }
}
