//! Both sides' way through the handshake.
//!
//! ```text
//! connector                                   listener
//!   hello_c, proof(knock)            ──▶        closes without a word if the proof does not hold
//!   checks, closes on any fault      ◀──        hello_l, proof(listener)
//!   proof(connector)                 ──▶        checks, closes on any fault
//! ```

use std::io;

use ring::rand::SecureRandom;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::hello::{Hello, MAGIC, NONCE_LEN, PROOF_LEN, Step, Transcript, VERSIONS, Versions};
use super::{Error, HANDSHAKE_BYTES_MAX, Identity, PeerRole};
use crate::config::Secret;

/// A peer's hello, checked, and the version to speak.
pub(super) type Met = (Hello, u16);

/// The side that connected, proving `secret`. `binding` is the TLS session's key material, empty
/// without TLS.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    me: &Identity,
    secret: &Secret,
    wanted: PeerRole,
    peer: &str,
    binding: Vec<u8>,
) -> Result<Met, Error> {
    let connector = own_hello(me, VERSIONS)?.encode();
    let mut transcript = Transcript { binding, connector, listener: Vec::new() };
    let knock = transcript.prove(secret, Step::Knock);
    write(stream, &[&transcript.connector, &knock], peer).await?;

    let answer = read(stream, peer).await?;
    let (theirs, proof) = split(&answer, peer)?;
    theirs.clone_into(&mut transcript.listener);
    let hello = check_hello(theirs, me, peer)?;
    if !transcript.holds(secret, Step::Listener, proof) {
        return Err(Error::BadProof { peer: peer.to_owned() });
    }
    let version = check_version(&hello, peer)?;
    if hello.role != wanted {
        return Err(Error::Role { peer: peer.to_owned(), wanted, found: hello.role });
    }
    let proof = transcript.prove(secret, Step::Connector);
    write(stream, &[&proof], peer).await?;
    Ok((hello, version))
}

/// The side that was connected to. `secrets`: whichever the peer proves, of them, is proven back.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    me: &Identity,
    secrets: &[Secret],
    peer: &str,
    binding: Vec<u8>,
) -> Result<Met, Error> {
    let knock = read(stream, peer).await?;
    let (theirs, proof) = split(&knock, peer)?;
    let connector = theirs.to_owned();
    let hello = check_hello(theirs, me, peer)?;
    let mut transcript = Transcript { binding, connector, listener: Vec::new() };
    let known = secrets.iter().find(|secret| transcript.holds(secret, Step::Knock, proof));
    let secret = known.ok_or_else(|| Error::BadProof { peer: peer.to_owned() })?;
    transcript.listener = own_hello(me, VERSIONS)?.encode();
    let proof = transcript.prove(secret, Step::Listener);
    write(stream, &[&transcript.listener, &proof], peer).await?;
    // Only now, so that the peer learns of our versions and can name the fault too.
    let version = check_version(&hello, peer)?;
    let proof = read(stream, peer).await?;
    if !transcript.holds(secret, Step::Connector, &proof) {
        return Err(Error::BadProof { peer: peer.to_owned() });
    }
    Ok((hello, version))
}

pub(super) fn own_hello(me: &Identity, versions: Versions) -> Result<Hello, Error> {
    let mut nonce = [0; NONCE_LEN];
    ring::rand::SystemRandom::new().fill(&mut nonce).map_err(|_| Error::Random)?;
    let (cluster, name) = (me.cluster.clone(), me.name.clone());
    Ok(Hello { versions, role: me.role, nonce, cluster, name })
}

fn check_hello(bytes: &[u8], me: &Identity, peer: &str) -> Result<Hello, Error> {
    let hello = Hello::decode(bytes).ok_or_else(|| Error::Garbage { peer: peer.to_owned() })?;
    if hello.cluster != me.cluster {
        return Err(Error::ForeignCluster { peer: peer.to_owned() });
    }
    Ok(hello)
}

fn check_version(hello: &Hello, peer: &str) -> Result<u16, Error> {
    let (ours, theirs) = (VERSIONS, hello.versions);
    let refused = || Error::Version { peer: peer.to_owned(), ours, theirs };
    ours.common(theirs).ok_or_else(refused)
}

/// A message that carries a hello has its proof at the end.
fn split<'a>(message: &'a [u8], peer: &str) -> Result<(&'a [u8], &'a [u8]), Error> {
    let at = message.len().checked_sub(PROOF_LEN);
    at.and_then(|at| message.split_at_checked(at))
        .ok_or_else(|| Error::Garbage { peer: peer.to_owned() })
}

pub(super) async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    parts: &[&[u8]],
    peer: &str,
) -> Result<(), Error> {
    let body = parts.concat();
    let len = u16::try_from(body.len()).expect("a hello and a proof have a few hundred bytes");
    let message = [&len.to_le_bytes()[..], &body].concat();
    let written = async {
        stream.write_all(&message).await?;
        stream.flush().await
    };
    written.await.map_err(|source| Error::Refused { peer: peer.to_owned(), source })
}

/// One handshake message. Its length is bounded, and of the first one also its first bytes are
/// looked at before more is read: whoever speaks another protocol is let go at once.
pub(super) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    peer: &str,
) -> Result<Vec<u8>, Error> {
    let refused = |source: io::Error| Error::Refused { peer: peer.to_owned(), source };
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.map_err(refused)?;
    let len = usize::from(u16::from_le_bytes(head));
    if !(PROOF_LEN..=HANDSHAKE_BYTES_MAX).contains(&len) {
        return Err(Error::Garbage { peer: peer.to_owned() });
    }
    let mut message = vec![0; len];
    if len > PROOF_LEN {
        let (magic, rest) = message.split_at_mut(MAGIC.len());
        stream.read_exact(magic).await.map_err(refused)?;
        if *magic != MAGIC {
            return Err(Error::Garbage { peer: peer.to_owned() });
        }
        stream.read_exact(rest).await.map_err(refused)?;
    } else {
        stream.read_exact(&mut message).await.map_err(refused)?;
    }
    Ok(message)
}
