//! The semi-sync ACK: what releases the master's COMMIT.

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use wal::BinlogPosition;

use super::Error;
use super::login::WriteHalf;
use super::packets::frame;

/// Mark of every packet of semi-sync.
pub const SEMI_SYNC_MARK: u8 = 0xef;
const DURING: &str = "acknowledging";

/// Sends ACKs on a tail's connection, from another task. The connection ends when both are dropped.
pub struct AckSender {
    writer: WriteHalf,
    /// What was not written yet: a cancelled ACK is completed by the next one.
    pending: BytesMut,
}

impl std::fmt::Debug for AckSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AckSender").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl AckSender {
    pub(super) fn new(writer: WriteHalf) -> AckSender {
        AckSender { writer, pending: BytesMut::new() }
    }

    /// Tells the master that everything up to `position` is safe: every COMMIT that waits at or before
    /// it returns (I3). Cancel-safe: the next call goes on where this one was.
    ///
    /// # Errors
    /// [`Error::Io`]: the connection is lost, and the ACK may or may not have come through.
    pub async fn acknowledge(&mut self, position: &BinlogPosition) -> Result<(), Error> {
        let mut payload = Vec::with_capacity(9 + position.file.len());
        payload.push(SEMI_SYNC_MARK);
        payload.extend_from_slice(&position.offset.to_le_bytes());
        payload.extend_from_slice(position.file.as_bytes());
        frame(&mut self.pending, 0, &payload)?;
        let fail = |source| Error::Io { during: DURING, source };
        while self.pending.has_remaining() {
            if self.writer.write_buf(&mut self.pending).await.map_err(fail)? == 0 {
                return Err(Error::Closed { during: DURING });
            }
        }
        self.writer.flush().await.map_err(fail)
    }
}
