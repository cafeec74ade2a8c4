//! Where a log begins whose first records are not there: they were removed, or never fetched. What
//! the records behind it rest on, in one file. `FORMAT.md`, "Beginning".

use std::path::Path;

use bytes::Bytes;

use crate::codec::{Bad, Input, Sink};
use crate::link::Link;
use crate::{ClusterId, Epoch, Error, Fault, LogPoint, LogReader, Lsn, SourceContext, Timestamp};
use crate::{Disk, view::Segment};

const NAME: &str = "beginning";
const MAGIC: &[u8; 8] = b"PLIMBEG\n";
const VERSION: u16 = 1;

/// No file is longer: some thousand epochs and a format description take a tenth.
const MAX_BYTES: u64 = 1 << 20;

/// The end of what is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    cluster: ClusterId,
    last: LogPoint,
    chain: u32,
    timestamp: Timestamp,
    /// Of each epoch before, its last record, ascending; the last one's is `last`.
    epochs: Vec<LogPoint>,
    context: SourceContext,
    /// The event that `context.format_lsn` names.
    format: Bytes,
}

impl Beginning {
    /// In front of `segment`, which `reader` still reads with all that is before it.
    pub(crate) fn before(reader: &LogReader, segment: &Segment) -> Result<Beginning, Error> {
        let header = &segment.header;
        let missing = |what| Error::damaged(&segment.path, 0, Fault::Field(what));
        let link = Link::before(header);
        let last = link.last.ok_or_else(|| missing("epoch before"))?;
        let context = header.context.clone().ok_or_else(|| missing("source context"))?;
        let (_, format) = reader.format_at(last.lsn)?;
        let mut epochs = reader.epochs();
        epochs.retain(|point| point.epoch <= last.epoch);
        if let Some(point) = epochs.last_mut() {
            *point = last;
        }
        Ok(Beginning {
            cluster: header.cluster,
            last,
            chain: link.chain,
            timestamp: link.timestamp.ok_or_else(|| missing("timestamp before"))?,
            epochs,
            context,
            format: Bytes::copy_from_slice(&format),
        })
    }

    /// The record in front of the first one.
    pub fn last(&self) -> LogPoint {
        self.last
    }

    /// Is it of this cluster?
    pub(crate) fn fits(&self, cluster: ClusterId) -> Result<(), Fault> {
        match self.cluster {
            found if found == cluster => Ok(()),
            found => Err(Fault::Cluster { expected: cluster, found }),
        }
    }

    pub(crate) fn link(&self) -> Link {
        Link { last: Some(self.last), chain: self.chain, timestamp: Some(self.timestamp) }
    }

    pub(crate) fn context(&self) -> &SourceContext {
        &self.context
    }

    /// Of each epoch before, its last record, ascending.
    pub(crate) fn epochs(&self) -> &[LogPoint] {
        &self.epochs
    }

    /// The format description in force there, and its record.
    pub(crate) fn format(&self) -> (Lsn, Bytes) {
        (self.context.format_lsn, self.format.clone())
    }

    /// As in its file, and on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut context = Vec::new();
        self.context.encode(&mut context);
        let mut out = Vec::new();
        out.put(MAGIC);
        out.put(&VERSION.to_le_bytes());
        out.put(&[0, 0]);
        out.put(self.cluster.bytes());
        out.u64(self.last.lsn.get());
        out.u32(self.last.epoch.get());
        out.u32(self.chain);
        out.u64(self.timestamp.bits());
        out.varint(self.epochs.len() as u64);
        for point in &self.epochs {
            out.u32(point.epoch.get());
            out.u64(point.lsn.get());
        }
        out.block(&context);
        out.block(&self.format);
        let crc = crc32fast::hash(&out);
        out.u32(crc);
        out
    }

    /// Reads what [`Beginning::encode`] wrote, for a log of `cluster`.
    ///
    /// # Errors
    /// [`Error::Damaged`] names what is wrong.
    pub fn decode(bytes: &[u8], cluster: ClusterId) -> Result<Beginning, Error> {
        let damaged = |fault| Error::damaged(Path::new(NAME), 0, fault);
        let found = bytes.len() as u64;
        if found > MAX_BYTES {
            return Err(damaged(Fault::Bounds { what: "beginning", found }));
        }
        let short = damaged(Fault::Short { expected: 4, found });
        let (checked, crc) = bytes.split_last_chunk::<4>().ok_or(short)?;
        let (expected, found) = (crc32fast::hash(checked), u32::from_le_bytes(*crc));
        if expected != found {
            return Err(damaged(Fault::Checksum { what: "beginning", expected, found }));
        }
        let read = fields(Input::new(checked)).map_err(|what| damaged(Fault::Field(what)))?;
        read.fits(cluster).map_err(damaged)?;
        Ok(read)
    }

    /// Durable on return, over the one before.
    ///
    /// # Errors
    /// [`Error::TooLarge`], with nothing changed: a history of very many epochs. Others of the system.
    pub(crate) fn store(&self, disk: &Disk, dir: &Path) -> Result<(), Error> {
        let bytes = self.encode();
        let (length, limit) = (bytes.len() as u64, MAX_BYTES);
        if length > limit {
            return Err(Error::TooLarge { bytes: length, limit });
        }
        disk.replace(&dir.join(NAME), &bytes)
    }

    /// The one of the log at `dir`; `None` where that begins with record 1.
    pub(crate) fn load(
        disk: &Disk,
        dir: &Path,
        cluster: ClusterId,
    ) -> Result<Option<Beginning>, Error> {
        let path = dir.join(NAME);
        let length = disk.look(&path)?.map(|(_, length)| length);
        if let Some(found) = length.filter(|&length| length > MAX_BYTES) {
            return Err(Error::damaged(&path, 0, Fault::Bounds { what: "beginning", found }));
        }
        disk.read(&path)?.map(|bytes| Beginning::decode(&bytes, cluster)).transpose()
    }

    /// Does a log whose segments begin with `first` begin here? A removal that broke off leaves
    /// segments in front of it.
    pub(crate) fn check(
        beginning: Option<&Beginning>,
        dir: &Path,
        first: Option<&Segment>,
    ) -> Result<(), Error> {
        let Some(before) = first.and_then(|first| first.header.base.previous()) else {
            return Ok(());
        };
        match beginning {
            Some(beginning) if beginning.last.lsn >= before => Ok(()),
            _ => Err(Error::damaged(&dir.join(NAME), 0, Fault::Missing(before))),
        }
    }
}

fn fields(mut input: Input<'_>) -> Result<Beginning, Bad> {
    if input.take(8, "magic")? != MAGIC || input.u16("version")? != VERSION {
        return Err("version");
    }
    if input.u16("reserved bytes")? != 0 {
        return Err("reserved bytes");
    }
    let cluster = ClusterId::from_bytes(input.id("cluster")?);
    let lsn = Lsn::new(input.u64("LSN")?).ok_or("LSN")?;
    let last = LogPoint { epoch: Epoch::new(input.u32("epoch")?).ok_or("epoch")?, lsn };
    let chain = input.u32("chain")?;
    let timestamp = Timestamp::from_bits(input.u64("timestamp")?).ok_or("timestamp")?;
    let count = input.varint("epochs")?;
    if count > input.rest().len() as u64 / 12 {
        return Err("epochs");
    }
    let mut epochs: Vec<LogPoint> = Vec::new();
    for _ in 0..count {
        let epoch = Epoch::new(input.u32("epoch")?).ok_or("epoch")?;
        let point = LogPoint { epoch, lsn: Lsn::new(input.u64("LSN")?).ok_or("LSN")? };
        let ascends =
            epochs.last().is_none_or(|one| one.epoch < point.epoch && one.lsn < point.lsn);
        if !ascends {
            return Err("epochs");
        }
        epochs.push(point);
    }
    if epochs.last() != Some(&last) {
        return Err("epochs");
    }
    let context = SourceContext::decode(Input::new(input.block("source context")?))?;
    let format = Bytes::copy_from_slice(input.block("format description")?);
    input.end("beginning")?;
    Ok(Beginning { cluster, last, chain, timestamp, epochs, context, format })
}
