//! What the other end of a connection sends: a server before and beside its binlog, and the
//! processes of the cluster.

use std::fmt::Debug;
use std::future::Future;
use std::io::Cursor;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::tail::login::{Greeting, switch};
use crate::tail::packets::{PacketBuffer, refused};
use crate::tail::stream::dumped;
use crate::timestamp::message as timestamp;
use crate::wire::hello::Hello;
use crate::wire::{Message, Receiver};
use crate::{log, report, ship, verify};

/// The largest packet taken here.
const PACKET_MAX: usize = 1 << 16;

/// What a server sends over a replication connection: packets, cut as they are received.
pub fn packet(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let mut buffer = PacketBuffer::new(PACKET_MAX);
    let mut taken = 0;
    for piece in bytes.chunks(usize::from(cut).max(1)) {
        buffer.room().extend_from_slice(piece);
        loop {
            match buffer.next() {
                Ok(Some(packet)) => {
                    taken += packet.len();
                    read_packet(&packet);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    assert!(taken <= bytes.len());
}

fn read_packet(packet: &[u8]) {
    let _ = refused(packet, "fuzzing").map(|error| (error.code(), error.to_string()));
    let _ = Greeting::decode(packet);
    let _ = switch(packet);
    for semi_sync in [false, true] {
        if let Ok((event, _)) = dumped(packet, semi_sync) {
            assert!(event.len() < packet.len());
        }
    }
}

/// What a process of the cluster sends: a hello, then messages.
pub fn message(bytes: &[u8]) {
    let _ = Hello::decode(bytes).map(|hello| {
        assert_eq!(Hello::decode(&hello.encode()).as_ref(), Some(&hello));
    });
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let mut receiver = Receiver::new(reader, "fuzzing".to_owned());
    while let Some(Ok(Some(message))) = at_once(receiver.next()) {
        read_message(&message);
    }
    // Once more as if its length was right.
    if let Some((kind, body)) = bytes.get(4..).and_then(<[u8]>::split_first) {
        read_message(&Message { kind: *kind, body: Bytes::copy_from_slice(body) });
    }
}

/// A future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

fn read_message(message: &Message) {
    use ship::message::kind;

    let Message { kind: which, body } = message;
    match *which {
        kind::PROMISE | kind::ATTACH => json::<ship::message::Ask>(message),
        kind::PROMISED | kind::ATTACHED => json::<ship::message::Standing>(message),
        kind::REFUSED => json::<log::Refusal>(message),
        kind::FETCH => json::<ship::message::Fetch>(message),
        kind::FRAME => super::frame(body),
        kind::APPEND => append(body),
        kind::REPORT => {
            if let Ok(report) = ship::message::Report::decode(body.clone()) {
                assert_eq!(report.encode(), body[..]);
            }
        }
        report::REQUEST => json::<report::Request>(message),
        report::ANSWER => json::<report::Answer>(message),
        report::VIEW => json::<report::View>(message),
        report::REPORT => json::<report::Report>(message),
        _ => {
            let _ = timestamp::decode_welcome(*which, body);
            if let Some(tick) = timestamp::Tick::decode(*which, body) {
                assert_eq!(tick.encode(), body[..]);
            }
            if let Some(answer) = timestamp::Answer::decode(*which, body) {
                assert_eq!(answer.encode(), (*which, body.to_vec()));
            }
            // Over HTTP, and so without a kind.
            let _ = message.json::<verify::Request>();
            let _ = message.json::<verify::Refusal>();
        }
    }
}

fn append(body: &Bytes) {
    let Ok((head, frames)) = ship::message::decode_append(body.clone()) else { return };
    let frames_len: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
    assert_eq!(ship::message::AppendHead::LEN + frames_len, body.len());
    assert_eq!(head.encode(), body[..ship::message::AppendHead::LEN]);
    for frame in frames {
        let _ = frame.records();
    }
}

/// What was read comes back from what it is written as.
fn json<T: DeserializeOwned + Serialize + PartialEq + Debug>(message: &Message) {
    if let Ok(value) = message.json::<T>() {
        let body = Bytes::from(serde_json::to_vec(&value).expect("it came from JSON"));
        let again = Message { kind: message.kind, body }.json::<T>();
        assert_eq!(again.expect("it was written as JSON"), value);
    }
}
