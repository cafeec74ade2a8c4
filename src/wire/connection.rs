//! Connections: making them, accepting them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::handshake::{self, Met};
use super::identity::Keys;
use super::{Error, HANDSHAKE_DEADLINE, Identity, Peer, PeerRole, Receiver, STRANGERS_MAX, Sender};
use crate::config::Secret;
use crate::explain::Code;

/// Pause after the system refused to accept (mostly: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;
/// Label of the key material that ties the proofs to a TLS session (RFC 5705).
const BINDING_LABEL: &[u8] = b"EXPORTER-plimsoll-wire-1";

type Reader = Box<dyn AsyncRead + Send + Sync + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// A peer that has proven the cluster's secret.
pub struct Connection {
    peer: Peer,
    stream: Stream,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connection {
    /// Who is there.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Both directions, each for one task. The connection ends when both are dropped; the peer sees
    /// the end as soon as the sender is.
    pub fn split(self) -> (Sender, Receiver) {
        let address = self.peer.address.to_string();
        let (reader, writer): (Reader, Writer) = match self.stream {
            Stream::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Stream::Tls(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                (Box::new(reader), Box::new(writer))
            }
        };
        (Sender::new(writer, address.clone()), Receiver::new(reader, address))
    }

    /// Has what arrives wake `runtime`'s thread and no other. Gives the runtime to serve it on: with
    /// TLS that is the present one, for a session cannot be taken out of the stream that it began
    /// with, nor should a thread that waits for a disk decrypt what comes in bulk.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub fn hand_to(self, runtime: &Handle) -> Result<(Connection, Handle), Error> {
        let Connection { peer, stream } = self;
        match stream {
            Stream::Plain(stream) => {
                let address = peer.address.to_string();
                let _there = runtime.enter();
                let moved = stream.into_std().and_then(TcpStream::from_std);
                let moved = moved.map_err(|source| Error::Lost { peer: address, source })?;
                Ok((Connection { peer, stream: Stream::Plain(moved) }, runtime.clone()))
            }
            tls @ Stream::Tls(_) => Ok((Connection { peer, stream: tls }, Handle::current())),
        }
    }

    fn new(met: Met, address: SocketAddr, stream: Stream) -> Connection {
        let (hello, version) = met;
        let peer = Peer { role: hello.role, name: hello.name, version, address };
        Connection { peer, stream }
    }
}

/// Connects to `address` (`host:port`) and goes through the handshake, all within `deadline`.
/// `wanted` is the role expected there.
///
/// # Errors
/// Whatever kept the connection from being made; see [`Error::class`].
pub async fn connect(
    address: &str,
    me: &Identity,
    wanted: PeerRole,
    deadline: Duration,
) -> Result<Connection, Error> {
    let connecting = Box::pin(connect_now(address, me, wanted));
    let late = |_| Error::Deadline { peer: address.to_owned(), deadline };
    tokio::time::timeout(deadline, connecting).await.map_err(late)?
}

/// While the secret is being changed, a peer may know one of ours only: whoever turns the first away
/// is tried with the next, on a new connection.
async fn connect_now(address: &str, me: &Identity, wanted: PeerRole) -> Result<Connection, Error> {
    let keys = me.keys();
    let mut refused = None;
    for secret in &keys.secrets {
        match connect_with(address, me, (&keys, secret), wanted).await {
            Err(Error::Refused { peer, source }) => {
                refused.get_or_insert(Error::Refused { peer, source });
            }
            other => return other,
        }
    }
    Err(refused.unwrap_or(Error::NoSecret))
}

async fn connect_with(
    address: &str,
    me: &Identity,
    (keys, secret): (&Keys, &Secret),
    wanted: PeerRole,
) -> Result<Connection, Error> {
    let failed = |source| Error::Connect { address: address.to_owned(), source };
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let remote = stream.peer_addr().map_err(failed)?;
    let Some(tls) = &keys.tls else {
        let met = handshake::connect(&mut stream, me, secret, wanted, address, Vec::new()).await?;
        return Ok(Connection::new(met, remote, Stream::Plain(stream)));
    };
    let refused = |source| Error::TlsHandshake { peer: address.to_owned(), source };
    let connector = TlsConnector::from(tls.client.clone());
    let name = ServerName::IpAddress(remote.ip().into());
    let mut stream = connector.connect(name, stream).await.map_err(refused)?;
    let binding = stream.get_ref().1.export_keying_material(vec![0; 32], BINDING_LABEL, None);
    let binding = binding.map_err(Error::TlsSetup)?;
    let met = handshake::connect(&mut stream, me, secret, wanted, address, binding).await?;
    Ok(Connection::new(met, remote, Stream::Tls(Box::new(stream.into()))))
}

/// A port that peers connect to.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    me: Identity,
    places: Arc<Semaphore>,
}

impl Listener {
    /// Listens on `address` (`host:port`).
    ///
    /// # Errors
    /// [`Error::Bind`].
    pub async fn bind(address: &str, me: Identity) -> Result<Listener, Error> {
        let failed = |source| Error::Bind { address: address.to_owned(), source };
        let socket = listen(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Listener { socket, address, me, places: Arc::new(Semaphore::new(STRANGERS_MAX)) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next TCP connection; who it is shows [`Incoming::handshake`], to be awaited in a task of
    /// its own, so that a slow peer holds up nobody. Waits while [`STRANGERS_MAX`] are under way.
    /// Cancel-safe. A system that refuses for a while is waited for.
    ///
    /// # Errors
    /// None today.
    pub async fn accept(&self) -> Result<Incoming, Error> {
        let place = self.places.clone().acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    return Ok(Incoming { stream, address, me: self.me.clone(), place });
                }
                Err(error) => {
                    tracing::warn!(code = %Code::ACCEPT_FAILED, %error,
                        "cannot accept a connection for now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Accepted connections inherit the keep-alive: a peer whose host vanished while nobody sent anything
/// is found by the kernel in the end, and its place is free again.
async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for address in tokio::net::lookup_host(address).await? {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.set_keepalive(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A TCP connection that has not proven anything yet.
#[derive(Debug)]
pub struct Incoming {
    stream: TcpStream,
    address: SocketAddr,
    me: Identity,
    place: OwnedSemaphorePermit,
}

impl Incoming {
    /// Where it comes from.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the peer prove itself, within [`HANDSHAKE_DEADLINE`].
    ///
    /// # Errors
    /// The connection is closed; a stranger was sent nothing.
    pub async fn handshake(self) -> Result<Connection, Error> {
        self.handshake_within(HANDSHAKE_DEADLINE).await
    }

    pub(super) async fn handshake_within(self, deadline: Duration) -> Result<Connection, Error> {
        let Incoming { stream, address, me, place } = self;
        let late = |_| Error::Deadline { peer: address.to_string(), deadline };
        let accepting = Box::pin(accept_now(stream, address, &me));
        let accepted = tokio::time::timeout(deadline, accepting).await.map_err(late)?;
        drop(place);
        accepted
    }
}

async fn accept_now(
    mut stream: TcpStream,
    address: SocketAddr,
    me: &Identity,
) -> Result<Connection, Error> {
    let peer = address.to_string();
    let lost = |source| Error::Lost { peer: peer.clone(), source };
    stream.set_nodelay(true).map_err(lost)?;
    let keys = me.keys();
    let Some(tls) = &keys.tls else {
        let met = handshake::accept(&mut stream, me, &keys.secrets, &peer, Vec::new()).await?;
        return Ok(Connection::new(met, address, Stream::Plain(stream)));
    };
    let refused = |source| Error::TlsHandshake { peer: peer.clone(), source };
    let mut stream = TlsAcceptor::from(tls.server.clone()).accept(stream).await.map_err(refused)?;
    let binding = stream.get_ref().1.export_keying_material(vec![0; 32], BINDING_LABEL, None);
    let binding = binding.map_err(Error::TlsSetup)?;
    let met = handshake::accept(&mut stream, me, &keys.secrets, &peer, binding).await?;
    Ok(Connection::new(met, address, Stream::Tls(Box::new(stream.into()))))
}
