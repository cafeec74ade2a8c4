//! A transaction's own name, as its server family gives it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The global transaction id that the server gave a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Gtid {
    /// MySQL: `uuid:number`, or `uuid:tag:number` (8.3 and later).
    Mysql {
        /// The server that committed it first.
        uuid: [u8; 16],
        /// Empty, or up to 32 of `[a-z0-9_]`.
        tag: String,
        /// From 1.
        number: u64,
    },
    /// MariaDB: `domain-server-sequence`.
    Mariadb {
        /// Replication domain.
        domain: u32,
        /// `server_id` of the server that committed it first.
        server: u32,
        /// Sequence number in the domain.
        sequence: u64,
    },
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gtid::Mysql { uuid, tag, number } => {
                for (index, byte) in uuid.iter().enumerate() {
                    if matches!(index, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                if !tag.is_empty() {
                    write!(f, ":{tag}")?;
                }
                write!(f, ":{number}")
            }
            Gtid::Mariadb { domain, server, sequence } => {
                write!(f, "{domain}-{server}-{sequence}")
            }
        }
    }
}

/// A text that names no transaction of either family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither uuid[:tag]:number nor domain-server-sequence")]
pub struct BadGtid(String);

impl FromStr for Gtid {
    type Err = BadGtid;

    fn from_str(text: &str) -> Result<Gtid, BadGtid> {
        let parsed = if text.contains(':') { parse_mysql(text) } else { parse_mariadb(text) };
        parsed.ok_or_else(|| BadGtid(text.to_owned()))
    }
}

fn parse_mysql(text: &str) -> Option<Gtid> {
    let mut parts = text.split(':');
    let uuid = parse_uuid(parts.next()?)?;
    let (tag, number) = match (parts.next()?, parts.next()) {
        (number, None) => ("", number),
        (tag, Some(number)) => (tag, number),
    };
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if parts.next().is_some() || tag.len() > 32 || !tag.bytes().all(legal) {
        return None;
    }
    let number = number.parse().ok().filter(|&number| number > 0)?;
    Some(Gtid::Mysql { uuid, tag: tag.to_owned(), number })
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'-').collect();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut uuid = [0; 16];
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

fn parse_mariadb(text: &str) -> Option<Gtid> {
    let mut parts = text.split('-');
    let gtid = Gtid::Mariadb {
        domain: parts.next()?.parse().ok()?,
        server: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(gtid)
}

impl Serialize for Gtid {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Gtid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Gtid, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
