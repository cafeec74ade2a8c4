//! Against a scripted server: what no real one does on demand.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wal::BinlogPosition;

use super::packets::frame;
use super::*;
use crate::binlog::{self, EventFlags, EventHeader, EventKind};
use crate::cluster::ErrorClass;
use crate::config::{Secret, ServerConfig, TlsMode};

const CORPUS: &[u8] = include_bytes!("../../tests/corpus/binlog/mysql-9.7.bin");

/// A server's end of one connection.
struct Scripted {
    stream: TcpStream,
}

impl Scripted {
    async fn read(&mut self) -> Vec<u8> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).await.unwrap();
        let len = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
        let mut packet = vec![0; len];
        self.stream.read_exact(&mut packet).await.unwrap();
        packet
    }

    async fn write(&mut self, payload: &[u8]) {
        let mut bytes = BytesMut::new();
        frame(&mut bytes, 0, payload).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn greet(&mut self, plugin: &str) {
        let mut greeting = vec![10];
        greeting.extend_from_slice(b"9.7.4-scripted\0\x01\0\0\0aaaaaaaa\0");
        greeting.extend_from_slice(&[0xff, 0xf7, 45, 2, 0, 0xff, 0xdf, 21]);
        greeting.extend_from_slice(&[0; 10]);
        greeting.extend_from_slice(b"bbbbbbbbbbbb\0");
        greeting.extend_from_slice(plugin.as_bytes());
        greeting.push(0);
        self.write(&greeting).await;
        self.read().await;
    }

    /// Greets, takes any password, answers OK until the dump is asked for.
    async fn log_in(&mut self) {
        self.greet("mysql_native_password").await;
        self.write(&[0, 0, 0, 2, 0, 0, 0]).await;
        while self.read().await[0] != 0x12 {
            self.write(&[0, 0, 0, 2, 0, 0, 0]).await;
        }
    }

    async fn event(&mut self, raw: &[u8], wants_ack: bool) {
        let packet = [&[0, 0xef, u8::from(wants_ack)], raw].concat();
        self.write(&packet).await;
    }
}

fn rotate() -> Vec<u8> {
    let body = [&4_u64.to_le_bytes()[..], b"bin.000002"].concat();
    let header = EventHeader {
        timestamp: 0,
        kind: EventKind::ROTATE,
        server_id: 1,
        event_len: (EventHeader::LEN + body.len() + 4) as u32,
        log_pos: 0,
        flags: EventFlags::ARTIFICIAL,
    };
    let mut raw = [&header.encode()[..], &body].concat();
    let crc = crc32fast::hash(&raw);
    raw.extend_from_slice(&crc.to_le_bytes());
    raw
}

fn events() -> Vec<bytes::Bytes> {
    let bytes = bytes::Bytes::from_static(&CORPUS[4..]);
    binlog::events(&bytes).map(|event| event.unwrap().raw).collect()
}

/// A tail whose server stands behind the format description.
async fn connected() -> (Tail, AckSender, Scripted) {
    let (options, listener) = listening().await;
    let script = async {
        let mut server = Scripted { stream: listener.accept().await.unwrap().0 };
        server.log_in().await;
        server.event(&rotate(), false).await;
        server.event(&events()[0], false).await;
        server
    };
    let (connected, server) = tokio::join!(Tail::connect(options), script);
    let (tail, acks) = connected.unwrap();
    (tail, acks, server)
}

async fn listening() -> (TailOptions, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = ServerConfig {
        host: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
        fallback_port: None,
        user: "plimsoll".into(),
        password: Secret::new("secret"),
        tls: TlsMode::Disabled,
    };
    let start = StartAt::Position(BinlogPosition::new("bin.000002", 4));
    let mut options = TailOptions::new(server, 7, "00000000-0000-0000-0000-000000000007", start);
    options.silence = Duration::from_millis(300);
    (options, listener)
}

#[tokio::test]
async fn next_may_be_cancelled_at_any_byte() {
    let (mut tail, _acks, mut server) = connected().await;
    assert_eq!(tail.server_version(), "9.7.4-scripted");
    assert_eq!(tail.format_description(), &events()[0]);
    let mut wire = BytesMut::new();
    for raw in &events()[1..8] {
        frame(&mut wire, 0, &[&[0, 0xef, 0], &raw[..]].concat()).unwrap();
    }
    let mut seen = Vec::new();
    for piece in wire.chunks(7) {
        server.stream.write_all(piece).await.unwrap();
        // Dropped as soon as it would wait.
        while let Ok(next) = tokio::time::timeout(Duration::from_micros(50), tail.next()).await {
            seen.push(next.unwrap());
        }
    }
    if seen.is_empty() {
        seen.push(tail.next().await.unwrap());
    }
    let Tailed::Transaction(first, false) = &seen[0] else { panic!("{seen:?}") };
    assert_eq!(first.events, events()[2..8].concat());
    assert_eq!(tail.try_next().unwrap(), None);
}

#[tokio::test]
async fn what_waits_is_taken_without_waiting() {
    let (mut tail, _acks, mut server) = connected().await;
    assert_eq!(tail.try_next().unwrap(), None);
    for raw in &events()[1..20] {
        server.event(raw, true).await;
    }
    let Tailed::Transaction(first, true) = tail.next().await.unwrap() else { panic!() };
    let mut last = first.end;
    let mut count = 1;
    while count < 3 {
        // `None` until the runtime has looked at the socket again.
        let Some(next) = tail.try_next().unwrap() else {
            tokio::task::yield_now().await;
            continue;
        };
        let Tailed::Transaction(transaction, true) = next else { panic!("{next:?}") };
        assert_eq!(transaction.start, last);
        last = transaction.end;
        count += 1;
    }
    assert_eq!(tail.try_next().unwrap(), None);
}

#[tokio::test]
async fn silence_is_an_error_also_for_who_calls_again_and_again() {
    let (mut tail, _acks, _server) = connected().await;
    let error = loop {
        match tokio::time::timeout(Duration::from_millis(20), tail.next()).await {
            Ok(next) => break next.unwrap_err(),
            Err(_) => continue,
        }
    };
    assert!(matches!(error, Error::Silent { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Reconnect);
}

#[tokio::test]
async fn the_ack_names_file_and_offset() {
    let (_tail, mut acks, mut server) = connected().await;
    acks.acknowledge(&BinlogPosition::new("bin.000002", 5 << 32 | 7)).await.unwrap();
    let expected = [&[0xef, 7, 0, 0, 0, 5, 0, 0, 0][..], b"bin.000002"].concat();
    assert_eq!(server.read().await, expected);
}

#[tokio::test]
async fn ends_of_the_stream_are_told_apart() {
    let refusal =
        b"\xff\xd4\x04#HY000Client requested source to start replication from position > file size";
    type Expected = fn(&Error) -> bool;
    let cases: [(&[u8], Expected); 5] = [
        (refusal, |error| error.refusal() == Some(DumpRefusal::BeyondEnd)),
        (&[0xfe, 0, 0, 2, 0], |error| matches!(error, Error::DumpEnded)),
        (&[0, 1, 2, 3], |error| matches!(error, Error::SemiSyncOff)),
        (&[0, 0xef, 0, 1, 2, 3], |error| matches!(error, Error::Binlog(_))),
        (&[9, 9, 9], |error| matches!(error, Error::Protocol { .. })),
    ];
    for (packet, expected) in cases {
        let (mut tail, _acks, mut server) = connected().await;
        server.write(packet).await;
        let error = tail.next().await.unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
    let (mut tail, _acks, server) = connected().await;
    drop(server);
    assert_eq!(tail.next().await.unwrap_err().class(), ErrorClass::Reconnect);
}

#[tokio::test]
async fn a_packet_larger_than_any_transaction_is_refused_before_it_is_read() {
    let (mut options, listener) = listening().await;
    options.max_transaction_bytes = 4096;
    let script = async {
        let mut server = Scripted { stream: listener.accept().await.unwrap().0 };
        server.log_in().await;
        server.event(&rotate(), false).await;
        server.stream.write_all(&[0, 0, 0x80, 0]).await.unwrap();
        server
    };
    let (connected, _server) = tokio::join!(Tail::connect(options), script);
    assert!(matches!(connected, Err(Error::PacketTooLarge { .. })), "{connected:?}");
}

#[tokio::test]
async fn a_full_server_is_tried_on_its_other_port() {
    let (mut options, main) = listening().await;
    let (other, fallback) = listening().await;
    options.server.fallback_port = Some(other.server.port);
    let script = async {
        let mut full = Scripted { stream: main.accept().await.unwrap().0 };
        full.write(b"\xff\x10\x04Too many connections").await;
        let mut server = Scripted { stream: fallback.accept().await.unwrap().0 };
        server.log_in().await;
        server.event(&rotate(), false).await;
        server.event(&events()[0], false).await;
        server
    };
    let (connected, _server) = tokio::join!(Tail::connect(options), script);
    connected.unwrap();
}

#[tokio::test]
async fn a_password_never_goes_out_in_clear() {
    for plugin in ["mysql_clear_password", "mysql_old_password", "dialog"] {
        let (options, listener) = listening().await;
        let script = async {
            let mut server = Scripted { stream: listener.accept().await.unwrap().0 };
            server.greet("mysql_native_password").await;
            server.write(&[&[0xfe], plugin.as_bytes(), &[0], &[7; 20], &[0]].concat()).await;
            server.stream.read(&mut [0; 64]).await.unwrap_or(0)
        };
        let (connected, sent) = tokio::join!(Tail::connect(options), script);
        let error = connected.unwrap_err();
        assert!(matches!(error, Error::ClearPassword { .. } | Error::Plugin { .. }), "{error:?}");
        assert_eq!((sent, error.class()), (0, ErrorClass::Fatal));
    }
}

#[tokio::test]
async fn hostile_greetings_are_refused() {
    let whole = b"\x0a9.7\0\x01\0\0\0aaaaaaaa\0\xff\xf7\x2d\x02\0\xff\xdf\x80bbbbbbbbbb".to_vec();
    for end in 0..whole.len() {
        let (options, listener) = listening().await;
        let script = async {
            let mut server = Scripted { stream: listener.accept().await.unwrap().0 };
            server.write(&whole[..end]).await;
        };
        let (connected, ()) = tokio::join!(Tail::connect(options), script);
        assert_eq!(connected.unwrap_err().class(), ErrorClass::Reconnect);
    }
}
