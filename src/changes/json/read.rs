//! Bytes to tree. Layout: MySQL's `sql-common/json_binary.h`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{DEPTH_MAX, Json};
use crate::binlog::ColumnType;
use crate::changes::{number, temporal};

/// A document. No bytes at all are `null`. `None`: no document.
pub fn document(bytes: &[u8]) -> Option<Json> {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Some(Json::Plain("null".to_owned()));
    };
    // Each node and each byte of text stands in the bytes once.
    Reader { budget: bytes.len() }.value(kind, rest, DEPTH_MAX)
}

struct Reader {
    budget: usize,
}

/// Widths of one array or object.
#[derive(Clone, Copy)]
struct Layout {
    object: bool,
    /// Bytes of a count or an offset.
    width: usize,
}

impl Reader {
    fn pay(&mut self, bytes: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(bytes)?;
        Some(())
    }

    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Option<Json> {
        self.pay(1)?;
        match kind {
            0..=3 => {
                let layout =
                    Layout { object: kind < 2, width: if matches!(kind, 0 | 2) { 2 } else { 4 } };
                self.members(layout, bytes, depth.checked_sub(1)?)
            }
            4 => {
                let name = *["null", "true", "false"].get(usize::from(*bytes.first()?))?;
                Some(Json::Plain(name.to_owned()))
            }
            5 | 7 | 9 => {
                let digits = number::signed(bytes.get(..integer_len(kind)?)?)?;
                Some(Json::Plain(digits.to_string()))
            }
            6 | 8 | 10 => {
                let digits = number::unsigned(bytes.get(..integer_len(kind)?)?)?;
                Some(Json::Plain(digits.to_string()))
            }
            11 => {
                let value = f64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
                value.is_finite().then_some(Json::Double(value))
            }
            12 => Some(Json::Text(self.text(sized(bytes)?)?)),
            15 => {
                let (&code, rest) = bytes.split_first()?;
                self.opaque(code, sized(rest)?)
            }
            _ => None,
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Option<String> {
        self.pay(bytes.len())?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }

    /// A value of another column type.
    fn opaque(&mut self, code: u8, bytes: &[u8]) -> Option<Json> {
        self.pay(bytes.len())?;
        match code {
            246 => {
                let (meta, digits) = bytes.split_at_checked(2)?;
                let meta = u16::from_le_bytes(meta.try_into().ok()?);
                number::decimal(ColumnType { code, meta }, digits).map(Json::Plain)
            }
            7 | 10..=12 => temporal::in_json(code, bytes).map(Json::Text),
            _ => Some(Json::Text(format!("base64:type{code}:{}", STANDARD.encode(bytes)))),
        }
    }

    /// Count, bytes in all, entries of keys, entries of values; what they point at, behind.
    fn members(&mut self, layout: Layout, bytes: &[u8], depth: usize) -> Option<Json> {
        let Layout { object, width } = layout;
        let number = |at: usize, len: usize| {
            let value = number::unsigned(bytes.get(at..at.checked_add(len)?)?)?;
            usize::try_from(value).ok()
        };
        let count = number(0, width)?;
        let bytes = bytes.get(..number(width, width)?)?;
        let key_entry = width + 2;
        let value_entry = width + 1;
        let keys = 2 * width;
        let values = keys.checked_add(if object { count.checked_mul(key_entry)? } else { 0 })?;
        // All entries are there before anything is made for them.
        bytes.get(values..values.checked_add(count.checked_mul(value_entry)?)?)?;
        let mut array = Vec::new();
        let mut members = Vec::new();
        for index in 0..count {
            let entry = values + index * value_entry;
            let kind = *bytes.get(entry)?;
            let value = match inlined(kind, width) {
                true => self.value(kind, bytes.get(entry + 1..entry + value_entry)?, depth)?,
                false => self.value(kind, bytes.get(number(entry + 1, width)?..)?, depth)?,
            };
            if object {
                let entry = keys + index * key_entry;
                let (start, len) = (number(entry, width)?, number(entry + width, 2)?);
                let key = bytes.get(start..start.checked_add(len)?)?;
                members.push((self.text(key)?, value));
            } else {
                array.push(value);
            }
        }
        Some(if object { Json::Object(members) } else { Json::Array(array) })
    }
}

fn integer_len(kind: u8) -> Option<usize> {
    Some(match kind {
        5 | 6 => 2,
        7 | 8 => 4,
        9 | 10 => 8,
        _ => return None,
    })
}

/// Does the value stand where its offset would?
fn inlined(kind: u8, width: usize) -> bool {
    matches!(kind, 4..=6) || (width == 4 && matches!(kind, 7 | 8))
}

/// Bytes behind their length, which has seven bits in each byte, low ones first.
fn sized(bytes: &[u8]) -> Option<&[u8]> {
    let mut len = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(5) {
        len |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let start = index + 1;
            return bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?);
        }
    }
    None
}
