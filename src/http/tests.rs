use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{HttpAccess, HttpTls, Secret};

const TOKEN: &str = "a-token-of-the-tests";
const WITHIN: Duration = Duration::from_secs(10);

/// An authority in a folder, and what it signs.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem())
            .unwrap();
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Certificate and key for 127.0.0.1.
    fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        std::fs::write(file("pem"), cert.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("pem"), file("key"))
    }

    fn https(&self, client_ca: Option<PathBuf>) -> HttpAccess {
        let (cert, key) = self.sign("server");
        let tls = Some(HttpTls { cert, key, client_ca, ca: Some(self.ca()) });
        HttpAccess { tokens: Vec::new(), tls }
    }
}

fn tokens(tokens: &[&str]) -> HttpAccess {
    HttpAccess { tokens: tokens.iter().copied().map(Secret::new).collect(), tls: None }
}

/// A served port; ends with the test.
struct Port {
    at: String,
    door: Door,
    stop: CancellationToken,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn open(access: &HttpAccess) -> Port {
    open_with_idle(access, Duration::from_secs(30)).await
}

async fn open_with_idle(access: &HttpAccess, idle: Duration) -> Port {
    let door = Door::new(access).unwrap();
    let listener = BoundedListener::bind("127.0.0.1:0", door.clone()).await.unwrap();
    let listener = listener.with_idle(idle);
    let at = listener.address().unwrap().to_string();
    let long = async move || {
        tokio::time::sleep(3 * idle).await;
        "long"
    };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/v1/x", get(async || "x").post(async |body: String| body))
        .route("/v1/long", get(long));
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, door.clone(), router, Duration::ZERO, stop.clone()));
    Port { at, door, stop }
}

/// The status of a plain request with this header.
async fn ask(at: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(WITHIN, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// As `plimsoll` itself asks, with these files.
async fn client(at: &str, args: &[&Path]) -> Result<u16, Error> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        credentials: Credentials,
    }
    let args: Vec<_> = args.iter().map(|arg| arg.to_path_buf().into_os_string()).collect();
    let at = at.to_owned();
    tokio::task::spawn_blocking(move || {
        let line = [std::ffi::OsString::from("x")].into_iter().chain(args);
        let line = <Line as clap::Parser>::parse_from(line);
        Ok(Client::new(&line.credentials, WITHIN)?.get(&at, "/v1/x")?.status)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_right_token_alone_comes_in() {
    let port = open(&tokens(&[TOKEN])).await;
    let cases = [
        (format!("authorization: Bearer {TOKEN}"), "200"),
        (format!("Authorization: bearer  {TOKEN}"), "200"),
        ("x: y".to_owned(), "401"),
        ("authorization: Bearer".to_owned(), "401"),
        ("authorization: Bearer a-token-of-the-test".to_owned(), "401"),
        (format!("authorization: Bearer {TOKEN}s"), "401"),
        (format!("authorization: Basic {}", STANDARD.encode(format!("gh-ost:{TOKEN}"))), "200"),
        (format!("authorization: Basic {}", STANDARD.encode(TOKEN)), "401"),
        (format!("authorization: Basic {TOKEN}"), "401"),
        ("authorization: Bearer \u{e9}".to_owned(), "401"),
    ];
    for (header, status) in cases {
        let answer = ask(&port.at, "/v1/x", &header).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{header}: {answer}");
        let challenged = answer.contains("www-authenticate: Bearer");
        assert_eq!(challenged, status == "401", "{header}: {answer}");
    }
    assert!(ask(&port.at, "/v1/nowhere", "x: y").await.starts_with("HTTP/1.1 401"), "no oracle");
    assert!(ask(&port.at, "/healthz", "x: y").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn tokens_change_while_connections_live() {
    let port = open(&tokens(&[TOKEN])).await;
    let next = "the-token-of-tomorrow";
    let allowed = async |token: &str| {
        let header = format!("authorization: Bearer {token}");
        ask(&port.at, "/v1/x", &header).await.starts_with("HTTP/1.1 200")
    };
    for (tokens_now, old, new) in
        [(&[next, TOKEN][..], true, true), (&[next], false, true), (&[TOKEN], true, false)]
    {
        port.door.put(port.door.prepare(&tokens(tokens_now)).unwrap());
        assert_eq!((allowed(TOKEN).await, allowed(next).await), (old, new), "{tokens_now:?}");
    }
    let authority = Authority::new();
    assert!(matches!(port.door.prepare(&authority.https(None)), Err(Error::TlsSwitched)));
}

#[tokio::test]
async fn a_client_takes_its_token_from_a_file() {
    let port = open(&tokens(&[TOKEN])).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\nanother-token-than-it\n")).unwrap();
    let flag = Path::new("--token-file");
    assert_eq!(client(&port.at, &[flag, &file]).await.unwrap(), 200);
    assert_eq!(client(&port.at, &[]).await.unwrap(), 401);
    std::fs::write(&file, "\n").unwrap();
    assert!(matches!(client(&port.at, &[flag, &file]).await, Err(Error::Token(_))));
}

#[tokio::test]
async fn mutual_tls_wants_a_certificate_of_its_authority() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let port = open(&ours.https(Some(ours.ca()))).await;
    let (ca, cert, key) = (Path::new("--ca"), Path::new("--cert"), Path::new("--key"));
    let (own_cert, own_key) = ours.sign("client");
    let (foreign_cert, foreign_key) = theirs.sign("client");
    let shown = [ca, &ours.ca(), cert, &own_cert, key, &own_key];
    assert_eq!(client(&port.at, &shown).await.unwrap(), 200);
    let without = client(&port.at, &[ca, &ours.ca()]).await;
    assert!(matches!(without, Err(Error::Request { .. })), "{without:?}");
    let foreign = [ca, &ours.ca(), cert, &foreign_cert, key, &foreign_key];
    assert!(matches!(client(&port.at, &foreign).await, Err(Error::Request { .. })));
    let fooled = [ca, &theirs.ca(), cert, &own_cert, key, &own_key];
    assert!(matches!(client(&port.at, &fooled).await, Err(Error::Request { .. })));
    assert!(client(&port.at, &[]).await.is_err(), "plain HTTP");
}

#[tokio::test]
async fn https_with_a_token_needs_no_certificate_and_takes_a_new_one() {
    let (old, new) = (Authority::new(), Authority::new());
    let with_token = |authority: &Authority| HttpAccess {
        tokens: vec![Secret::new(TOKEN)],
        ..authority.https(None)
    };
    let port = open(&with_token(&old)).await;
    let token = old.folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let (ca, token_file) = (Path::new("--ca"), Path::new("--token-file"));
    assert_eq!(client(&port.at, &[ca, &old.ca()]).await.unwrap(), 401);
    assert_eq!(client(&port.at, &[ca, &old.ca(), token_file, &token]).await.unwrap(), 200);
    port.door.put(port.door.prepare(&with_token(&new)).unwrap());
    assert!(client(&port.at, &[ca, &old.ca(), token_file, &token]).await.is_err());
    assert_eq!(client(&port.at, &[ca, &new.ca(), token_file, &token]).await.unwrap(), 200);
    std::fs::write(new.folder.path().join("server.pem"), "no certificate").unwrap();
    let mut broken = with_token(&new);
    if let Some(tls) = &mut broken.tls {
        std::fs::write(&tls.cert, "no certificate").unwrap();
    }
    assert!(matches!(port.door.prepare(&broken), Err(Error::File(_))));
    assert_eq!(client(&port.at, &[ca, &new.ca(), token_file, &token]).await.unwrap(), 200);
}

/// A peer that never speaks TLS holds up nobody.
#[tokio::test]
async fn a_silent_peer_holds_up_nobody() {
    let ours = Authority::new();
    let port = open(&ours.https(Some(ours.ca()))).await;
    let _silent = TcpStream::connect(&port.at).await.unwrap();
    let mut garbage = TcpStream::connect(&port.at).await.unwrap();
    garbage.write_all(&[0x5a; 4096]).await.unwrap();
    let (cert, key) = ours.sign("client");
    let args =
        [Path::new("--ca"), &ours.ca(), Path::new("--cert"), &cert, Path::new("--key"), &key];
    assert_eq!(client(&port.at, &args).await.unwrap(), 200);
}

/// Sends `head` at once and then a byte now and then; gives what is answered until the port closes.
async fn drip(at: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while to.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(WITHIN, from.read_to_end(&mut answer)).await;
    dripping.abort();
    // Closed with bytes unread, it may end with a reset.
    assert!(closed.is_ok(), "never cut off: {head:?}");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_cut_off_and_holds_up_nobody() {
    let port = open_with_idle(&tokens(&[]), Duration::from_millis(200)).await;
    let head = "GET /v1/x HTTP/1.1\r\nhost: x\r\nslow: ";
    let body = "POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n\
                content-length: 100000\r\n\r\n";
    let others = async {
        for path in ["/v1/x", "/healthz", "/v1/x"] {
            assert!(ask(&port.at, path, "a: b").await.starts_with("HTTP/1.1 200"));
        }
        let long = ask(&port.at, "/v1/long", "a: b").await;
        assert!(long.starts_with("HTTP/1.1 200"), "our own time is not the client's: {long}");
    };
    let (head, body, ()) = tokio::join!(drip(&port.at, head), drip(&port.at, body), others);
    assert!(!head.contains(" 200 "), "{head}");
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("PLM"), "{body}");
}
