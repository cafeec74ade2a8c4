//! Accepts so many connections and no more, with HTTPS where that is set, and closes those on which
//! nothing moves.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::Door;
use super::serve::UnderWay;
use crate::explain::Code;

/// Operators, scrapers and routers together; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// A connection whose next request has not been admitted so long after the one before is closed:
/// kept-alive, stuck, or sending its request byte by byte.
const IDLE: Duration = Duration::from_secs(30);
/// Before accepting again after an error (most likely: out of file descriptors).
const PAUSE: Duration = Duration::from_millis(100);

/// A TCP listener for HTTP or HTTPS.
pub struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    door: Door,
    idle: Duration,
}

impl BoundedListener {
    /// Binds `host:port`; HTTPS if the door has certificates, as of each connection's beginning.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(address: &str, door: Door) -> io::Result<BoundedListener> {
        let listener = TcpListener::bind(address).await?;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        Ok(BoundedListener { listener, places, door, idle: IDLE })
    }

    /// Closes idle connections sooner, for tests.
    #[cfg(test)]
    pub fn with_idle(self, idle: Duration) -> BoundedListener {
        BoundedListener { idle, ..self }
    }

    /// How long a request may take to arrive.
    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    /// What was bound, its port too.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl axum::serve::Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        loop {
            let place = self.places.clone().acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let stream = match self.door.tls() {
                        None => Stream::Plain(stream),
                        Some(tls) => Stream::Knocking(TlsAcceptor::from(tls).accept(stream)),
                    };
                    let stream = BoundedStream {
                        stream: Box::pin(stream),
                        patience: self.idle,
                        idle: Box::pin(tokio::time::sleep(self.idle)),
                        under_way: UnderWay::default(),
                        seen: 0,
                        _place: place,
                    };
                    return (stream, peer);
                }
                Err(error) => {
                    tracing::warn!(code = %Code::ACCEPT_FAILED, %error, "cannot accept for HTTP");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The TLS handshake happens on the connection's own task, at its first read or write: a slow peer
/// holds up nobody.
enum Stream {
    Plain(TcpStream),
    Knocking(Accept<TcpStream>),
    Secure(TlsStream<TcpStream>),
}

/// What can be read from and written to, once the handshake is done.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl Stream {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Duplex>>> {
        if let Stream::Knocking(accepting) = self {
            let secure = std::task::ready!(Pin::new(accepting).poll(context))?;
            *self = Stream::Secure(secure);
        }
        Poll::Ready(match self {
            Stream::Plain(stream) => Ok(Pin::new(stream)),
            Stream::Secure(stream) => Ok(Pin::new(stream)),
            Stream::Knocking(_) => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

/// A connection that holds a place and watches its own idleness.
pub struct BoundedStream {
    stream: Pin<Box<Stream>>,
    patience: Duration,
    idle: Pin<Box<Sleep>>,
    under_way: UnderWay,
    /// Requests that have moved `idle`.
    seen: usize,
    _place: OwnedSemaphorePermit,
}

impl BoundedStream {
    pub(super) fn under_way(&self) -> &UnderWay {
        &self.under_way
    }

    /// Does one thing with the stream, and says that it has timed out if no request comes for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        act: impl FnOnce(Pin<&mut dyn Duplex>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let moved = match self.stream.poll_ready(context) {
            Poll::Ready(Ok(stream)) => act(stream, context),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        if self.seen != self.under_way.begun() {
            self.seen = self.under_way.begun();
            self.idle.as_mut().reset(Instant::now() + self.patience);
        }
        if moved.is_ready() {
            return moved;
        }
        loop {
            std::task::ready!(self.idle.as_mut().poll(context));
            if !self.under_way.any() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.idle.as_mut().reset(Instant::now() + self.patience);
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.watch(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.watch(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(context, |stream, context| stream.poll_shutdown(context))
    }
}
