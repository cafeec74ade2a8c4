//! Dates and times of all formats, as text. Parts that no server writes come out as they are.

use super::number::{big_endian, signed, unsigned};
use crate::binlog::ColumnType;
use crate::wall_clock::Time;

/// What a MySQL TIME, DATETIME or DATE consists of, before it is text.
struct Parts {
    /// Years, months, days; years in 17 bits with months as thirteenths.
    date: u64,
    /// Hours, minutes, seconds, in bits from 12, from 6, from 0.
    time: u64,
}

/// The text of a value of type 7, 10-14 or 17-19; `None` where the bytes are none.
pub fn text(kind: ColumnType, bytes: &[u8]) -> Option<String> {
    match kind.code {
        10 | 14 => date(unsigned(bytes)?),
        11 => {
            let digits = signed(bytes)?;
            let (sign, digits) = (if digits < 0 { "-" } else { "" }, digits.unsigned_abs());
            Some(format!("{sign}{}", clock(digits / 10_000, digits / 100 % 100, digits % 100)))
        }
        12 => {
            let digits = unsigned(bytes)?;
            let (date, time) = (digits / 1_000_000, digits % 1_000_000);
            let date = day(date / 10_000, date / 100 % 100, date % 100);
            Some(format!("{date}T{}", clock(time / 10_000, time / 100 % 100, time % 100)))
        }
        7 => timestamp(unsigned(bytes)?, ""),
        17 => {
            let (seconds, fraction) = bytes.split_at_checked(4)?;
            let seconds = u64::from(u32::from_be_bytes(seconds.try_into().ok()?));
            timestamp(seconds, &self::fraction(kind, big_endian(fraction)?))
        }
        18 => {
            let (whole, fraction) = bytes.split_at_checked(5)?;
            // The highest bit is set in every date.
            let whole = big_endian(whole)? & !(1 << 39);
            let text = date_time(&Parts { date: whole >> 17, time: whole & 0x1_ffff });
            Some(format!("{text}{}", self::fraction(kind, big_endian(fraction)?)))
        }
        19 => time(kind, bytes),
        _ => None,
    }
}

/// A signed number around the middle of its range: whole seconds above, their fraction below.
fn time(kind: ColumnType, bytes: &[u8]) -> Option<String> {
    let fraction_bytes = bytes.len().checked_sub(3).filter(|&len| len <= 3)?;
    let bits = 8 * u32::try_from(fraction_bytes).ok()?;
    let value = i64::try_from(big_endian(bytes)?).ok()? - (0x80_0000 << bits);
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    let (whole, fraction) = (value >> bits, value & ((1 << bits) - 1));
    Some(format!("{sign}{}{}", packed_clock(whole), self::fraction(kind, fraction)))
}

/// `.` and as many digits as the type has; two digits a byte are there.
fn fraction(kind: ColumnType, value: u64) -> String {
    let digits = usize::from(kind.meta.min(6));
    let width = digits.div_ceil(2) * 2;
    let all = format!("{value:0width$}");
    match all.get(..digits) {
        Some(shown) if digits > 0 => format!(".{shown}"),
        _ => String::new(),
    }
}

fn timestamp(seconds: u64, fraction: &str) -> Option<String> {
    // As everywhere in the servers: no time at all.
    if seconds == 0 {
        return Some(format!("0000-00-00T00:00:00{fraction}Z"));
    }
    let text = Time::from_micros(i64::try_from(seconds).ok()?.checked_mul(1_000_000)?).to_string();
    Some(format!("{}{fraction}Z", text.get(..19)?))
}

fn date(packed: u64) -> Option<String> {
    Some(day(packed >> 9, packed >> 5 & 15, packed & 31))
}

fn day(year: u64, month: u64, day: u64) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

fn clock(hours: u64, minutes: u64, seconds: u64) -> String {
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

fn packed_clock(packed: u64) -> String {
    clock(packed >> 12, packed >> 6 & 63, packed & 63)
}

fn packed_day(packed: u64) -> String {
    let months = packed >> 5;
    day(months / 13, months % 13, packed & 31)
}

fn date_time(parts: &Parts) -> String {
    format!("{}T{}", packed_day(parts.date), packed_clock(parts.time))
}

/// A date or time inside a MySQL JSON document: eight bytes, microseconds below, all signed. As the
/// server shows it.
pub fn in_json(code: u8, bytes: &[u8]) -> Option<String> {
    let value = i64::from_le_bytes(bytes.try_into().ok()?);
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    let (whole, micros) = (value >> 24, value & 0xff_ffff);
    Some(match code {
        10 => packed_day(whole >> 17),
        11 => format!("{sign}{}.{micros:06}", packed_clock(whole)),
        7 | 12 => {
            let clock = packed_clock(whole & 0x1_ffff);
            format!("{} {clock}.{micros:06}", packed_day(whole >> 17))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let text = |code, meta, bytes: &[u8]| text(ColumnType { code, meta }, bytes).unwrap();
        assert_eq!(text(10, 0, &[0x21, 0x00, 0x00]), "0000-01-01");
        assert_eq!(text(19, 2, &[0x7f, 0xff, 0xff, 0xff]), "-00:00:00.01");
        assert_eq!(text(19, 0, &[0x80, 0x00, 0x00]), "00:00:00");
        assert_eq!(text(17, 0, &[0, 0, 0, 1]), "1970-01-01T00:00:01Z");
        assert_eq!(text(17, 3, &[0, 0, 0, 0, 0, 0]), "0000-00-00T00:00:00.000Z");
        assert_eq!(text(7, 0, &[0xff; 4]), "2106-02-07T06:28:15Z");
        assert_eq!(text(12, 0, &20_200_102_030_405_u64.to_le_bytes()), "2020-01-02T03:04:05");
    }

    #[test]
    fn bytes_that_are_none() {
        for code in [7, 10, 11, 12, 14, 17, 18, 19] {
            for len in [0, 1, 2, 3, 4, 5, 6, 8, 9, 20] {
                for meta in [0, 1, 6, 255] {
                    text(ColumnType { code, meta }, &vec![0xff; len]);
                }
            }
        }
    }
}
