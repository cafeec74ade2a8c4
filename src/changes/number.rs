//! Whole numbers and DECIMAL, as digits.

use std::fmt::Write;

use crate::binlog::{ColumnType, decimal_len};

/// Little-endian, of up to 8 bytes, with its sign.
pub fn signed(bytes: &[u8]) -> Option<i64> {
    let unused = 64_u32.checked_sub(8 * u32::try_from(bytes.len()).ok()?)?;
    // Shifted up and down again, the highest bit fills the bytes that are not there.
    Some(((unsigned(bytes)? << (unused % 64)) as i64) >> (unused % 64))
}

/// Little-endian, of up to 8 bytes.
pub fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut all = [0; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(all))
}

/// Big-endian, of up to 8 bytes.
pub fn big_endian(bytes: &[u8]) -> Option<u64> {
    let mut all = [0; 8];
    let start = all.len().checked_sub(bytes.len())?;
    all.get_mut(start..)?.copy_from_slice(bytes);
    Some(u64::from_be_bytes(all))
}

/// Nine digits in four bytes, what is left over at either end in fewer.
const GROUP: usize = 9;
const BYTES: [usize; GROUP + 1] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// The digits of a DECIMAL as its server shows them; `None` where the bytes are none. Precision is in
/// the low byte of the type's meta, scale in the high one.
pub fn decimal(kind: ColumnType, bytes: &[u8]) -> Option<String> {
    let (precision, scale) = (usize::from(kind.meta & 0xff), usize::from(kind.meta >> 8));
    if decimal_len(kind.meta)? != bytes.len() {
        return None;
    }
    let positive = bytes.first()? & 0x80 != 0;
    // The sign bit is turned, and all bits of a negative number.
    let mask = if positive { 0 } else { 0xff };
    let mut plain: Vec<u8> = bytes.iter().map(|byte| byte ^ mask).collect();
    *plain.first_mut()? ^= 0x80;
    let whole = precision.checked_sub(scale)?;
    let mut at = 0;
    let mut digits = String::with_capacity(precision + 3);
    let groups = [whole % GROUP].into_iter().chain((0..whole / GROUP).map(|_| GROUP));
    let fraction = (0..scale / GROUP).map(|_| GROUP).chain([scale % GROUP]);
    for count in groups.chain(fraction).filter(|&count| count > 0) {
        let len = *BYTES.get(count)?;
        let value = big_endian(plain.get(at..at + len)?)?;
        at += len;
        let start = digits.len();
        write!(digits, "{value:0count$}").ok()?;
        if digits.len() != start + count {
            return None;
        }
    }
    let (whole, fraction) = digits.split_at_checked(whole)?;
    let whole = whole.trim_start_matches('0');
    let sign = if positive { "" } else { "-" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_as_the_manual_has_them() {
        let kind = ColumnType { code: 246, meta: 14 | 4 << 8 };
        let bytes = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(decimal(kind, &bytes).as_deref(), Some("1234567890.1234"));
        let negative = bytes.map(|byte| !byte);
        assert_eq!(decimal(kind, &negative).as_deref(), Some("-1234567890.1234"));
        let tenth = ColumnType { code: 246, meta: 1 | 1 << 8 };
        assert_eq!(decimal(tenth, &[0x89]).as_deref(), Some("0.9"));
        assert_eq!(decimal(tenth, &[0x76]).as_deref(), Some("-0.9"));
        assert_eq!(decimal(tenth, &[0xff]), None, "no digit");
        assert_eq!(decimal(kind, &bytes[..6]), None);
    }

    #[test]
    fn signs_of_all_widths() {
        assert_eq!(signed(&[0xfe, 0xff, 0xff]), Some(-2), "a negative MEDIUMINT");
        assert_eq!(signed(&[0x80]), Some(-128));
        assert_eq!(signed(&[0xff; 8]), Some(-1));
        assert_eq!(signed(&[]), Some(0));
        assert_eq!(signed(&[0; 9]), None);
        assert_eq!(big_endian(&[1, 0]), Some(256));
    }
}
