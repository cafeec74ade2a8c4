//! What a client carries from a write to a read: cluster, epoch and timestamp in one short text.
//!
//! In: a timestamp that is committed. Out: 28 characters of `[A-Za-z0-9._~-]`, which a reader
//! checks before it waits for that timestamp. Layout: `schemas/token.md`. Any one changed, swapped or
//! missing character is refused.
//!
//! Does not: keep a token secret, prove who made it, or know whether its epoch was undone. It is a
//! check against mistakes, not against forgery: a forged one makes its own reader wait, no more.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wal::{ClusterId, Epoch, Timestamp};

use crate::explain::Code;

/// Everything acknowledged up to a timestamp, in one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// Whose timestamp it is. The text holds 32 bits of its hash.
    pub cluster: ClusterId,
    /// The reign in which it was made.
    pub epoch: Epoch,
    /// A reader must have applied up to here.
    pub timestamp: Timestamp,
}

/// A text that is not a token of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Letters, length or checksum are wrong.
    #[error("the token is damaged; pass on exactly what /v1/token returned")]
    Damaged,
    /// Sound, but another cluster's.
    #[error("the token is of another cluster; take one where the write was made")]
    ForeignCluster,
    /// Of a form this build does not know.
    #[error("the token is of an unknown version; a newer plimsoll made it, upgrade this one")]
    UnknownVersion,
}

impl Error {
    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Damaged | Error::ForeignCluster | Error::UnknownVersion => Code::TOKEN,
        }
    }
}

/// First letter of the text. Another form takes another letter.
const VERSION: u8 = b'a';
/// Cluster hash, epoch, timestamp; then the CRC32.
const BODY: usize = 4 + 4 + 8;

impl Token {
    /// Checks `text` and reads it.
    ///
    /// # Errors
    /// [`Error`] says what is wrong with it.
    pub fn parse(text: &str, cluster: ClusterId) -> Result<Token, Error> {
        let (version, letters) = text.as_bytes().split_first().ok_or(Error::Damaged)?;
        if !version.is_ascii_alphanumeric() {
            return Err(Error::Damaged);
        }
        if *version != VERSION {
            return Err(Error::UnknownVersion);
        }
        // Refuses what is not the one spelling of its bytes.
        let mut bytes = [0; BODY + 4 + 4];
        let len = URL_SAFE_NO_PAD.decode_slice(letters, &mut bytes).map_err(|_| Error::Damaged)?;
        let bytes: &[u8; BODY + 4] = bytes[..len].try_into().map_err(|_| Error::Damaged)?;
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Error::Damaged)?;
        if checksum(body) != u32::from_be_bytes(*crc) {
            return Err(Error::Damaged);
        }
        let (hash, rest) = body.split_first_chunk::<4>().ok_or(Error::Damaged)?;
        let (epoch, timestamp) = rest.split_first_chunk::<4>().ok_or(Error::Damaged)?;
        if *hash != hash_of(cluster) {
            return Err(Error::ForeignCluster);
        }
        let epoch = Epoch::new(u32::from_be_bytes(*epoch)).ok_or(Error::Damaged)?;
        let timestamp = timestamp.try_into().map_err(|_| Error::Damaged)?;
        let timestamp = Timestamp::from_bits(u64::from_be_bytes(timestamp));
        Ok(Token { cluster, epoch, timestamp: timestamp.ok_or(Error::Damaged)? })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = [0; BODY];
        body[..4].copy_from_slice(&hash_of(self.cluster));
        body[4..8].copy_from_slice(&self.epoch.get().to_be_bytes());
        body[8..].copy_from_slice(&self.timestamp.bits().to_be_bytes());
        let bytes = [&body[..], &checksum(&body).to_be_bytes()].concat();
        write!(f, "{}{}", char::from(VERSION), URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn hash_of(cluster: ClusterId) -> [u8; 4] {
    crc32fast::hash(cluster.bytes()).to_be_bytes()
}

/// Over the version too: a body is not good under another letter.
fn checksum(body: &[u8]) -> u32 {
    crc32fast::hash(&[&[VERSION], body].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);

    fn token() -> Token {
        let timestamp = Timestamp::new(1_234_567, 2).unwrap();
        Token { cluster: CLUSTER, epoch: Epoch::new(3).unwrap(), timestamp }
    }

    fn any_token() -> impl Strategy<Value = Token> {
        (any::<[u8; 16]>(), 1..=u32::MAX, 1..=u64::MAX).prop_map(|(cluster, epoch, bits)| Token {
            cluster: ClusterId::from_bytes(cluster),
            epoch: Epoch::new(epoch).unwrap(),
            timestamp: Timestamp::from_bits(bits).unwrap(),
        })
    }

    /// Tokens live in clients' cookies and databases: the text of version `a` never changes.
    #[test]
    fn the_text_is_what_it_always_was() {
        assert_eq!(token().to_string(), "aYBlseQAAAAMAAAAAEtaHAn3hhcw");
    }

    #[test]
    fn each_fault_has_its_name() {
        let text = token().to_string();
        let other = ClusterId::from_bytes([8; 16]);
        assert_eq!(Token::parse(&text, CLUSTER), Ok(token()));
        assert_eq!(Token::parse(&text, other), Err(Error::ForeignCluster));
        let newer = text.replacen('a', "b", 1);
        assert_eq!(Token::parse(&newer, CLUSTER), Err(Error::UnknownVersion));
        let spaced = format!("{text}\n");
        for damaged in ["", "a", &text[..27], &text[1..], &format!("{text}A"), &spaced, "a\u{e9}"] {
            let parsed = Token::parse(damaged, CLUSTER);
            assert!(matches!(parsed, Err(Error::Damaged | Error::UnknownVersion)), "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn text_and_token_agree(token in any_token()) {
            let text = token.to_string();
            prop_assert_eq!(text.len(), 28);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(Token::parse(&text, token.cluster), Ok(token));
        }

        #[test]
        fn any_changed_missing_or_doubled_letter_is_refused(
            token in any_token(), at in 0usize..28, to in "[ -~]"
        ) {
            let text = token.to_string();
            let (left, right) = text.split_at(at);
            let changed = format!("{left}{to}{}", &right[1..]);
            if changed != text {
                prop_assert!(Token::parse(&changed, token.cluster).is_err());
            }
            for other in [format!("{left}{}", &right[1..]), format!("{left}{to}{right}")] {
                prop_assert!(Token::parse(&other, token.cluster).is_err(), "{}", other);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            prop_assert!(Token::parse(&text, CLUSTER).is_err());
        }
    }
}
