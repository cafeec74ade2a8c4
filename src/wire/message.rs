//! Whole messages, one direction each.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Error, MESSAGE_BYTES_DEFAULT, SEND_DEADLINE};

/// The length field.
const LEN_BYTES: usize = 4;
/// Length and kind.
const HEAD_BYTES: usize = LEN_BYTES + 1;
/// Up to here a message is copied together: one small write is cheaper than a list of slices.
const COPY_MAX: usize = 16 << 10;
/// Free space made before a read. A longer message grows the buffer as its bytes arrive, never ahead
/// of them by more than this or by doubling.
const READ_BYTES: usize = 64 << 10;

/// A message as it came. What the kind and body mean is the parts' affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// 1 to 31 timestamp, 32 to 63 member, 64 to 95 coordinator.
    pub kind: u8,
    /// The rest.
    pub body: Bytes,
}

impl Message {
    /// The body of a JSON message.
    ///
    /// # Errors
    /// [`Error::Json`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let kind = self.kind;
        serde_json::from_slice(&self.body).map_err(|source| Error::Json { kind, source })
    }
}

/// The sending half. A send that fails or is cancelled half-way ends it ([`Error::Torn`]).
pub struct Sender {
    writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    peer: String,
    deadline: Duration,
    small: BytesMut,
    torn: bool,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Sender {
    pub(super) fn new(writer: Box<dyn AsyncWrite + Send + Sync + Unpin>, peer: String) -> Sender {
        let small = BytesMut::new();
        Sender { writer, peer, deadline: SEND_DEADLINE, small, torn: false }
    }

    /// Gives each message this long to go out, instead of [`SEND_DEADLINE`].
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Sender {
        self.deadline = deadline;
        self
    }

    /// Sends one message whose body is `parts` one after another, and flushes. When it returns the
    /// bytes are with the kernel: nothing is known of the peer.
    ///
    /// # Errors
    /// The connection is over ([`Error::Lost`], [`Error::Stuck`], [`Error::Torn`]); not so for
    /// [`Error::Unsendable`], of which nothing was sent.
    pub async fn send(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), Error> {
        if self.torn {
            return Err(Error::Torn { peer: self.peer.clone() });
        }
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        let len = u32::try_from(bytes).map_err(|_| Error::Unsendable { bytes })?;
        let mut head = [0; HEAD_BYTES];
        head[..LEN_BYTES].copy_from_slice(&len.to_le_bytes());
        head[LEN_BYTES] = kind;
        self.torn = true;
        let deadline = self.deadline;
        let writing = tokio::time::timeout(deadline, self.write(head, parts, bytes));
        match writing.await {
            Ok(Ok(())) => {
                self.torn = false;
                Ok(())
            }
            Ok(Err(source)) => Err(Error::Lost { peer: self.peer.clone(), source }),
            Err(_) => Err(Error::Stuck { peer: self.peer.clone(), deadline }),
        }
    }

    /// Sends one message whose body is `body` as JSON.
    ///
    /// # Errors
    /// Like [`Sender::send`]; [`Error::Json`] if the value has no JSON form.
    pub async fn send_json<T: Serialize>(&mut self, kind: u8, body: &T) -> Result<(), Error> {
        let body = serde_json::to_vec(body).map_err(|source| Error::Json { kind, source })?;
        self.send(kind, &[&body]).await
    }

    async fn write(
        &mut self,
        head: [u8; HEAD_BYTES],
        parts: &[&[u8]],
        bytes: usize,
    ) -> io::Result<()> {
        if bytes <= COPY_MAX {
            self.small.clear();
            self.small.extend_from_slice(&head);
            parts.iter().for_each(|part| self.small.extend_from_slice(part));
            self.writer.write_all(&self.small).await?;
        } else {
            let mut slices: Vec<IoSlice<'_>> = vec![IoSlice::new(&head)];
            slices.extend(parts.iter().map(|part| IoSlice::new(part)));
            let mut rest = slices.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match self.writer.write_vectored(rest).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => IoSlice::advance_slices(&mut rest, written),
                }
            }
        }
        self.writer.flush().await
    }
}

/// The receiving half.
pub struct Receiver {
    reader: Box<dyn AsyncRead + Send + Sync + Unpin>,
    peer: String,
    limit: usize,
    buffer: BytesMut,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Receiver {
    pub(crate) fn new(reader: Box<dyn AsyncRead + Send + Sync + Unpin>, peer: String) -> Receiver {
        Receiver { reader, peer, limit: MESSAGE_BYTES_DEFAULT, buffer: BytesMut::new() }
    }

    /// Takes messages (kind and body) of up to `bytes`, instead of [`MESSAGE_BYTES_DEFAULT`].
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Receiver {
        self.limit = bytes;
        self
    }

    /// The next message; `None` when the peer has ended the connection between messages.
    /// Cancel-safe: what has arrived of a message is kept.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            self.buffer.reserve(READ_BYTES);
            let read = self.reader.read_buf(&mut self.buffer).await;
            let read = read.map_err(|source| Error::Lost { peer: self.peer.clone(), source })?;
            if read == 0 {
                let truncated = || Error::Truncated { peer: self.peer.clone() };
                return if self.buffer.is_empty() { Ok(None) } else { Err(truncated()) };
            }
        }
    }

    /// Bytes received of the messages that [`Receiver::next`] has not given yet.
    pub fn received(&self) -> usize {
        self.buffer.len()
    }

    /// A whole message that is already in memory, without waiting; `None` if there is none yet.
    ///
    /// # Errors
    /// The peer broke the protocol.
    pub fn take(&mut self) -> Result<Option<Message>, Error> {
        let Some(len) = self.buffer.first_chunk::<LEN_BYTES>() else {
            return Ok(None);
        };
        let bytes = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        if bytes == 0 {
            return Err(Error::Empty { peer: self.peer.clone() });
        }
        if bytes > self.limit {
            return Err(Error::TooLarge { peer: self.peer.clone(), bytes, limit: self.limit });
        }
        if self.buffer.len() - LEN_BYTES < bytes {
            return Ok(None);
        }
        self.buffer.advance(LEN_BYTES);
        let mut body = self.buffer.split_to(bytes).freeze();
        let kind = body.get_u8();
        Ok(Some(Message { kind, body }))
    }
}
