//! Packets of the client protocol: cut from what was received, and framed to be sent.

use bytes::{Buf, BufMut, BytesMut};

use super::Error;

/// A frame of this length is followed by another of the same packet.
pub const MAX_FRAME: usize = 0xff_ffff;
const HEAD: usize = 4;
/// Room for one read: large reads cost fewer system calls, and the buffer is reused.
const READ_BYTES: usize = 256 << 10;

/// Received bytes, cut into whole packets. Frames of 16 MiB are joined.
#[derive(Debug)]
pub struct PacketBuffer {
    received: BytesMut,
    joined: Option<BytesMut>,
    /// Largest packet.
    limit: usize,
    /// Sequence number of the next packet of this exchange.
    pub sequence: u8,
}

impl PacketBuffer {
    /// For packets of up to `limit` bytes.
    pub fn new(limit: usize) -> PacketBuffer {
        let received = BytesMut::with_capacity(READ_BYTES);
        PacketBuffer { received, joined: None, limit, sequence: 0 }
    }

    /// Another largest packet, for what follows the login.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where to read into: room for the rest of the frame under way, and for much more if there is.
    pub fn room(&mut self) -> &mut BytesMut {
        let frame = self.frame_len().unwrap_or(0);
        let missing = (HEAD + frame).saturating_sub(self.received.len());
        let free = self.received.capacity() - self.received.len();
        if free < missing || free < READ_BYTES / 4 {
            self.received.reserve(missing.max(READ_BYTES));
        }
        &mut self.received
    }

    fn frame_len(&self) -> Option<usize> {
        let head = self.received.get(..HEAD)?;
        Some(usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16)
    }

    /// The next whole packet; `None` until it was received.
    ///
    /// # Errors
    /// [`Error::PacketTooLarge`], before the memory for it is taken.
    pub fn next(&mut self) -> Result<Option<BytesMut>, Error> {
        while let Some(len) = self.frame_len() {
            let before = self.joined.as_ref().map_or(0, BytesMut::len);
            if before + len > self.limit {
                return Err(Error::PacketTooLarge { limit: self.limit });
            }
            if self.received.len() < HEAD + len {
                return Ok(None);
            }
            self.sequence = self.received[3].wrapping_add(1);
            self.received.advance(HEAD);
            let frame = self.received.split_to(len);
            match (self.joined.take(), len == MAX_FRAME) {
                (None, false) => return Ok(Some(frame)),
                (None, true) => self.joined = Some(frame),
                (Some(mut joined), more) => {
                    joined.extend_from_slice(&frame);
                    if !more {
                        return Ok(Some(joined));
                    }
                    self.joined = Some(joined);
                }
            }
        }
        Ok(None)
    }
}

/// Adds `payload` (less than 16 MiB) to `to` as one packet.
///
/// # Errors
/// [`Error::PacketTooLarge`].
pub fn frame(to: &mut BytesMut, sequence: u8, payload: &[u8]) -> Result<(), Error> {
    if payload.len() >= MAX_FRAME {
        return Err(Error::PacketTooLarge { limit: MAX_FRAME });
    }
    to.reserve(HEAD + payload.len());
    to.put_uint_le(payload.len() as u64, 3);
    to.put_u8(sequence);
    to.put_slice(payload);
    Ok(())
}

/// What an error packet says; `None` if it is none.
pub fn refused(packet: &[u8], during: &'static str) -> Option<Error> {
    let [0xff, low, high, rest @ ..] = packet else {
        return None;
    };
    let (state, message) = match rest {
        [b'#', rest @ ..] if rest.len() >= 5 => rest.split_at(5),
        _ => rest.split_at(0),
    };
    Some(Error::Server {
        during,
        code: u16::from_le_bytes([*low, *high]),
        state: String::from_utf8_lossy(state).into_owned(),
        message: String::from_utf8_lossy(message).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(buffer: &mut PacketBuffer, bytes: &[u8]) {
        buffer.room().extend_from_slice(bytes);
    }

    #[test]
    fn frames_of_16_mib_are_joined_and_bounded() {
        let mut wire = BytesMut::new();
        let whole: Vec<u8> = (0..MAX_FRAME * 2 + 5).map(|i| i as u8).collect();
        for (sequence, part) in whole.chunks(MAX_FRAME).enumerate() {
            wire.put_uint_le(part.len() as u64, 3);
            wire.put_u8(sequence as u8);
            wire.put_slice(part);
        }
        let mut buffer = PacketBuffer::new(whole.len());
        let mut packets = Vec::new();
        for piece in wire.chunks(1 << 20) {
            feed(&mut buffer, piece);
            packets.extend(buffer.next().unwrap());
        }
        assert!(packets.len() == 1 && packets[0][..] == whole[..]);
        let mut buffer = PacketBuffer::new(whole.len() - 1);
        let failed = wire.chunks(1 << 20).any(|piece| {
            feed(&mut buffer, piece);
            buffer.next().is_err()
        });
        assert!(failed);
    }

    #[test]
    fn a_packet_of_exactly_16_mib_ends_with_an_empty_frame() {
        let mut buffer = PacketBuffer::new(1 << 25);
        feed(&mut buffer, &[0xff, 0xff, 0xff, 0]);
        feed(&mut buffer, &vec![7; MAX_FRAME]);
        assert!(buffer.next().unwrap().is_none());
        feed(&mut buffer, &[0, 0, 0, 1]);
        assert_eq!(buffer.next().unwrap().unwrap().len(), MAX_FRAME);
        assert_eq!(buffer.sequence, 2);
    }

    #[test]
    fn error_packets_are_taken_apart() {
        let error = refused(b"\xff\xd4\x04#HY000Could not find first log file name", "test");
        assert_eq!(error.unwrap().refusal(), Some(crate::tail::DumpRefusal::FileMissing));
        assert!(refused(b"\xff\x10\x04Too many connections", "test").unwrap().is_full());
        assert!(refused(b"\x00\x00", "test").is_none());
        assert!(refused(b"\xff\x10", "test").is_none());
    }

    proptest! {
        #[test]
        fn packets_come_back_however_they_are_cut(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..9),
            cut in 1usize..70,
        ) {
            let mut wire = BytesMut::new();
            for (sequence, packet) in packets.iter().enumerate() {
                frame(&mut wire, sequence as u8, packet).unwrap();
            }
            let mut buffer = PacketBuffer::new(64);
            let mut received = Vec::new();
            for piece in wire.chunks(cut) {
                feed(&mut buffer, piece);
                while let Some(packet) = buffer.next().unwrap() {
                    received.push(packet.to_vec());
                }
            }
            prop_assert_eq!(received, packets);
        }
    }
}
