//! Where the source stands, as the log's records up to a place tell it (I17).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::codec::{Bad, Input, Place, Sink};
use crate::encoding::{Content, Head, Start};
use crate::{BinlogPosition, Gtid, Lsn};

/// State of the current source at a place in the log: what a shipper resumes from, without reading
/// the log. `None` as a whole while no EpochStart is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceContext {
    /// Member of the latest EpochStart.
    pub member: String,
    /// Its server's identity.
    pub server_uuid: String,
    /// Its server's version text.
    pub server_version: String,
    /// The latest EpochStart.
    pub epoch_start: Lsn,
    /// The latest record that carries a format description: EpochStart or FormatDescription.
    pub format_lsn: Lsn,
    /// End of the last source event in the log.
    pub position: BinlogPosition,
    /// GTID of the last transaction that had one.
    pub last_gtid: Option<Gtid>,
    /// CRC32 that ends the event which ends at `position`, where known.
    pub end_crc: Option<u32>,
    /// The last whole transaction of this `server_uuid`: its record, and where it starts.
    pub last_transaction: Option<(Lsn, BinlogPosition)>,
}

impl SourceContext {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.block(self.member.as_bytes());
        out.block(self.server_uuid.as_bytes());
        out.block(self.server_version.as_bytes());
        out.varint(self.epoch_start.get());
        out.varint(self.format_lsn.get());
        out.position(Place::of(&self.position));
        out.gtid(self.last_gtid.as_ref());
        out.optional_u32(self.end_crc);
        match &self.last_transaction {
            None => out.u8(0),
            Some((lsn, start)) => {
                out.u8(1);
                out.varint(lsn.get());
                out.position(Place::of(start));
            }
        }
    }

    /// Does it name only records in front of `base`?
    pub(crate) fn is_before(&self, base: Lsn) -> bool {
        let transaction = self.last_transaction.as_ref().map(|(lsn, _)| *lsn);
        self.epoch_start < base && self.format_lsn < base && transaction < Some(base)
    }

    pub(crate) fn decode(mut input: Input<'_>) -> Result<SourceContext, Bad> {
        const WHAT: Bad = "source context";
        let context = SourceContext {
            member: input.text(WHAT)?.to_owned(),
            server_uuid: input.text(WHAT)?.to_owned(),
            server_version: input.text(WHAT)?.to_owned(),
            epoch_start: Lsn::new(input.varint(WHAT)?).ok_or(WHAT)?,
            format_lsn: Lsn::new(input.varint(WHAT)?).ok_or(WHAT)?,
            position: input.position(WHAT)?.position(),
            last_gtid: input.gtid()?,
            end_crc: input.optional_u32(WHAT)?,
            last_transaction: match input.u8(WHAT)? {
                0 => None,
                1 => {
                    let lsn = Lsn::new(input.varint(WHAT)?).ok_or(WHAT)?;
                    Some((lsn, input.position(WHAT)?.position()))
                }
                _ => return Err(WHAT),
            },
        };
        input.end(WHAT)?;
        Ok(context)
    }
}

/// What one frame's records do to the context: only the last of each kind matters, so this stays
/// small, and its text buffers are used again from record to record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    /// The frame's EpochStart: always its first record.
    start: Option<Reign>,
    /// Index of the last record that sets the format.
    format: Option<u32>,
    position: Option<BinlogPosition>,
    gtid: Option<Gtid>,
    end_crc: Option<u32>,
    /// Index and start of the last whole transaction.
    transaction: Option<(u32, BinlogPosition)>,
}

#[derive(Debug, Clone)]
struct Reign {
    member: String,
    server_uuid: String,
    server_version: String,
}

impl Trace {
    /// Takes in the frame's record number `index` (from 0).
    pub fn see(&mut self, index: u32, content: &Content<'_>) {
        match content {
            Content::EpochStart(start) => self.see_start(index, start),
            Content::FormatDescription { position, event } => {
                self.format = Some(index);
                position.store(&mut self.position);
                self.end_crc = event.last_chunk::<4>().map(|crc| u32::from_le_bytes(*crc));
            }
            Content::Transaction(head) | Content::ChunkEnd(head) => self.see_end(index, head),
            Content::Heartbeat(_) | Content::Membership(_) | Content::Chunk(_) => {}
        }
    }

    fn see_start(&mut self, index: u32, start: &Start<'_>) {
        *self = Trace {
            start: Some(Reign {
                member: start.member.to_owned(),
                server_uuid: start.server_uuid.to_owned(),
                server_version: start.server_version.to_owned(),
            }),
            format: Some(index),
            position: Some(start.position.position()),
            gtid: start.last_gtid.clone().map(Cow::into_owned),
            end_crc: start.end_crc,
            transaction: None,
        };
    }

    fn see_end(&mut self, index: u32, head: &Head<'_>) {
        head.end.store(&mut self.position);
        self.end_crc = Some(head.end_crc);
        if let Some(gtid) = head.gtid.as_deref() {
            self.gtid = Some(gtid.clone());
        }
        match &mut self.transaction {
            Some((last, start)) => {
                *last = index;
                start.file.clear();
                start.file.push_str(head.start.file);
                start.offset = head.start.offset;
            }
            None => self.transaction = Some((index, head.start.position())),
        }
    }

    /// Brings `context` from before the frame that starts at `first` to behind it.
    pub fn apply(&self, first: Lsn, context: &mut Option<SourceContext>) {
        let lsn = |index: u32| first.plus(u64::from(index));
        if let (Some(reign), Some(position)) = (&self.start, &self.position) {
            let before = context.take();
            let same = before.filter(|before| before.server_uuid == reign.server_uuid);
            *context = Some(SourceContext {
                member: reign.member.clone(),
                server_uuid: reign.server_uuid.clone(),
                server_version: reign.server_version.clone(),
                epoch_start: first,
                format_lsn: first,
                position: position.clone(),
                last_gtid: None,
                end_crc: None,
                last_transaction: same.and_then(|before| before.last_transaction),
            });
        }
        let Some(context) = context else { return };
        if let Some(index) = self.format {
            context.format_lsn = lsn(index);
        }
        if let Some(position) = &self.position {
            context.position.clone_from(position);
            context.end_crc = self.end_crc;
        }
        if self.gtid.is_some() || self.start.is_some() {
            context.last_gtid.clone_from(&self.gtid);
        }
        if let Some((index, start)) = &self.transaction {
            context.last_transaction = Some((lsn(*index), start.clone()));
        }
    }
}
