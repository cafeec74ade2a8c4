use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::hello::{Hello, Step, Transcript};
use super::*;
use crate::config::{ClusterConfig, Secret, TlsFiles};

const DEADLINE: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(30);

fn cluster(name: &str, secret: &str, tls: Option<TlsFiles>) -> ClusterConfig {
    ClusterConfig { name: name.to_owned(), secrets: vec![Secret::new(secret)], tls }
}

fn member() -> Identity {
    let cluster = cluster("orders", "0123456789abcdef", None);
    Identity::new(&cluster, PeerRole::Member, "s1").unwrap()
}

fn coordinator() -> Identity {
    let cluster = cluster("orders", "0123456789abcdef", None);
    Identity::new(&cluster, PeerRole::Coordinator, "c1").unwrap()
}

fn tls(ca: &str, own: &str) -> TlsFiles {
    let file =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/testdata").join(name);
    TlsFiles {
        ca: file(&format!("{ca}.pem")),
        cert: file(&format!("{own}.pem")),
        key: file(&format!("{own}.key")),
    }
}

async fn listener(me: Identity) -> (Listener, String) {
    let listener = Listener::bind("127.0.0.1:0", me).await.unwrap();
    let address = listener.local_addr().to_string();
    (listener, address)
}

/// What both sides get when `connector` calls a listener that is `accepter`.
async fn meet(
    connector: Identity,
    accepter: Identity,
    wanted: PeerRole,
) -> (Result<Connection, Error>, Result<Connection, Error>) {
    let (listener, address) = listener(accepter).await;
    let accepting = async { listener.accept().await.unwrap().handshake().await };
    let connecting = connect(&address, &connector, wanted, DEADLINE);
    tokio::join!(connecting, accepting)
}

async fn pair() -> (Connection, Connection) {
    let (connector, accepter) = meet(member(), coordinator(), PeerRole::Coordinator).await;
    (connector.unwrap(), accepter.unwrap())
}

/// A stranger's connection to a fresh listener, and what the listener made of it.
async fn stranger(bytes: &[u8]) -> (TcpStream, Result<Connection, Error>) {
    let (listener, address) = listener(coordinator()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let incoming = listener.accept().await.unwrap();
    (stream, incoming.handshake().await)
}

#[tokio::test]
async fn peers_meet_and_talk_both_ways() {
    let (connector, accepter) = pair().await;
    assert_eq!((connector.peer().role, &*connector.peer().name), (PeerRole::Coordinator, "c1"));
    assert_eq!((accepter.peer().role, &*accepter.peer().name), (PeerRole::Member, "s1"));
    assert_eq!((connector.peer().version, accepter.peer().version), (1, 1));
    let (mut to, mut from) = connector.split();
    let (mut back, mut other) = accepter.split();
    to.send(33, &[b"a", b"", b"bc"]).await.unwrap();
    to.send(34, &[]).await.unwrap();
    back.send_json(64, &vec![1, 2]).await.unwrap();
    let message = other.next().await.unwrap().unwrap();
    assert_eq!((message.kind, &message.body[..]), (33, &b"abc"[..]));
    assert_eq!(other.next().await.unwrap().unwrap().body.len(), 0);
    let numbers: Vec<u32> = from.next().await.unwrap().unwrap().json().unwrap();
    assert_eq!(numbers, [1, 2]);
    drop(to);
    assert_eq!(other.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_large_message_goes_in_parts_and_arrives_whole() {
    let (connector, accepter) = pair().await;
    let (mut to, _from) = connector.split();
    let (_back, other) = accepter.split();
    let mut other = other.with_limit(64 << 20);
    let body: Vec<u8> = (0..20_000_000_u32).map(|at| (at / 7) as u8).collect();
    let (left, right) = body.split_at(9_999_999);
    let sending = async { to.send(40, &[left, &[], right]).await.unwrap() };
    let (_, message) = tokio::join!(sending, other.next());
    assert!(message.unwrap().unwrap().body == body);
}

#[tokio::test]
async fn receiving_may_be_cancelled_at_any_byte() {
    let (connector, accepter) = pair().await;
    let (mut to, _from) = connector.split();
    let (_back, mut other) = accepter.split();
    let sending = async move {
        for number in 0..2_000_u32 {
            to.send(50, &[&number.to_le_bytes(), &vec![7; (number % 97) as usize]]).await.unwrap();
        }
        to
    };
    let sending = tokio::spawn(sending);
    let mut next = 0_u32;
    while next < 2_000 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            message = other.next() => {
                let message = message.unwrap().unwrap();
                assert_eq!(message.body[..4], next.to_le_bytes());
                next += 1;
            }
        }
        if let Ok(message) = tokio::time::timeout(Duration::ZERO, other.next()).await {
            assert_eq!(message.unwrap().unwrap().body[..4], next.to_le_bytes());
            next += 1;
        }
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn who_has_another_secret_gets_nothing() {
    let other = cluster("orders", "another secret, long", None);
    let other = Identity::new(&other, PeerRole::Member, "s1").unwrap();
    let (connector, accepter) = meet(other, coordinator(), PeerRole::Coordinator).await;
    assert!(matches!(connector, Err(Error::Refused { .. })), "{connector:?}");
    assert!(matches!(accepter, Err(Error::BadProof { .. })), "{accepter:?}");
}

#[tokio::test]
async fn another_cluster_gets_nothing() {
    let other = cluster("invoices", "0123456789abcdef", None);
    let other = Identity::new(&other, PeerRole::Member, "s1").unwrap();
    let (connector, accepter) = meet(other, coordinator(), PeerRole::Coordinator).await;
    assert!(matches!(connector, Err(Error::Refused { .. })), "{connector:?}");
    assert!(matches!(accepter, Err(Error::ForeignCluster { .. })), "{accepter:?}");
}

#[tokio::test]
async fn another_role_is_named() {
    let (connector, _) = meet(member(), coordinator(), PeerRole::Timestamp).await;
    let error = connector.unwrap_err();
    assert!(matches!(error, Error::Role { found: PeerRole::Coordinator, .. }), "{error}");
}

#[tokio::test]
async fn garbage_is_let_go_at_once_and_sent_nothing() {
    let long = [&[255, 15][..], &[0; 5000]].concat();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[255; 5000], &long] {
        let start = std::time::Instant::now();
        let (mut stream, accepted) = stranger(bytes).await;
        assert!(matches!(accepted, Err(Error::Garbage { .. })), "{accepted:?}");
        assert!(start.elapsed() < HANDSHAKE_DEADLINE / 2);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
}

#[tokio::test]
async fn a_silent_peer_is_dropped_at_the_deadline() {
    for bytes in [&b""[..], &[60, 0, b'P', b'L']] {
        let (listener, address) = listener(coordinator()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let incoming = listener.accept().await.unwrap();
        let accepted = incoming.handshake_within(SHORT).await;
        assert!(matches!(accepted, Err(Error::Deadline { .. })), "{accepted:?}");
    }
}

#[tokio::test]
async fn a_silent_listener_is_left_at_the_deadline() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let connected = connect(&address, &member(), PeerRole::Coordinator, SHORT).await;
    assert!(matches!(connected, Err(Error::Deadline { .. })), "{connected:?}");
}

#[tokio::test]
async fn strangers_have_a_bounded_number_of_places() {
    let (listener, address) = listener(coordinator()).await;
    let mut streams = Vec::new();
    let mut incoming = Vec::new();
    for _ in 0..STRANGERS_MAX {
        streams.push(TcpStream::connect(&address).await.unwrap());
        incoming.push(listener.accept().await.unwrap());
    }
    streams.push(TcpStream::connect(&address).await.unwrap());
    let full = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(full.is_err(), "one too many was let in");
    incoming.pop();
    listener.accept().await.unwrap();
}

/// The peer sends back what it is sent: its hello is ours, its proof made for another step.
#[tokio::test]
async fn an_echo_proves_nothing() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let echo = async {
        let (mut stream, _) = socket.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    };
    let me = member();
    let connecting = connect(&address, &me, PeerRole::Member, DEADLINE);
    let (connected, ()) = tokio::join!(connecting, echo);
    assert!(matches!(connected, Err(Error::BadProof { .. })), "{connected:?}");
}

/// A recorded connector is of no use: the listener's nonce is fresh.
#[tokio::test]
async fn a_replay_proves_nothing() {
    let me = member();
    let own = handshake::own_hello(&me, VERSIONS).unwrap();
    let mut recorded = Transcript { connector: own.encode(), ..Transcript::default() };
    let knock = recorded.prove(&me.keys().secrets[0], Step::Knock);
    recorded.listener = b"an earlier hello".to_vec();
    let proof = recorded.prove(&me.keys().secrets[0], Step::Connector);
    let (listener, address) = listener(coordinator()).await;
    let replaying = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        handshake::write(&mut stream, &[&own.encode(), &knock], "l").await.unwrap();
        handshake::read(&mut stream, "l").await.unwrap();
        handshake::write(&mut stream, &[&proof], "l").await.unwrap();
    };
    let accepting = async { listener.accept().await.unwrap().handshake().await };
    let (accepted, ()) = tokio::join!(accepting, replaying);
    assert!(matches!(accepted, Err(Error::BadProof { .. })), "{accepted:?}");
}

#[tokio::test]
async fn both_sides_name_a_missing_common_version() {
    let me = member();
    let newer = Versions { least: 7, most: 9 };
    let hello: Hello = handshake::own_hello(&me, newer).unwrap();
    let transcript = Transcript { connector: hello.encode(), ..Transcript::default() };
    let knock = transcript.prove(&me.keys().secrets[0], Step::Knock);
    let (listener, address) = listener(coordinator()).await;
    let connecting = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        handshake::write(&mut stream, &[&hello.encode(), &knock], "l").await.unwrap();
        let answer = handshake::read(&mut stream, "l").await.unwrap();
        Hello::decode(&answer).unwrap().versions
    };
    let accepting = async { listener.accept().await.unwrap().handshake().await };
    let (accepted, theirs) = tokio::join!(accepting, connecting);
    assert!(matches!(accepted, Err(Error::Version { theirs, .. }) if theirs == newer));
    assert_eq!(theirs, VERSIONS);
}

#[tokio::test]
async fn an_oversized_message_ends_the_connection_without_being_read() {
    let (connector, accepter) = pair().await;
    let (mut to, _from) = connector.split();
    let (_back, other) = accepter.split();
    let mut other = other.with_limit(10);
    to.send(33, &[&[0; 9]]).await.unwrap();
    to.send(33, &[&[0; 10]]).await.unwrap();
    assert!(other.next().await.unwrap().is_some());
    let refused = other.next().await;
    assert!(matches!(refused, Err(Error::TooLarge { bytes: 11, limit: 10, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_message_cut_off_is_an_error() {
    let (reader, mut writer) = tokio::io::duplex(64);
    let mut receiver = Receiver::new(Box::new(reader), "p".to_owned());
    writer.write_all(&[5, 0, 0, 0, 33, 1]).await.unwrap();
    drop(writer);
    assert!(matches!(receiver.next().await, Err(Error::Truncated { .. })));
    let (reader, mut writer) = tokio::io::duplex(64);
    let mut receiver = Receiver::new(Box::new(reader), "p".to_owned());
    writer.write_all(&[0, 0, 0, 0]).await.unwrap();
    assert!(matches!(receiver.next().await, Err(Error::Empty { .. })));
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_no_sender() {
    let (writer, _reader) = tokio::io::duplex(64);
    let sender = Sender::new(Box::new(writer), "p".to_owned());
    let mut sender = sender.with_deadline(SHORT);
    assert!(matches!(sender.send(33, &[&[0; 100]]).await, Err(Error::Stuck { .. })));
    assert!(matches!(sender.send(33, &[]).await, Err(Error::Torn { .. })));
}

#[tokio::test]
async fn a_cancelled_send_ends_the_sender() {
    let (writer, _reader) = tokio::io::duplex(64);
    let mut sender = Sender::new(Box::new(writer), "p".to_owned());
    let sent = tokio::time::timeout(Duration::from_millis(1), sender.send(33, &[&[0; 100]])).await;
    assert!(sent.is_err());
    assert!(matches!(sender.send(33, &[]).await, Err(Error::Torn { .. })));
}

fn with_tls(role: PeerRole, ca: &str, own: &str) -> Identity {
    let cluster = cluster("orders", "0123456789abcdef", Some(tls(ca, own)));
    Identity::new(&cluster, role, "s1").unwrap()
}

#[tokio::test]
async fn tls_of_one_authority_meets_and_talks() {
    let connector = with_tls(PeerRole::Member, "ca", "member");
    let accepter = with_tls(PeerRole::Coordinator, "ca", "member");
    let (connector, accepter) = meet(connector, accepter, PeerRole::Coordinator).await;
    let (mut to, _from) = connector.unwrap().split();
    let (_back, other) = accepter.unwrap().split();
    let body = vec![3; 3_000_000];
    let mut other = other.with_limit(4 << 20);
    let sending = async { to.send(40, &[&body, &body[..9]]).await.unwrap() };
    let (_, message) = tokio::join!(sending, other.next());
    assert_eq!(message.unwrap().unwrap().body.len(), 3_000_009);
}

/// A runtime of one thread, which ends with the sender.
fn other_thread() -> (tokio::runtime::Handle, tokio::sync::oneshot::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let (end, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(runtime.block_on(ended)));
    (handle, end)
}

#[tokio::test]
async fn a_connection_goes_over_to_another_thread_unless_it_has_tls() {
    let (there, _end) = other_thread();
    let here = tokio::runtime::Handle::current();
    let tls = || with_tls(PeerRole::Coordinator, "ca", "member");
    for (connector, accepter, expected) in
        [(member(), coordinator(), there.id()), (tls(), tls(), here.id())]
    {
        let (connector, accepter) = meet(connector, accepter, PeerRole::Coordinator).await;
        let (accepter, runtime) = accepter.unwrap().hand_to(&there).unwrap();
        assert_eq!(runtime.id(), expected);
        let (mut to, _from) = connector.unwrap().split();
        let (_back, mut other) = accepter.split();
        let reading = runtime.spawn(async move { other.next().await.unwrap().unwrap() });
        to.send(40, &[b"over"]).await.unwrap();
        assert_eq!(&reading.await.unwrap().body[..], b"over");
    }
}

#[tokio::test]
async fn tls_of_another_authority_is_refused_by_either_side() {
    let good = || with_tls(PeerRole::Coordinator, "ca", "member");
    // A connector without the cluster's certificate that trusts anything would look like this.
    let thief = with_tls(PeerRole::Coordinator, "ca", "foreign");
    let (_, accepted) = meet(thief.clone(), good(), PeerRole::Coordinator).await;
    assert!(matches!(accepted, Err(Error::TlsHandshake { .. })), "{accepted:?}");
    let (connected, _) = meet(good(), thief, PeerRole::Coordinator).await;
    assert!(matches!(connected, Err(Error::TlsHandshake { .. })), "{connected:?}");
}

#[tokio::test]
async fn tls_and_plain_do_not_meet() {
    let secure = || with_tls(PeerRole::Coordinator, "ca", "member");
    let (connected, accepted) = meet(member(), secure(), PeerRole::Coordinator).await;
    assert!(connected.is_err() && matches!(accepted, Err(Error::TlsHandshake { .. })));
    let (connected, accepted) = meet(secure(), coordinator(), PeerRole::Coordinator).await;
    assert!(matches!(connected, Err(Error::TlsHandshake { .. })), "{connected:?}");
    assert!(matches!(accepted, Err(Error::Garbage { .. })), "{accepted:?}");
}

#[test]
fn unusable_tls_files_are_named() {
    let load = |files: TlsFiles| TlsMaterial::load(&files).unwrap_err().to_string();
    let missing = load(TlsFiles { ca: "/nowhere/ca.pem".into(), ..tls("ca", "member") });
    assert!(missing.contains("/nowhere/ca.pem"), "{missing}");
    let empty = load(TlsFiles { cert: tls("ca", "member").key, ..tls("ca", "member") });
    assert!(empty.contains("member.key") && empty.contains("no certificate"), "{empty}");
    let mixed = load(TlsFiles { key: tls("ca", "foreign").key, ..tls("ca", "member") });
    assert!(mixed.contains("do not work together"), "{mixed}");
}

#[test]
fn a_name_that_cannot_be_sent_is_refused() {
    let good = cluster("orders", "0123456789abcdef", None);
    assert!(Identity::new(&good, PeerRole::Member, "a b").is_err());
    let bad = cluster("", "0123456789abcdef", None);
    assert!(Identity::new(&bad, PeerRole::Member, "s1").is_err());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (_listener, address) = listener(coordinator()).await;
    let error = Listener::bind(&address, coordinator()).await.unwrap_err();
    assert!(matches!(error, Error::Bind { .. }) && error.to_string().contains(&address), "{error}");
}

proptest::proptest! {
    /// Whatever arrives, in whatever pieces: messages, then an end or an error; never a panic, never
    /// more memory than the limit asks for.
    #[test]
    fn no_bytes_panic_a_receiver(
        pieces in proptest::collection::vec(proptest::collection::vec(0u8..5, 0..40), 0..20)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (reader, mut writer) = tokio::io::duplex(4096);
            let receiver = Receiver::new(Box::new(reader), "p".to_owned());
            let mut receiver = receiver.with_limit(600);
            for piece in &pieces {
                writer.write_all(piece).await.unwrap();
            }
            drop(writer);
            while let Ok(Some(message)) = receiver.next().await {
                assert!(message.body.len() < 600);
            }
        });
    }
}

fn holding(secrets: &[&str]) -> Vec<Secret> {
    secrets.iter().copied().map(Secret::new).collect()
}

fn with_secrets(secrets: &[&str]) -> ClusterConfig {
    ClusterConfig { name: "orders".to_owned(), secrets: holding(secrets), tls: None }
}

/// The listener takes calls until the test ends: a connector may try each of its secrets.
async fn calls(connector: &[&str], accepter: &[&str]) -> bool {
    let accepter = Identity::new(&with_secrets(accepter), PeerRole::Coordinator, "c1").unwrap();
    let connector = Identity::new(&with_secrets(connector), PeerRole::Member, "s1").unwrap();
    let (listener, address) = listener(accepter).await;
    let answering = async {
        loop {
            drop(listener.accept().await.unwrap().handshake().await);
        }
    };
    tokio::select! {
        connected = connect(&address, &connector, PeerRole::Coordinator, DEADLINE) => connected.is_ok(),
        () = answering => unreachable!("it answers for ever"),
    }
}

/// While a secret is being changed, each step may reach the processes in any order.
#[tokio::test]
async fn neighbours_in_a_change_of_secrets_meet_both_ways() {
    let (old, new) = ("0123456789abcdef", "fedcba9876543210");
    let steps: [&[&str]; 4] = [&[old], &[new, old], &[old, new], &[new]];
    for (index, one) in steps.iter().enumerate() {
        for (other_index, other) in steps.iter().enumerate() {
            let common = one.iter().any(|secret| other.contains(secret));
            assert_eq!(calls(one, other).await, common, "{index} calls {other_index}");
        }
    }
}

#[tokio::test]
async fn renewed_secrets_hold_for_the_next_handshake_and_spare_the_last() {
    let (old, new) = ("0123456789abcdef", "fedcba9876543210");
    let me = Identity::new(&with_secrets(&[old]), PeerRole::Coordinator, "c1").unwrap();
    let (listener, address) = listener(me.clone()).await;
    let call = async |secret: &str| {
        let caller = Identity::new(&with_secrets(&[secret]), PeerRole::Member, "s1").unwrap();
        let accepting = async { listener.accept().await.unwrap().handshake().await };
        tokio::join!(connect(&address, &caller, PeerRole::Coordinator, DEADLINE), accepting)
    };
    let (there, here) = call(old).await;
    let ((mut to, _from), (_to, mut from)) = (there.unwrap().split(), here.unwrap().split());
    me.put(me.prepare(&with_secrets(&[new])).unwrap());
    assert!(call(old).await.0.is_err());
    assert!(call(new).await.0.is_ok());
    to.send(1, &[b"still there"]).await.unwrap();
    assert_eq!(&from.next().await.unwrap().unwrap().body[..], b"still there");
    let mut tls_now = with_secrets(&[new]);
    tls_now.tls = Some(tls("ca", "member"));
    assert!(matches!(me.prepare(&tls_now), Err(Error::TlsSwitched)));
}
