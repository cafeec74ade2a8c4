//! Connection and login.

use std::io;

use bytes::BytesMut;
use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context};
use mysql_common::constants::CapabilityFlags;
use mysql_common::packets::{AuthPlugin, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Error;
use super::packets::{PacketBuffer, frame, refused};
use super::tls;
use crate::binlog::reader::Reader;
use crate::config::ServerConfig;

/// Nothing before the dump is larger.
const LOGIN_PACKET_BYTES: usize = 1 << 20;
/// What we tell the server that we can take; it is its own limit that counts.
const MAX_PACKET: u32 = 1 << 30;
const COLLATION_UTF8MB4: u8 = 45;
/// Rounds of an authentication: a switch, a key, an answer, and some to spare.
const MAX_ROUNDS: usize = 8;
const PLUGINS: [&[u8]; 4] =
    [b"caching_sha2_password", b"mysql_native_password", b"client_ed25519", b"sha256_password"];

/// A byte stream, plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {
    /// Both directions, each for one task.
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf);
}

/// What a dump is read from.
pub type ReadHalf = Box<dyn AsyncRead + Unpin + Send + Sync>;
/// What ACKs are written to.
pub type WriteHalf = Box<dyn AsyncWrite + Unpin + Send + Sync>;

impl Stream for TcpStream {
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (reader, writer) = self.into_split();
        (Box::new(reader), Box::new(writer))
    }
}

impl Stream for TlsStream<Box<dyn Stream>> {
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (reader, writer) = tokio::io::split(self);
        (Box::new(reader), Box::new(writer))
    }
}

/// The place of a stream that is being upgraded to TLS.
impl Stream for tokio::io::Empty {
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        (Box::new(tokio::io::empty()), Box::new(self))
    }
}

/// A connection with one exchange at a time: what there is before the dump.
pub struct Connection {
    pub stream: Box<dyn Stream>,
    pub packets: PacketBuffer,
    /// From the greeting.
    pub version: String,
    doing: &'static str,
}

impl Connection {
    /// Connects and logs in; on the fallback port if the first says that it is full.
    ///
    /// # Errors
    /// [`Error`]; nothing of the connection is left.
    pub async fn open(server: &ServerConfig) -> Result<Connection, Error> {
        match (Self::open_at(server, server.port).await, server.fallback_port) {
            (Err(error), Some(port)) if error.is_full() => Self::open_at(server, port).await,
            (result, _) => result,
        }
    }

    async fn open_at(server: &ServerConfig, port: u16) -> Result<Connection, Error> {
        let connected = TcpStream::connect((server.host.as_str(), port)).await;
        let stream = connected.and_then(|stream| {
            // An ACK is one small write that COMMITs wait for.
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        let stream = stream.map_err(|source| {
            let address = format!("{}:{port}", server.host);
            Error::Unreachable { address, source }
        })?;
        let mut connection = Connection {
            stream: Box::new(stream),
            packets: PacketBuffer::new(LOGIN_PACKET_BYTES),
            version: String::new(),
            doing: "the login",
        };
        connection.login(server).await?;
        Ok(connection)
    }

    /// `true` for MariaDB.
    pub fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// The next packet, whatever it says.
    pub async fn packet(&mut self) -> Result<BytesMut, Error> {
        loop {
            if let Some(packet) = self.packets.next()? {
                return Ok(packet);
            }
            match self.stream.read_buf(self.packets.room()).await {
                Ok(0) => return Err(Error::Closed { during: self.doing }),
                Ok(_) => {}
                Err(source) => {
                    return Err(Error::Io { during: self.doing, source });
                }
            }
        }
    }

    /// The next packet; an error packet is an error.
    pub async fn answer(&mut self) -> Result<BytesMut, Error> {
        let packet = self.packet().await?;
        match refused(&packet, self.doing) {
            Some(error) => Err(error),
            None => Ok(packet),
        }
    }

    /// A new exchange: a command and what it is for.
    pub async fn command(&mut self, doing: &'static str, payload: &[u8]) -> Result<(), Error> {
        self.doing = doing;
        self.packets.sequence = 0;
        self.send(payload).await
    }

    /// The answer must be OK.
    pub async fn expect_ok(&mut self) -> Result<(), Error> {
        match self.answer().await?.first() {
            Some(0) => Ok(()),
            _ => Err(Error::Protocol { what: self.doing }),
        }
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut bytes = BytesMut::new();
        frame(&mut bytes, self.packets.sequence, payload)?;
        let sent = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|source| Error::Io { during: self.doing, source })
    }

    async fn login(&mut self, server: &ServerConfig) -> Result<(), Error> {
        let packet = self.answer().await?;
        let greeting = Greeting::decode(&packet)?;
        // MariaDB puts a version of MySQL before its own, for clients of old.
        let version = greeting.version;
        self.version = version.strip_prefix("5.5.5-").unwrap_or(&version).to_owned();
        let mut capabilities = CapabilityFlags::CLIENT_PROTOCOL_41
            | CapabilityFlags::CLIENT_SECURE_CONNECTION
            | CapabilityFlags::CLIENT_PLUGIN_AUTH
            | CapabilityFlags::CLIENT_LONG_PASSWORD
            | CapabilityFlags::CLIENT_LONG_FLAG
            | CapabilityFlags::CLIENT_TRANSACTIONS;
        let secure = match tls::connector(&server.tls)? {
            None => false,
            Some(connector) => {
                if !greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL) {
                    return Err(Error::NoTls);
                }
                capabilities |= CapabilityFlags::CLIENT_SSL;
                self.upgrade(&connector, capabilities, &server.host).await?;
                true
            }
        };
        let mut authentication =
            Authentication::start(greeting.plugin, greeting.nonce, server, secure)?;
        let proof = authentication.first_answer()?;
        let response = HandshakeResponse::new(
            Some(proof),
            (8, 0, 0),
            Some(server.user.as_bytes()),
            None::<Vec<u8>>,
            Some(AuthPlugin::from_bytes(&authentication.plugin)),
            capabilities,
            None,
            MAX_PACKET,
        );
        let mut payload = Vec::new();
        response.serialize(&mut payload);
        self.send(&payload).await?;
        self.authenticate(authentication, server, secure).await
    }

    async fn upgrade(
        &mut self,
        connector: &tokio_rustls::TlsConnector,
        capabilities: CapabilityFlags,
        host: &str,
    ) -> Result<(), Error> {
        let fail = |source| Error::Tls { host: host.to_owned(), source };
        let mut payload = Vec::new();
        SslRequest::new(capabilities, MAX_PACKET, COLLATION_UTF8MB4).serialize(&mut payload);
        self.send(&payload).await?;
        self.packets.sequence = self.packets.sequence.wrapping_add(1);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| fail(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = Box::new(connector.connect(name, plain).await.map_err(fail)?);
        Ok(())
    }

    async fn authenticate(
        &mut self,
        mut authentication: Authentication<'_>,
        server: &ServerConfig,
        secure: bool,
    ) -> Result<(), Error> {
        for _ in 0..MAX_ROUNDS {
            let packet = self.answer().await?;
            match packet.split_first() {
                Some((0, _)) => return Ok(()),
                Some((0xfe, rest)) => {
                    let (plugin, nonce) = switch(rest)?;
                    authentication = Authentication::start(plugin, nonce, server, secure)?;
                    let answer = authentication.first_answer()?;
                    self.send(&answer).await?;
                }
                Some((1, challenge)) => {
                    if let Some(answer) = authentication.answer(challenge)? {
                        self.send(&answer).await?;
                    }
                }
                _ => return Err(Error::Protocol { what: "the login" }),
            }
        }
        Err(Error::Protocol { what: "the login" })
    }
}

/// A request to use another plugin: its name, then its challenge, which may end with a NUL.
pub(crate) fn switch(rest: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let broken = |_| Error::Protocol { what: "the request for another authentication plugin" };
    let mut reader = Reader::new(rest, "plugin");
    let plugin = reader.until_nul().map_err(broken)?.to_vec();
    let mut nonce = reader.rest();
    if plugin != b"client_ed25519"
        && let Some((0, head)) = nonce.split_last()
    {
        nonce = head;
    }
    Ok((plugin, nonce.to_vec()))
}

/// The server's first packet.
pub(crate) struct Greeting {
    version: String,
    capabilities: CapabilityFlags,
    plugin: Vec<u8>,
    nonce: Vec<u8>,
}

const NONCE: usize = 20;

impl Greeting {
    pub fn decode(packet: &[u8]) -> Result<Greeting, Error> {
        let broken = |_| Error::Protocol { what: "the server's greeting" };
        Self::read(packet).map_err(broken)
    }

    fn read(packet: &[u8]) -> Result<Greeting, crate::binlog::Error> {
        let mut reader = Reader::new(packet, "greeting");
        if reader.u8()? != 10 {
            return Err(reader.malformed());
        }
        let version = String::from_utf8_lossy(reader.until_nul()?).into_owned();
        reader.u32()?;
        let mut nonce = reader.take(8)?.to_vec();
        reader.u8()?;
        let low = u32::from(reader.u16()?);
        reader.take(3)?;
        let high = u32::from(reader.u16()?);
        let nonce_len = usize::from(reader.u8()?);
        reader.take(10)?;
        nonce.extend_from_slice(reader.take(nonce_len.saturating_sub(8).max(13))?);
        nonce.truncate(NONCE);
        let plugin = reader.until_nul().unwrap_or(reader.rest()).to_vec();
        let capabilities = CapabilityFlags::from_bits_truncate(high << 16 | low);
        Ok(Greeting { version, capabilities, plugin, nonce })
    }
}

/// One run of an authentication plugin.
struct Authentication<'a> {
    plugin: Vec<u8>,
    nonce: Vec<u8>,
    password: &'a [u8],
    secure: bool,
    procedure: AuthProc,
}

impl<'a> Authentication<'a> {
    fn start(
        plugin: Vec<u8>,
        nonce: Vec<u8>,
        server: &'a ServerConfig,
        secure: bool,
    ) -> Result<Authentication<'a>, Error> {
        let name = String::from_utf8_lossy(&plugin).into_owned();
        if plugin == b"mysql_clear_password" || plugin == b"mysql_old_password" {
            return Err(Error::ClearPassword { plugin: name });
        }
        if !PLUGINS.contains(&plugin.as_slice()) {
            return Err(Error::Plugin { plugin: name });
        }
        let procedure = AuthProc::init(&AuthPlugin::from_bytes(&plugin))
            .map_err(|_| Error::Plugin { plugin: name })?;
        let password = server.password.reveal().as_bytes();
        Ok(Authentication { plugin, nonce, password, secure, procedure })
    }

    fn first_answer(&mut self) -> Result<Vec<u8>, Error> {
        let nonce = self.nonce.clone();
        Ok(self.answer(&nonce)?.unwrap_or_default())
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let session = Session { nonce: &self.nonce, password: self.password, secure: self.secure };
        let response = self.procedure.run(session, challenge);
        let response = response.map_err(|source| Error::Authentication { source })?;
        Ok(response.data().map(<[u8]>::to_vec))
    }
}

/// What a plugin may know of the connection.
struct Session<'a> {
    nonce: &'a [u8],
    password: &'a [u8],
    secure: bool,
}

impl Context for Session<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        self.secure
    }

    fn scramble(&self) -> &[u8] {
        self.nonce
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}
