//! Bytes that nobody meant as a frame: refused, without panic and in bounded memory.

use bytes::Bytes;
use proptest::prelude::*;
use wal::{Body, Frame, FrameHeader};

use crate::refuse::crc32;
use crate::support::*;

fn sound() -> Vec<u8> {
    let folder = Folder::fast();
    let log = folder.create();
    let mut bodies = vec![Body::EpochStart(epoch_start("s1"))];
    bodies.extend((1..20).map(|number| Body::Transaction(transaction(number, 60))));
    bodies.push(Body::Heartbeat { closed: timestamp(4) });
    bodies.push(Body::ChunkEnd(transaction(30, 5)));
    next_frame(&log, epoch(1), &bodies).bytes().to_vec()
}

/// Makes both checksums right again, as a liar would.
fn sign(bytes: &mut [u8]) {
    let body = crc32(&bytes[60..]);
    bytes[52..56].copy_from_slice(&body.to_le_bytes());
    let header = crc32(&bytes[..56]);
    bytes[56..60].copy_from_slice(&header.to_le_bytes());
}

fn try_all(bytes: Vec<u8>) {
    let length = bytes.len() as u64;
    if let Ok(frame) = Frame::decode(Bytes::from(bytes)) {
        assert!(
            u64::from(frame.header().raw_len) <= length * 255 + 64,
            "allocates more than LZ4 can"
        );
        if let Ok(records) = frame.records() {
            assert_eq!(records.len() as u32, frame.header().record_count);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn mutated_and_signed(changes in prop::collection::vec((0usize..4000, any::<u8>()), 1..8)) {
        let mut bytes = sound();
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at % length] = value;
        }
        try_all(bytes.clone());
        sign(&mut bytes);
        try_all(bytes);
    }

    #[test]
    fn lengths_that_lie(raw in any::<u32>(), count in any::<u32>(), codec in 0u8..3) {
        let mut bytes = sound();
        bytes[2] = codec;
        bytes[16..20].copy_from_slice(&count.to_le_bytes());
        bytes[36..40].copy_from_slice(&raw.to_le_bytes());
        sign(&mut bytes);
        try_all(bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = FrameHeader::decode(&bytes);
        try_all(bytes);
    }

    /// Stored uncompressed with a right chain: the records' own decoder gets to see the mutation.
    #[test]
    fn mutated_records(changes in prop::collection::vec((0usize..4000, any::<u8>()), 1..4)) {
        let whole = Frame::decode(Bytes::from(sound())).unwrap();
        let mut raw = expand(&whole);
        let length = raw.len();
        for (at, value) in changes {
            raw[at % length] = value;
        }
        let mut bytes = whole.bytes()[..60].to_vec();
        bytes[2] = 0;
        bytes[40..44].copy_from_slice(&(length as u32).to_le_bytes());
        let mut chained = whole.header().prev_chain.to_le_bytes().to_vec();
        chained.extend_from_slice(&whole.header().epoch.get().to_le_bytes());
        chained.extend_from_slice(&whole.header().first_lsn.get().to_le_bytes());
        chained.extend_from_slice(&raw);
        bytes[48..52].copy_from_slice(&crc32(&chained).to_le_bytes());
        bytes.extend_from_slice(&raw);
        sign(&mut bytes);
        let _ = Frame::decode(Bytes::from(bytes)).unwrap().records();
    }
}

fn expand(frame: &Frame) -> Vec<u8> {
    let body = &frame.bytes()[60..];
    lz4_flex::block::decompress(body, frame.header().raw_len as usize).unwrap()
}
