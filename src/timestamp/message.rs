//! Bytes of the timestamp messages [pure]. Layout: `schemas/wire.md`.

use wal::Timestamp;

use super::client_core::Life;

pub(super) const WELCOME: u8 = 1;
pub(super) const TICK: u8 = 2;
pub(super) const TICKED: u8 = 3;
pub(super) const REFUSED: u8 = 4;

/// Longest message of this part, kind included.
pub(super) const BYTES_MAX: usize = 64;

/// A client asks for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Chosen by the client, comes back with the answer.
    pub request: u64,
    pub above: Option<Timestamp>,
    pub count: u32,
}

/// Why a server gives none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// The disk refused.
    #[error("cannot make its limit durable; its log says why")]
    NotDurable = 1,
    /// All 2^56 counters are used.
    #[error("has used up its counter")]
    Exhausted = 2,
    /// Raised beyond reason.
    #[error("was asked for a timestamp that no server can have reached")]
    TooFar = 3,
    /// Zero or too many.
    #[error("was asked for no timestamps, or too many at once")]
    BadCount = 4,
}

impl Refusal {
    fn from_byte(byte: u8) -> Option<Refusal> {
        [Refusal::NotDurable, Refusal::Exhausted, Refusal::TooFar, Refusal::BadCount]
            .into_iter()
            .find(|refusal| *refusal as u8 == byte)
    }
}

/// A server's answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub request: u64,
    /// Last value of the run.
    pub result: Result<Timestamp, Refusal>,
}

pub(super) fn encode_welcome((id, instance): Life) -> [u8; 17] {
    let mut bytes = [0; 17];
    bytes[0] = id;
    bytes[1..].copy_from_slice(&instance);
    bytes
}

pub(crate) fn decode_welcome(kind: u8, body: &[u8]) -> Option<Life> {
    let (id, instance) = body.split_first()?;
    (kind == WELCOME).then_some((*id, instance.try_into().ok()?))
}

impl Tick {
    pub fn encode(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.request.to_le_bytes());
        let above = self.above.map_or(0, Timestamp::bits);
        bytes[8..16].copy_from_slice(&above.to_le_bytes());
        bytes[16..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    pub fn decode(kind: u8, body: &[u8]) -> Option<Tick> {
        let (request, rest) = body.split_first_chunk()?;
        let (above, count) = rest.split_first_chunk()?;
        let above = Timestamp::from_bits(u64::from_le_bytes(*above));
        let count = u32::from_le_bytes(count.try_into().ok()?);
        (kind == TICK).then_some(Tick { request: u64::from_le_bytes(*request), above, count })
    }
}

impl Answer {
    /// Kind and body.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut bytes = self.request.to_le_bytes().to_vec();
        match self.result {
            Ok(last) => {
                bytes.extend_from_slice(&last.bits().to_le_bytes());
                (TICKED, bytes)
            }
            Err(refusal) => {
                bytes.push(refusal as u8);
                (REFUSED, bytes)
            }
        }
    }

    pub fn decode(kind: u8, body: &[u8]) -> Option<Answer> {
        let (request, rest) = body.split_first_chunk()?;
        let request = u64::from_le_bytes(*request);
        let result = match kind {
            TICKED => Ok(Timestamp::from_bits(u64::from_le_bytes(rest.try_into().ok()?))?),
            REFUSED => match rest {
                [byte] => Err(Refusal::from_byte(*byte)?),
                _ => return None,
            },
            _ => return None,
        };
        Some(Answer { request, result })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(request: u64, bits: u64, count: u32) {
            let above = Timestamp::from_bits(bits);
            let tick = Tick { request, above, count };
            prop_assert_eq!(Tick::decode(TICK, &tick.encode()), Some(tick));
            for result in above.map(Ok).into_iter().chain([Err(Refusal::NotDurable)]) {
                let answer = Answer { request, result };
                let (kind, body) = answer.encode();
                prop_assert_eq!(Answer::decode(kind, &body), Some(answer));
            }
        }

        #[test]
        fn no_bytes_panic(kind in 0u8..6, body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Tick::decode(kind, &body), Answer::decode(kind, &body));
            let _ = decode_welcome(kind, &body);
        }
    }

    #[test]
    fn a_welcome_has_one_length() {
        let bytes = encode_welcome((7, [9; 16]));
        assert_eq!(decode_welcome(WELCOME, &bytes), Some((7, [9; 16])));
        assert_eq!(decode_welcome(TICK, &bytes), None);
        assert_eq!(decode_welcome(WELCOME, &bytes[..16]), None);
    }
}
