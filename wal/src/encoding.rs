//! One record's bytes inside a frame's uncompressed body. `FORMAT.md`, "Record".

use std::borrow::Cow;

use bytes::Bytes;

use crate::codec::{Bad, Count, Input, MAX_TEXT, Place, Sink};
use crate::{Body, EpochStart, Gtid, Timestamp, Transaction, TransactionClass};

const TRANSACTION: u8 = 1;
const EPOCH_START: u8 = 2;
const FORMAT_DESCRIPTION: u8 = 3;
const HEARTBEAT: u8 = 4;
const MEMBERSHIP: u8 = 5;
const CHUNK: u8 = 6;
const CHUNK_END: u8 = 7;

/// Set in a transaction's class byte where both its positions lie in one file.
const SAME_FILE: u8 = 0x80;

/// The least a record takes: length, kind, timestamp difference.
pub(crate) const MIN_RECORD: u64 = 3;

/// A [`Body`] that borrows: what is encoded from, and what decoding looks at without copying.
#[derive(Debug, Clone)]
pub(crate) enum Content<'a> {
    Transaction(Head<'a>),
    EpochStart(Start<'a>),
    FormatDescription { position: Place<'a>, event: &'a [u8] },
    Heartbeat(Timestamp),
    Membership(&'a [u8]),
    Chunk(&'a [u8]),
    ChunkEnd(Head<'a>),
}

/// A [`Transaction`] that borrows.
#[derive(Debug, Clone)]
pub(crate) struct Head<'a> {
    pub class: TransactionClass,
    pub start: Place<'a>,
    pub end: Place<'a>,
    pub gtid: Option<Cow<'a, Gtid>>,
    pub commit_micros: i64,
    pub end_crc: u32,
    pub events: &'a [u8],
}

/// An [`EpochStart`] that borrows.
#[derive(Debug, Clone)]
pub(crate) struct Start<'a> {
    pub member: &'a str,
    pub server_uuid: &'a str,
    pub server_version: &'a str,
    pub position: Place<'a>,
    pub last_gtid: Option<Cow<'a, Gtid>>,
    pub end_crc: Option<u32>,
    pub format_description: &'a [u8],
}

/// Appends a record to an uncompressed body. `since` is the record before, `None` for the first of
/// a frame (which so stands in the body whole, and in the chain).
pub(crate) fn put_record(
    out: &mut Vec<u8>,
    since: Option<Timestamp>,
    timestamp: Timestamp,
    content: &Content<'_>,
) {
    let difference = timestamp.bits().saturating_sub(since.map_or(0, Timestamp::bits));
    let mut length = Count::default();
    put_inner(&mut length, difference, content);
    out.varint(length.0 as u64);
    put_inner(out, difference, content);
}

/// Upper bound of what [`put_record`] appends.
pub(crate) fn record_bound(content: &Content<'_>) -> u64 {
    let mut length = Count::default();
    put_inner(&mut length, u64::MAX, content);
    length.0 as u64 + 10
}

fn put_inner(out: &mut impl Sink, difference: u64, content: &Content<'_>) {
    out.u8(content.kind());
    out.varint(difference);
    match content {
        Content::Transaction(head) | Content::ChunkEnd(head) => put_head(out, head),
        Content::EpochStart(start) => {
            out.block(start.member.as_bytes());
            out.block(start.server_uuid.as_bytes());
            out.block(start.server_version.as_bytes());
            out.position(start.position);
            out.gtid(start.last_gtid.as_deref());
            out.optional_u32(start.end_crc);
            out.put(start.format_description);
        }
        Content::FormatDescription { position, event } => {
            out.position(*position);
            out.put(event);
        }
        Content::Heartbeat(closed) => out.u64(closed.bits()),
        Content::Membership(bytes) | Content::Chunk(bytes) => out.put(bytes),
    }
}

fn put_head(out: &mut impl Sink, head: &Head<'_>) {
    let same_file = head.start.file == head.end.file;
    out.u8(class_code(head.class) | if same_file { SAME_FILE } else { 0 });
    out.position(head.start);
    if !same_file {
        out.block(head.end.file.as_bytes());
    }
    out.varint(head.end.offset);
    out.gtid(head.gtid.as_deref());
    out.put(&head.commit_micros.to_le_bytes());
    out.u32(head.end_crc);
    out.put(head.events);
}

fn class_code(class: TransactionClass) -> u8 {
    match class {
        TransactionClass::Rows => 1,
        TransactionClass::Ddl => 2,
        TransactionClass::CreateSelect => 3,
        TransactionClass::XaPrepare => 4,
        TransactionClass::XaCommit => 5,
        TransactionClass::XaRollback => 6,
    }
}

fn class_of(code: u8) -> Result<TransactionClass, Bad> {
    Ok(match code {
        1 => TransactionClass::Rows,
        2 => TransactionClass::Ddl,
        3 => TransactionClass::CreateSelect,
        4 => TransactionClass::XaPrepare,
        5 => TransactionClass::XaCommit,
        6 => TransactionClass::XaRollback,
        _ => return Err("transaction class"),
    })
}

/// Reads the next record of an uncompressed body.
pub(crate) fn take_record<'a>(
    input: &mut Input<'a>,
    since: Option<Timestamp>,
) -> Result<(Timestamp, Content<'a>), Bad> {
    let mut inner = Input::new(input.block("length")?);
    let kind = inner.u8("kind")?;
    let difference = inner.varint("timestamp")?;
    if difference == 0 {
        return Err("timestamp");
    }
    let timestamp = since.map_or(0, Timestamp::bits).checked_add(difference);
    let timestamp = timestamp.and_then(Timestamp::from_bits).ok_or("timestamp")?;
    Ok((timestamp, take_content(inner, kind)?))
}

fn take_content(mut inner: Input<'_>, kind: u8) -> Result<Content<'_>, Bad> {
    Ok(match kind {
        TRANSACTION => Content::Transaction(take_head(inner)?),
        CHUNK_END => Content::ChunkEnd(take_head(inner)?),
        EPOCH_START => Content::EpochStart(Start {
            member: inner.text("member")?,
            server_uuid: inner.text("server uuid")?,
            server_version: inner.text("server version")?,
            position: inner.position("position")?,
            last_gtid: inner.gtid()?.map(Cow::Owned),
            end_crc: inner.optional_u32("end checksum")?,
            format_description: inner.rest(),
        }),
        FORMAT_DESCRIPTION => Content::FormatDescription {
            position: inner.position("position")?,
            event: inner.rest(),
        },
        HEARTBEAT => {
            let closed = Timestamp::from_bits(inner.u64("closed timestamp")?);
            inner.end("heartbeat")?;
            Content::Heartbeat(closed.ok_or("closed timestamp")?)
        }
        MEMBERSHIP => Content::Membership(inner.rest()),
        CHUNK => Content::Chunk(inner.rest()),
        _ => return Err("kind"),
    })
}

fn take_head(mut inner: Input<'_>) -> Result<Head<'_>, Bad> {
    let code = inner.u8("transaction class")?;
    let class = class_of(code & !SAME_FILE)?;
    let start = inner.position("start position")?;
    let same_file = code & SAME_FILE != 0;
    let file = if same_file { start.file } else { inner.text("end position")? };
    Ok(Head {
        class,
        start,
        end: Place { file, offset: inner.varint("end position")? },
        gtid: inner.gtid()?.map(Cow::Owned),
        commit_micros: inner.u64("commit time")?.cast_signed(),
        end_crc: inner.u32("end checksum")?,
        events: inner.rest(),
    })
}

impl<'a> Content<'a> {
    fn kind(&self) -> u8 {
        match self {
            Content::Transaction(_) => TRANSACTION,
            Content::EpochStart(_) => EPOCH_START,
            Content::FormatDescription { .. } => FORMAT_DESCRIPTION,
            Content::Heartbeat(_) => HEARTBEAT,
            Content::Membership(_) => MEMBERSHIP,
            Content::Chunk(_) => CHUNK,
            Content::ChunkEnd(_) => CHUNK_END,
        }
    }

    /// Does it say in which format the events behind it are?
    pub fn sets_format(&self) -> bool {
        matches!(self, Content::EpochStart(_) | Content::FormatDescription { .. })
    }

    pub fn of(body: &'a Body) -> Content<'a> {
        match body {
            Body::Transaction(transaction) => Content::Transaction(Head::of(transaction)),
            Body::ChunkEnd(transaction) => Content::ChunkEnd(Head::of(transaction)),
            Body::EpochStart(start) => Content::EpochStart(Start {
                member: &start.member,
                server_uuid: &start.server_uuid,
                server_version: &start.server_version,
                position: Place::of(&start.position),
                last_gtid: start.last_gtid.as_ref().map(Cow::Borrowed),
                end_crc: start.end_crc,
                format_description: &start.format_description,
            }),
            Body::FormatDescription { position, event } => {
                Content::FormatDescription { position: Place::of(position), event }
            }
            Body::Heartbeat { closed } => Content::Heartbeat(*closed),
            Body::Membership(bytes) => Content::Membership(bytes),
            Body::Chunk(bytes) => Content::Chunk(bytes),
        }
    }

    /// Is every text in it short enough to be read again?
    pub fn texts_fit(&self) -> bool {
        let fit = |text: &str| text.len() <= MAX_TEXT;
        match self {
            Content::Transaction(head) | Content::ChunkEnd(head) => {
                let tag = match head.gtid.as_deref() {
                    Some(Gtid::Mysql { tag, .. }) => tag,
                    _ => "",
                };
                fit(head.start.file) && fit(head.end.file) && fit(tag)
            }
            Content::EpochStart(start) => {
                let texts = [start.member, start.server_uuid, start.server_version];
                texts.into_iter().all(fit) && fit(start.position.file)
            }
            Content::FormatDescription { position, .. } => fit(position.file),
            Content::Heartbeat(_) | Content::Membership(_) | Content::Chunk(_) => true,
        }
    }

    /// Makes it stand alone. Event bytes are not copied: they stay slices of `whole`, in which this
    /// content lies.
    pub fn body(self, whole: &Bytes) -> Body {
        match self {
            Content::Transaction(head) => Body::Transaction(head.transaction(whole)),
            Content::ChunkEnd(head) => Body::ChunkEnd(head.transaction(whole)),
            Content::EpochStart(start) => Body::EpochStart(EpochStart {
                member: start.member.to_owned(),
                server_uuid: start.server_uuid.to_owned(),
                server_version: start.server_version.to_owned(),
                position: start.position.position(),
                last_gtid: start.last_gtid.map(Cow::into_owned),
                end_crc: start.end_crc,
                format_description: whole.slice_ref(start.format_description),
            }),
            Content::FormatDescription { position, event } => Body::FormatDescription {
                position: position.position(),
                event: whole.slice_ref(event),
            },
            Content::Heartbeat(closed) => Body::Heartbeat { closed },
            Content::Membership(bytes) => Body::Membership(whole.slice_ref(bytes)),
            Content::Chunk(bytes) => Body::Chunk(whole.slice_ref(bytes)),
        }
    }
}

impl<'a> Head<'a> {
    fn of(transaction: &'a Transaction) -> Head<'a> {
        Head {
            class: transaction.class,
            start: Place::of(&transaction.start),
            end: Place::of(&transaction.end),
            gtid: transaction.gtid.as_ref().map(Cow::Borrowed),
            commit_micros: transaction.commit_micros,
            end_crc: transaction.end_crc,
            events: &transaction.events,
        }
    }

    fn transaction(self, whole: &Bytes) -> Transaction {
        Transaction {
            class: self.class,
            start: self.start.position(),
            end: self.end.position(),
            gtid: self.gtid.map(Cow::into_owned),
            commit_micros: self.commit_micros,
            end_crc: self.end_crc,
            events: whole.slice_ref(self.events),
        }
    }
}
