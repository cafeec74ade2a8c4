//! A cursor over bytes that checks every step.

use super::Error;

/// Reads forward; every length is checked against what is left before it is used.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Over `bytes`; errors name `what`.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Reader<'a> {
        Reader { rest: bytes, what }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// `true` at the end.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The error of this structure.
    pub fn malformed(&self) -> Error {
        Error::Malformed { what: self.what }
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(count) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.truncated(count as u64)),
        }
    }

    /// The next `count` bytes, where `count` comes from the wire in 64 bits.
    pub fn take_u64(&mut self, count: u64) -> Result<&'a [u8], Error> {
        let count = usize::try_from(count).map_err(|_| self.truncated(count))?;
        self.take(count)
    }

    fn truncated(&self, need: u64) -> Error {
        Error::Truncated { what: self.what, need, have: self.rest.len() }
    }

    /// The next bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// `width` bytes (at most 8), little-endian.
    #[inline]
    pub fn uint(&mut self, width: usize) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        let Some(low) = bytes.get_mut(..width) else {
            return Err(self.malformed());
        };
        low.copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// A length-encoded integer of the client protocol.
    pub fn lenenc(&mut self) -> Result<u64, Error> {
        match self.u8()? {
            value @ 0..=250 => Ok(u64::from(value)),
            252 => self.uint(2),
            253 => self.uint(3),
            254 => self.u64(),
            _ => Err(self.malformed()),
        }
    }

    /// Bytes up to a NUL, which is skipped.
    pub fn until_nul(&mut self) -> Result<&'a [u8], Error> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or(self.malformed())?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// An unsigned integer of MySQL's serialization library: the number of trailing one-bits of the
    /// first byte is the number of bytes that follow.
    pub fn varlen(&mut self) -> Result<u64, Error> {
        let first = *self.rest.first().ok_or(self.truncated(1))?;
        let width = first.trailing_ones() as usize + 1;
        if width == 9 {
            self.take(1)?;
            return self.u64();
        }
        Ok(self.uint(width)? >> width)
    }

    /// A signed integer of MySQL's serialization library: the lowest bit is the sign.
    pub fn varlen_signed(&mut self) -> Result<i64, Error> {
        let bits = self.varlen()?;
        let magnitude = (bits >> 1) as i64;
        Ok(if bits & 1 == 1 { -magnitude - 1 } else { magnitude })
    }
}

/// Writes what [`Reader::varlen`] reads.
pub fn write_varlen(to: &mut Vec<u8>, value: u64) {
    let bits = 64 - value.leading_zeros() as usize;
    let width = bits.max(1).div_ceil(7);
    if width > 8 {
        to.push(0xff);
        to.extend_from_slice(&value.to_le_bytes());
        return;
    }
    let marked = value << width | ((1 << (width - 1)) - 1);
    to.extend_from_slice(&marked.to_le_bytes()[..width]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varlen_comes_back(value: u64) {
            let mut bytes = Vec::new();
            write_varlen(&mut bytes, value);
            let mut reader = Reader::new(&bytes, "test");
            prop_assert_eq!(reader.varlen().unwrap(), value);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, width in 0usize..12) {
            let reader = Reader::new(&bytes, "test");
            let _ = reader.clone().lenenc();
            let _ = reader.clone().varlen();
            let _ = reader.clone().varlen_signed();
            let _ = reader.clone().uint(width);
            let _ = reader.clone().until_nul();
        }
    }
}
