//! The bytes of the handshake [pure]: hellos, proofs, the choice of a version.

use std::fmt;

use ring::hmac;

use super::PeerRole;
use crate::cluster::MemberName;
use crate::config::Secret;

/// First bytes of every hello. Changes only if the hello's own layout does.
pub(super) const MAGIC: [u8; 4] = *b"PLM1";
pub(super) const NONCE_LEN: usize = 32;
pub(super) const PROOF_LEN: usize = 32;

/// What this build speaks.
pub const VERSIONS: Versions = Versions { least: 1, most: 1 };

/// A range of protocol versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Oldest.
    pub least: u16,
    /// Newest.
    pub most: u16,
}

impl Versions {
    /// The highest version in both ranges.
    pub fn common(self, other: Versions) -> Option<u16> {
        let most = self.most.min(other.most);
        (most >= self.least && most >= other.least).then_some(most)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.least, self.most)
    }
}

/// Who speaks, for which cluster, with which nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub versions: Versions,
    pub role: PeerRole,
    pub nonce: [u8; NONCE_LEN],
    pub cluster: String,
    pub name: String,
}

impl Hello {
    /// Layout: `schemas/wire.md`.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.cluster.len() + self.name.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.versions.least.to_le_bytes());
        bytes.extend_from_slice(&self.versions.most.to_le_bytes());
        bytes.push(self.role as u8);
        bytes.extend_from_slice(&self.nonce);
        for text in [&self.cluster, &self.name] {
            let len = u8::try_from(text.len()).expect("names have at most 63 bytes: Identity::new");
            bytes.push(len);
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// `None` for whatever is no hello. Bytes after the known fields are a later build's: they are
    /// under the proof, and ignored.
    pub fn decode(bytes: &[u8]) -> Option<Hello> {
        let mut rest = bytes;
        if take(&mut rest)? != MAGIC {
            return None;
        }
        let least = u16::from_le_bytes(take(&mut rest)?);
        let most = u16::from_le_bytes(take(&mut rest)?);
        let [role] = take(&mut rest)?;
        let nonce = take(&mut rest)?;
        let cluster = take_name(&mut rest)?;
        let name = take_name(&mut rest)?;
        let (versions, role) = (Versions { least, most }, PeerRole::from_byte(role)?);
        (least <= most).then_some(Hello { versions, role, nonce, cluster, name })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn take_name(rest: &mut &[u8]) -> Option<String> {
    let [len] = take(rest)?;
    let (text, tail) = rest.split_at_checked(usize::from(len))?;
    *rest = tail;
    let text = std::str::from_utf8(text).ok()?;
    MemberName::new(text).ok()?;
    Some(text.to_owned())
}

/// Which of the three proofs: one made for a step proves nothing in another, so an echo is worthless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The connector's first message, so that the listener answers no stranger.
    Knock,
    /// The listener's, over both hellos.
    Listener,
    /// The connector's, over both hellos.
    Connector,
}

impl Step {
    fn label(self) -> &'static [u8] {
        match self {
            Step::Knock => b"plimsoll wire 1 knock",
            Step::Listener => b"plimsoll wire 1 listener",
            Step::Connector => b"plimsoll wire 1 connector",
        }
    }
}

/// What a proof is over: both hellos as they were sent, and the TLS session's own key material.
#[derive(Debug, Clone, Default)]
pub(super) struct Transcript {
    /// Empty without TLS. With it, a proof cannot be carried over to another TLS session.
    pub binding: Vec<u8>,
    pub connector: Vec<u8>,
    /// Empty at [`Step::Knock`].
    pub listener: Vec<u8>,
}

impl Transcript {
    fn bytes(&self, step: Step) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [step.label(), &self.binding, &self.connector, &self.listener] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    pub fn prove(&self, secret: &Secret, step: Step) -> [u8; PROOF_LEN] {
        let tag = hmac::sign(&key(secret), &self.bytes(step));
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    /// In constant time.
    pub fn holds(&self, secret: &Secret, step: Step, proof: &[u8]) -> bool {
        hmac::verify(&key(secret), &self.bytes(step), proof).is_ok()
    }
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        let (cluster, name) = ("orders".to_owned(), "s1".to_owned());
        Hello { versions: VERSIONS, role: PeerRole::Member, nonce: [7; 32], cluster, name }
    }

    #[test]
    fn versions_choose_the_highest_common() {
        let range = |least, most| Versions { least, most };
        assert_eq!(range(1, 1).common(range(1, 1)), Some(1));
        assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
        assert_eq!(range(2, 5).common(range(1, 3)), Some(3));
        assert_eq!(range(1, 2).common(range(3, 4)), None);
        assert_eq!(range(3, 4).common(range(1, 2)), None);
    }

    #[test]
    fn a_hello_survives_the_wire_and_a_later_build_may_add_to_it() {
        let mut bytes = hello().encode();
        assert_eq!(Hello::decode(&bytes), Some(hello()));
        bytes.extend_from_slice(b"more");
        assert_eq!(Hello::decode(&bytes), Some(hello()));
    }

    #[test]
    fn a_proof_is_good_for_its_step_secret_and_session_only() {
        let secret = Secret::new("0123456789abcdef");
        let transcript = Transcript { connector: vec![1], listener: vec![2], binding: vec![] };
        let proof = transcript.prove(&secret, Step::Listener);
        assert!(transcript.holds(&secret, Step::Listener, &proof));
        assert!(!transcript.holds(&secret, Step::Connector, &proof));
        assert!(!transcript.holds(&Secret::new("other"), Step::Listener, &proof));
        let shifted = Transcript { connector: vec![1, 2], listener: vec![], binding: vec![] };
        assert!(!shifted.holds(&secret, Step::Listener, &proof));
        let bound = Transcript { binding: vec![9], ..transcript.clone() };
        assert!(!bound.holds(&secret, Step::Listener, &proof));
        assert!(!transcript.holds(&secret, Step::Listener, &proof[..31]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Hello::decode(&bytes);
        }

        #[test]
        fn no_damage_panics(at in 0usize..50, to in any::<u8>(), cut in 0usize..60) {
            let mut bytes = hello().encode();
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = Hello::decode(&bytes);
        }
    }
}
