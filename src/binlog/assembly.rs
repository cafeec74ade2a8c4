//! Raw events in, whole transactions out: the state machine of the stream.

use bytes::{Bytes, BytesMut};
use wal::{BinlogPosition, Transaction};

use super::assembly_group::{Group, Place, Step, refuse_or_keep};
use super::event::{body_of, check_len, verify_crc};
use super::{
    Checksum, Error, EventFlags, EventHeader, EventKind, FormatDescription, Heartbeat,
    MysqlGtidSet, Rotate,
};

/// What the stream says, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assembled {
    /// A whole transaction, and whether the server waits for an ACK of its end.
    Transaction(Transaction, bool),
    /// Whole events of a transaction that is larger than [`PIECE_BYTES`]; the first piece begins with
    /// its GTID event. It may yet turn out never to have been committed.
    Piece(Bytes),
    /// The transaction whose pieces came before; its events are the last ones. Likewise.
    Pieced(Transaction, bool),
    /// The layout of events changed: raw event, and where it ends.
    FormatDescription {
        /// Offset behind the event.
        position: BinlogPosition,
        /// The raw event.
        event: Bytes,
    },
    /// Nothing happened; the dump stands here, between transactions.
    Heartbeat {
        /// Where the next event will start.
        position: BinlogPosition,
    },
    /// The stream goes on in another file.
    Rotated(BinlogPosition),
}

/// What the assembler must know before the first event.
#[derive(Debug, Clone)]
pub struct AssemblerOptions {
    /// Where the dump was asked to start; only names the place of errors before the first ROTATE.
    pub start: Option<BinlogPosition>,
    /// Whether the artificial ROTATE that starts a dump has a checksum.
    pub checksum: Checksum,
    /// The server may leave out transactions (start by GTID): offsets may jump between transactions.
    pub may_skip: bool,
    /// Largest event, and largest transaction of those that are not cut into pieces (DDL, XA, and
    /// what the server compressed as a whole), in bytes.
    pub max_transaction_bytes: usize,
}

/// Keeps position, layout and the open transaction. After an error it must not be used again.
///
/// Offsets are counted by adding lengths, since events carry only 32 bits of them, and compared with
/// what each event says: a lost event is [`Error::Gap`], not a silent skip (I9).
#[derive(Debug)]
pub struct Assembler {
    options: AssemblerOptions,
    position: BinlogPosition,
    checksum: Checksum,
    format: Option<Bytes>,
    group: Option<Group>,
    /// Events of the open transaction.
    buffer: BytesMut,
}

/// A transaction of rows goes on in pieces of about this size (I14).
pub const PIECE_BYTES: usize = 1 << 20;

/// What is left of a buffer that grew beyond this is given back: small transactions cut from it would
/// keep all of it alive.
const KEEP_BUFFER_BYTES: usize = 1 << 20;

impl Assembler {
    /// Before the first event.
    pub fn new(options: AssemblerOptions) -> Assembler {
        Assembler {
            position: options.start.clone().unwrap_or_else(|| BinlogPosition::new("", 0)),
            checksum: options.checksum,
            format: None,
            group: None,
            buffer: BytesMut::new(),
            options,
        }
    }

    /// The raw format description in force; `None` until the stream brought one.
    pub fn format_description(&self) -> Option<&Bytes> {
        self.format.as_ref()
    }

    /// Whether events end with a CRC32, as the format description in force says.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Where the next event starts.
    pub fn position(&self) -> &BinlogPosition {
        &self.position
    }

    /// Takes the next raw event. `wants_ack`: the server waits for an ACK of its end.
    ///
    /// # Errors
    /// Any of [`Error`], with position and type: the stream cannot go on (I9).
    pub fn push(&mut self, raw: &[u8], wants_ack: bool) -> Result<Option<Assembled>, Error> {
        let header = match EventHeader::decode(raw) {
            Ok(header) => header,
            Err(error) => return Err(self.place(EventKind(0), error)),
        };
        let taken = self.take(&header, raw, wants_ack);
        taken.map_err(|error| self.place(header.kind, error))
    }

    /// Adds place and type to an error that does not name them.
    fn place(&self, kind: EventKind, error: Error) -> Error {
        match error {
            Error::Unsupported { .. }
            | Error::OutOfPlace { .. }
            | Error::Gap { .. }
            | Error::TransactionTooLarge { .. } => error,
            other => Error::At { position: self.position.clone(), kind, source: Box::new(other) },
        }
    }

    fn take(
        &mut self,
        header: &EventHeader,
        raw: &[u8],
        wants_ack: bool,
    ) -> Result<Option<Assembled>, Error> {
        check_len(header, raw.len())?;
        if header.kind == EventKind::FORMAT_DESCRIPTION {
            return self.format_described(header, raw);
        }
        let crc = verify_crc(header, raw, self.checksum)?;
        let body = body_of(raw, self.checksum)?;
        match header.kind {
            EventKind::ROTATE => self.rotate(header, body),
            EventKind::HEARTBEAT | EventKind::HEARTBEAT_V2 => self.heartbeat(header, body),
            _ if is_artificial(header) => self.control(header, body),
            EventKind::STOP
            | EventKind::PREVIOUS_GTIDS
            | EventKind::GTID_LIST
            | EventKind::BINLOG_CHECKPOINT
            | EventKind::START_ENCRYPTION => {
                self.advance(header)?;
                self.control(header, body)
            }
            _ => self.change(header, raw, crc, wants_ack),
        }
    }

    /// Layout of what follows; verified by its own CRC32.
    fn format_described(
        &mut self,
        header: &EventHeader,
        raw: &[u8],
    ) -> Result<Option<Assembled>, Error> {
        let description = FormatDescription::decode(raw)?;
        // A dump that starts inside a file gets a copy of the file's first event, without a place.
        if !is_artificial(header) {
            self.advance(header)?;
        }
        self.checksum = description.checksum;
        let event = Bytes::copy_from_slice(raw);
        let before = self.format.replace(event.clone());
        match before {
            Some(before) if !FormatDescription::same_layout(&before, raw) => {
                let position = self.position.clone();
                Ok(Some(Assembled::FormatDescription { position, event }))
            }
            _ => Ok(None),
        }
    }

    fn rotate(&mut self, header: &EventHeader, body: &[u8]) -> Result<Option<Assembled>, Error> {
        let next = Rotate::decode(body)?.next;
        if !is_artificial(header) {
            self.advance(header)?;
            if self.group.is_some() {
                return Err(self.out_of_place(header.kind, "stands inside a transaction"));
            }
        }
        if next == self.position {
            return Ok(None);
        }
        // A server that died while it wrote leaves half a transaction at the end of a file. It was
        // never committed: recovery rolled it back, and so does every replica.
        self.group = None;
        self.buffer.clear();
        let first = self.format.is_none();
        self.position = next;
        Ok((!first).then(|| Assembled::Rotated(self.position.clone())))
    }

    fn heartbeat(&mut self, header: &EventHeader, body: &[u8]) -> Result<Option<Assembled>, Error> {
        let heartbeat = Heartbeat::decode(header, body)?;
        if self.group.is_some() {
            return Ok(None);
        }
        if heartbeat.file.is_none_or(|file| file == self.position.file) {
            let low = heartbeat.offset_low.filter(|&low| low != 0);
            let told = heartbeat.offset.or(low.map(|low| lift(self.position.offset, low)));
            // Behind transactions that the server left out it tells where it stands.
            if let Some(offset) = told.filter(|&offset| offset > self.position.offset)
                && self.options.may_skip
            {
                self.position.offset = offset;
            }
        }
        Ok(Some(Assembled::Heartbeat { position: self.position.clone() }))
    }

    /// Events that change nothing: their content is only checked.
    fn control(&mut self, header: &EventHeader, body: &[u8]) -> Result<Option<Assembled>, Error> {
        match header.kind {
            EventKind::PREVIOUS_GTIDS => drop(MysqlGtidSet::decode(body)?),
            EventKind::GTID_LIST => drop(super::GtidList::decode(body)?),
            // Of the file only: the dump sends what follows decrypted, as the CRC32s prove.
            EventKind::START_ENCRYPTION if self.checksum == Checksum::Crc32 => {}
            EventKind::START_ENCRYPTION => {
                let reason =
                    "without binlog_checksum nothing proves that what follows is decrypted";
                return Err(self.unsupported(header.kind, reason));
            }
            EventKind::STOP | EventKind::BINLOG_CHECKPOINT => {}
            _ if header.flags.has(EventFlags::IGNORABLE) => {}
            _ => return Err(self.unsupported(header.kind, "the server made it up for this dump")),
        }
        Ok(None)
    }

    /// Part of a transaction.
    fn change(
        &mut self,
        header: &EventHeader,
        raw: &[u8],
        crc: u32,
        wants_ack: bool,
    ) -> Result<Option<Assembled>, Error> {
        let start = self.advance(header)?;
        let body = body_of(raw, self.checksum)?;
        let place = Place { file: &self.position.file, offset: start };
        let step = match &mut self.group {
            None => {
                let Some(group) = Group::open(header, body, place)? else {
                    return outside(header, place);
                };
                self.group = Some(group);
                Step::More
            }
            Some(group) => {
                let limit = self.options.max_transaction_bytes as u64;
                group.step(header, raw, self.checksum, (place, limit))?
            }
        };
        // Of what goes on in pieces, only the next event is held.
        let in_pieces = self.group.as_ref().is_some_and(Group::is_divisible);
        let held = if in_pieces { 0 } else { self.buffer.len() };
        if held + raw.len() > self.options.max_transaction_bytes {
            let start = place.position();
            let start = self.group.take().map_or(start, |group| group.start);
            let limit = self.options.max_transaction_bytes;
            return Err(Error::TransactionTooLarge { start, limit });
        }
        self.buffer.extend_from_slice(raw);
        if let Some(group) = &mut self.group {
            group.wants_ack |= wants_ack;
            if group.in_pieces && !group.is_divisible() {
                let reason = "it stands behind rows of its transaction, which have gone on already";
                return Err(self.unsupported(header.kind, reason));
            }
        }
        match step {
            Step::More => Ok(self.piece()),
            Step::Done => Ok(self.close(crc)),
        }
    }

    /// The events so far, where they are enough for a piece.
    fn piece(&mut self) -> Option<Assembled> {
        let group = self.group.as_mut().filter(|group| group.is_divisible())?;
        if self.buffer.len() < PIECE_BYTES {
            return None;
        }
        group.in_pieces = true;
        Some(Assembled::Piece(self.events()))
    }

    fn events(&mut self) -> Bytes {
        let events = self.buffer.split().freeze();
        if self.buffer.capacity() > KEEP_BUFFER_BYTES {
            self.buffer = BytesMut::new();
        }
        events
    }

    fn close(&mut self, end_crc: u32) -> Option<Assembled> {
        let group = self.group.take()?;
        let events = self.events();
        let (wants_ack, in_pieces) = (group.wants_ack, group.in_pieces);
        let transaction = Transaction {
            class: group.class,
            start: group.start,
            end: self.position.clone(),
            gtid: group.gtid,
            commit_micros: group.commit_micros,
            end_crc,
            events,
        };
        Some(match in_pieces {
            true => Assembled::Pieced(transaction, wants_ack),
            false => Assembled::Transaction(transaction, wants_ack),
        })
    }

    /// Moves behind the event; where it starts.
    fn advance(&mut self, header: &EventHeader) -> Result<u64, Error> {
        let len = u64::from(header.event_len);
        let mut end = self.position.offset + len;
        if end as u32 != header.log_pos {
            if !self.options.may_skip || self.group.is_some() {
                let (position, kind) = (self.position.clone(), header.kind);
                return Err(Error::Gap { position, kind, log_pos: header.log_pos, expected: end });
            }
            end = lift(end, header.log_pos);
        }
        self.position.offset = end;
        Ok(end - len)
    }

    fn out_of_place(&self, kind: EventKind, place: &'static str) -> Error {
        Error::OutOfPlace { position: self.position.clone(), kind, place }
    }

    fn unsupported(&self, kind: EventKind, reason: &'static str) -> Error {
        Error::Unsupported { position: self.position.clone(), kind, reason }
    }
}

/// An event between transactions that starts none: one that nobody knows and that may be ignored is
/// passed over, all others are refused.
fn outside(header: &EventHeader, at: Place<'_>) -> Result<Option<Assembled>, Error> {
    refuse_or_keep(header, at)?;
    let (position, place) = (at.position(), "stands outside of a transaction");
    match header.kind.name() {
        Some(_) => Err(Error::OutOfPlace { position, kind: header.kind, place }),
        None => Ok(None),
    }
}

/// In no file: made up by the dump thread.
fn is_artificial(header: &EventHeader) -> bool {
    header.log_pos == 0 || header.flags.has(EventFlags::ARTIFICIAL)
}

/// The least offset from `from` on whose low 32 bits are `low`.
fn lift(from: u64, low: u32) -> u64 {
    from + u64::from(low.wrapping_sub(from as u32))
}
