//! A segment's bytes: read piece by piece while it grows, mapped once it is sealed.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use crate::disk::{Disk, File};
use crate::view::Segment;
use crate::{Error, Fault, Frame, FrameHeader};

/// How much of a growing segment is read at once: some whole frames of the usual size.
const READ_BYTES: u64 = 256 << 10;

/// An open segment.
pub(crate) struct Source {
    path: PathBuf,
    bytes: Stored,
}

enum Stored {
    File {
        file: File,
        /// The piece read last, and where it starts.
        piece: Bytes,
        at: u64,
    },
    Map(Bytes),
}

impl Source {
    /// Opens a segment of the view.
    pub fn open(disk: &Disk, segment: &Segment) -> Result<Source, Error> {
        let file = disk.open(&segment.path)?;
        let path = segment.path.clone();
        let bytes = match segment.sealed {
            true => Stored::Map(file.map(segment.end)?),
            false => Stored::File { file, piece: Bytes::new(), at: 0 },
        };
        Ok(Source { path, bytes })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The header of the frame at `offset`, of which the segment has no more than up to `limit`.
    /// The inner error is what is wrong with it.
    pub fn header(&mut self, offset: u64, limit: u64) -> Result<Result<FrameHeader, Fault>, Error> {
        let found = limit.saturating_sub(offset);
        let expected = FrameHeader::LEN as u64;
        if found < expected {
            return Ok(Err(Fault::Short { expected, found }));
        }
        let header = FrameHeader::decode(&self.read(offset, expected, limit)?);
        Ok(header.and_then(|header| match header.frame_len() {
            expected if expected <= found => Ok(header),
            expected => Err(Fault::Short { expected, found }),
        }))
    }

    /// The whole frame at `offset`, its checksums checked.
    pub fn frame(&mut self, offset: u64, limit: u64) -> Result<Result<Frame, Fault>, Error> {
        match self.header(offset, limit)? {
            Ok(header) => Ok(Frame::check(self.read(offset, header.frame_len(), limit)?)),
            Err(fault) => Ok(Err(fault)),
        }
    }

    /// `count` bytes; the caller has checked that they end at or before `limit`.
    pub fn read(&mut self, offset: u64, count: u64, limit: u64) -> Result<Bytes, Error> {
        let Stored::File { file, piece, at } = &mut self.bytes else {
            return Ok(self.mapped(offset, count));
        };
        if let Some(bytes) = slice(piece, offset.checked_sub(*at), count) {
            return Ok(bytes);
        }
        let length = count.max(READ_BYTES.min(limit.saturating_sub(offset)));
        let mut fresh = BytesMut::zeroed(usize::try_from(length).unwrap_or(usize::MAX));
        file.read_at(&mut fresh, offset)?;
        (*piece, *at) = (fresh.freeze(), offset);
        Ok(slice(piece, Some(0), count).unwrap_or_default())
    }

    fn mapped(&self, offset: u64, count: u64) -> Bytes {
        match &self.bytes {
            Stored::Map(map) => slice(map, Some(offset), count).unwrap_or_default(),
            Stored::File { .. } => Bytes::new(),
        }
    }
}

fn slice(bytes: &Bytes, offset: Option<u64>, count: u64) -> Option<Bytes> {
    let start = usize::try_from(offset?).ok()?;
    let end = start.checked_add(usize::try_from(count).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}
