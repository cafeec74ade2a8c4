//! The running dump.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout, timeout_at};
use wal::BinlogPosition;

use super::ack::SEMI_SYNC_MARK;
use super::login::{Connection, ReadHalf};
use super::packets::{PacketBuffer, refused};
use super::{AckSender, Error, StartAt, TailOptions, session};
use crate::binlog::{Assembled, Assembler, AssemblerOptions, Checksum};

/// What the stream says; see [`Assembled`].
pub type Tailed = Assembled;

const DURING: &str = "sending its binlog";
/// An event is a part of a transaction, or small: what a packet may be longer than that.
const PACKET_MARGIN: usize = 1 << 20;
/// An OK byte, and with semi-sync a mark and a flag, stand before each event.
const WANTS_ACK: u8 = 1;

/// A master's binlog as a stream of transactions.
pub struct Tail {
    reader: ReadHalf,
    packets: PacketBuffer,
    assembler: Assembler,
    options: TailOptions,
    version: String,
    last_heard: Instant,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail")
            .field("version", &self.version)
            .field("position", self.assembler.position())
            .finish_non_exhaustive()
    }
}

impl Tail {
    /// Connects, logs in, and asks for the binlog. When it returns, the server has accepted the start:
    /// its first (artificial) ROTATE and the format description have come.
    ///
    /// # Errors
    /// [`Error`]; [`Error::refusal`] tells why a start was not accepted. A position inside an event is
    /// found by the server only afterwards, so that the refusal may come from [`Tail::next`].
    pub async fn connect(options: TailOptions) -> Result<(Tail, AckSender), Error> {
        let login = async {
            let mut connection = Box::pin(Connection::open(&options.server)).await?;
            Box::pin(session::start_dump(&mut connection, &options)).await?;
            Ok::<_, Error>(connection)
        };
        let what = "connecting and logging in";
        let connection = match timeout(options.connect, login).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(Error::Deadline { what, after: options.connect });
            }
        };
        let start = match &options.start {
            StartAt::Position(position) => Some(position.clone()),
            StartAt::Gtid(_) => None,
        };
        let assembler = Assembler::new(AssemblerOptions {
            may_skip: start.is_none(),
            start,
            // Who asks for CRC32 gets the first ROTATE with one, also where the files have none.
            checksum: Checksum::Crc32,
            max_transaction_bytes: options.max_transaction_bytes,
        });
        let Connection { stream, mut packets, version, .. } = connection;
        packets.set_limit(options.max_transaction_bytes.saturating_add(PACKET_MARGIN));
        let (reader, writer) = stream.halves();
        let last_heard = Instant::now();
        let mut tail = Tail { reader, packets, assembler, options, version, last_heard };
        let what = "the server's search for the start of the dump";
        let after = tail.options.find_start;
        match timeout(after, tail.until_format_description()).await {
            Ok(result) => result?,
            Err(_) => return Err(Error::Deadline { what, after }),
        }
        Ok((tail, AckSender::new(writer)))
    }

    async fn until_format_description(&mut self) -> Result<(), Error> {
        while self.assembler.format_description().is_none() {
            match self.packets.next()? {
                // Before the format description there are only control events.
                Some(packet) => drop(self.event(&packet)?),
                None => {
                    let read = self.reader.read_buf(self.packets.room()).await;
                    self.heard(read)?;
                }
            }
        }
        Ok(())
    }

    /// The server's version, as in its greeting.
    pub fn server_version(&self) -> &str {
        &self.version
    }

    /// The raw FORMAT_DESCRIPTION event in force.
    pub fn format_description(&self) -> &Bytes {
        self.assembler.format_description().expect("connect returns only when it has come")
    }

    /// Where the next event starts.
    pub fn position(&self) -> &BinlogPosition {
        self.assembler.position()
    }

    /// The next thing that the stream says. Cancel-safe: nothing that was received is lost.
    ///
    /// # Errors
    /// [`Error`]; the tail is of no more use then. [`Error::Silent`] if not even a heartbeat came.
    pub async fn next(&mut self) -> Result<Tailed, Error> {
        loop {
            if let Some(tailed) = self.take_buffered()? {
                return Ok(tailed);
            }
            // Polled before the clock: what came while nobody called counts as heard.
            let deadline = self.last_heard + self.options.silence;
            let read = self.reader.read_buf(self.packets.room());
            match timeout_at(deadline, read).await {
                Ok(read) => self.heard(read)?,
                Err(_) => {
                    return Err(Error::Silent { after: self.options.silence });
                }
            }
        }
    }

    /// What has already come, without waiting: so that all transactions that wait can be taken as one
    /// run. `None` when there is no whole one, as far as the runtime knows: it looks at the socket only
    /// between polls of tasks.
    ///
    /// # Errors
    /// As [`Tail::next`], but for [`Error::Silent`].
    pub fn try_next(&mut self) -> Result<Option<Tailed>, Error> {
        loop {
            if let Some(tailed) = self.take_buffered()? {
                return Ok(Some(tailed));
            }
            if !self.read_ready()? {
                return Ok(None);
            }
        }
    }

    fn take_buffered(&mut self) -> Result<Option<Tailed>, Error> {
        while let Some(packet) = self.packets.next()? {
            if let Some(tailed) = self.event(&packet)? {
                return Ok(Some(tailed));
            }
        }
        Ok(None)
    }

    /// Reads what lies in the socket. The waker is of no use to anyone: the next `next` sets its own.
    fn read_ready(&mut self) -> Result<bool, Error> {
        let mut context = Context::from_waker(Waker::noop());
        let read = pin!(self.reader.read_buf(self.packets.room()));
        let read = match read.poll(&mut context) {
            Poll::Pending => return Ok(false),
            Poll::Ready(read) => read,
        };
        self.heard(read).map(|()| true)
    }

    fn heard(&mut self, read: std::io::Result<usize>) -> Result<(), Error> {
        match read {
            Ok(0) => Err(Error::Closed { during: DURING }),
            Ok(_) => {
                self.last_heard = Instant::now();
                Ok(())
            }
            Err(source) => Err(Error::Io { during: DURING, source }),
        }
    }

    fn event(&mut self, packet: &BytesMut) -> Result<Option<Tailed>, Error> {
        if let Some(error) = refused(packet, DURING) {
            return Err(error);
        }
        let (raw, wants_ack) = dumped(packet, self.options.semi_sync)?;
        Ok(self.assembler.push(raw, wants_ack)?)
    }
}

/// The event in a packet of the dump, and whether the server waits for an ACK of its end.
pub(crate) fn dumped(packet: &[u8], semi_sync: bool) -> Result<(&[u8], bool), Error> {
    let raw = match packet.split_first() {
        Some((0, raw)) => raw,
        Some((0xfe, rest)) if rest.len() < 8 => return Err(Error::DumpEnded),
        _ => return Err(Error::Protocol { what: "a packet of the dump" }),
    };
    if !semi_sync {
        return Ok((raw, false));
    }
    match raw {
        [SEMI_SYNC_MARK, flags, raw @ ..] if flags & !WANTS_ACK == 0 => {
            Ok((raw, flags & WANTS_ACK != 0))
        }
        _ => Err(Error::SemiSyncOff),
    }
}
