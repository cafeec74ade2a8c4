//! One value of one row: bytes of the binlog to what a consumer reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::charset::Charset;
use super::json::{self, Difference};
use super::{Column, compressed, number, temporal};
use crate::binlog::Cell;

/// A value. How each column type is written stands in `schemas/change.md`: by the type alone, never by
/// the value's size.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// TINYINT to INT, YEAR, ENUM and SET without their words: a number that every JSON reader holds.
    Integer(i64),
    /// FLOAT: the shortest number that reads back as the same.
    Float(f32),
    /// DOUBLE, the same.
    Double(f64),
    /// Text; BIGINT, DECIMAL, BIT, dates and times; documents, as JSON text.
    Text(String),
    /// Bytes, or text in a character set that is not converted.
    Bytes {
        /// As in the table.
        bytes: Vec<u8>,
        /// The text's; `None` for bytes.
        charset: Option<&'static str>,
    },
    /// A shape.
    Geometry {
        /// Its reference system.
        srid: u32,
        /// Well-known binary.
        wkb: Vec<u8>,
    },
    /// VECTOR.
    Vector(Vec<f32>),
    /// What changed in a JSON document, where the one before is not there.
    Differences(Vec<Difference>),
}

/// Where the character set is not told.
const UNKNOWN: &str = "unknown";

impl Value {
    /// Reads a cell. `before` is the same column's bytes before, for JSON differences. `None`: the
    /// bytes are no value of that type.
    pub(super) fn read(column: &Column, cell: &Cell<'_>, before: Option<&[u8]>) -> Option<Value> {
        let Some(bytes) = cell.value else { return Some(Value::Null) };
        let kind = column.kind;
        Some(match kind.code {
            1 | 2 | 3 | 9 if column.unsigned => {
                Value::Integer(i64::try_from(number::unsigned(bytes)?).ok()?)
            }
            1 | 2 | 3 | 9 => Value::Integer(number::signed(bytes)?),
            8 if column.unsigned => Value::Text(number::unsigned(bytes)?.to_string()),
            8 => Value::Text(number::signed(bytes)?.to_string()),
            4 => Value::Float(f32::from_le_bytes(bytes.try_into().ok()?)),
            5 => Value::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
            13 => Value::Integer(match *bytes.first()? {
                0 => 0,
                years => 1900 + i64::from(years),
            }),
            7 | 10..=12 | 14 | 17..=19 => Value::Text(temporal::text(kind, bytes)?),
            16 => Value::Text(bits(kind.meta, bytes)?),
            242 => vector(bytes)?,
            245 if cell.partial => match before {
                Some(before) => {
                    Value::Text(json::patch(json::document(before)?, bytes)?.to_string())
                }
                None => Value::Differences(json::differences(bytes)?),
            },
            245 => Value::Text(json::document(bytes)?.to_string()),
            246 => Value::Text(number::decimal(kind, bytes)?),
            247 => enumerated(column, number::unsigned(bytes)?)?,
            248 => set(column, number::unsigned(bytes)?)?,
            255 => {
                let (srid, wkb) = bytes.split_at_checked(4)?;
                let srid = u32::from_le_bytes(srid.try_into().ok()?);
                Value::Geometry { srid, wkb: wkb.to_vec() }
            }
            140 | 141 => text(column.charset, compressed::expand(bytes)?),
            254 if column.charset.is_some_and(Charset::is_binary) => {
                text(column.charset, padded(kind.meta, bytes))
            }
            15 | 249..=254 => text(column.charset, bytes.to_vec()),
            _ => return None,
        })
    }
}

/// Whose character set is not told is text where all its letters are printed ASCII, which is the same
/// in nearly all of them, and bytes otherwise.
fn text(charset: Option<Charset>, bytes: Vec<u8>) -> Value {
    let is_binary = charset.is_some_and(Charset::is_binary);
    let text = match charset {
        Some(charset) => charset.text(&bytes),
        None => {
            let printed = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
            printed.then(|| bytes.iter().map(|&byte| char::from(byte)).collect())
        }
    };
    match text {
        Some(text) => Value::Text(text),
        None if is_binary => Value::Bytes { bytes, charset: None },
        None => Value::Bytes { bytes, charset: Some(charset.map_or(UNKNOWN, Charset::name)) },
    }
}

/// The servers leave the zeros away that a BINARY ends with.
fn padded(meta: u16, bytes: &[u8]) -> Vec<u8> {
    let mut all = bytes.to_vec();
    all.resize(bytes.len().max(usize::from(meta)), 0);
    all
}

/// As many digits as the column has.
fn bits(meta: u16, bytes: &[u8]) -> Option<String> {
    let width = usize::from(meta >> 8) * 8 + usize::from(meta & 0xff);
    let value = number::big_endian(bytes)?;
    (width <= 64).then(|| format!("{value:0width$b}"))
}

fn vector(bytes: &[u8]) -> Option<Value> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    let numbers = numbers.iter().map(|&number| f32::from_le_bytes(number));
    rest.is_empty().then(|| Value::Vector(numbers.collect()))
}

/// By number from 1; 0 is what a server keeps for a word that the column does not have.
fn enumerated(column: &Column, number: u64) -> Option<Value> {
    let Some(before) = number.checked_sub(1).filter(|_| !column.words.is_empty()) else {
        return match column.words.is_empty() {
            true => i64::try_from(number).ok().map(Value::Integer),
            false => Some(Value::Text(String::new())),
        };
    };
    let word = usize::try_from(before).ok().and_then(|before| column.words.get(before));
    word.cloned().map(Value::Text)
}

/// By bits, the lowest is the first word. Without words the bits are a number, as text: there may be 64.
fn set(column: &Column, bits: u64) -> Option<Value> {
    if column.words.is_empty() {
        return Some(Value::Text(bits.to_string()));
    }
    let unknown = u32::try_from(column.words.len()).ok().and_then(|words| bits.checked_shr(words));
    if unknown.is_some_and(|bits| bits != 0) {
        return None;
    }
    let is_set = |index: u32| bits.checked_shr(index).is_some_and(|bits| bits & 1 == 1);
    let chosen = (0..).zip(&column.words).filter(|(index, _)| is_set(*index));
    let chosen: Vec<&str> = chosen.map(|(_, word)| word.as_str()).collect();
    Some(Value::Text(chosen.join(",")))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => to.serialize_none(),
            Value::Integer(number) => to.serialize_i64(*number),
            // No server keeps such a number; damaged bytes may hold one.
            Value::Float(number) if !number.is_finite() => to.collect_str(number),
            Value::Double(number) if !number.is_finite() => to.collect_str(number),
            Value::Float(number) => to.serialize_f32(*number),
            Value::Double(number) => to.serialize_f64(*number),
            Value::Text(text) => to.serialize_str(text),
            Value::Bytes { bytes, charset } => {
                let mut map = to.serialize_map(None)?;
                map.serialize_entry("base64", &STANDARD.encode(bytes))?;
                if let Some(charset) = charset {
                    map.serialize_entry("charset", charset)?;
                }
                map.end()
            }
            Value::Geometry { srid, wkb } => {
                let mut map = to.serialize_map(Some(2))?;
                map.serialize_entry("srid", srid)?;
                map.serialize_entry("wkb", &STANDARD.encode(wkb))?;
                map.end()
            }
            Value::Vector(numbers) => to.collect_seq(numbers),
            Value::Differences(all) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("differences", all)?;
                map.end()
            }
        }
    }
}
