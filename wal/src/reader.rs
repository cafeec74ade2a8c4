//! Reading beside the writer, or of a folder whose writer is another process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::beginning::Beginning;
use crate::recover;
use crate::view::{FormatKnown, Segment, Shared, View};
use crate::{
    Body, ClusterId, Cursor, Disk, Epoch, Error, Frame, Incarnation, LogPoint, Lsn, Record,
    Timestamp,
};

/// Reads a log. Cheap to clone; any thread.
#[derive(Debug, Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

/// A segment, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its file.
    pub path: PathBuf,
    /// Epoch of all its records.
    pub epoch: Epoch,
    /// Number of its first record.
    pub base_lsn: Lsn,
    /// Number of its last record; `None` in an empty one.
    pub last_lsn: Option<Lsn>,
    /// Bytes of header and frames.
    pub bytes: u64,
    /// Never written again?
    pub sealed: bool,
    /// Timestamp of the record in front of it; `None` before the first.
    pub timestamp_before: Option<Timestamp>,
    /// Is there an index file for it, whole and its own?
    pub indexed: bool,
}

impl LogReader {
    pub(crate) fn of(shared: Arc<Shared>) -> LogReader {
        LogReader { shared }
    }

    /// Opens a folder as it is now, without the writer's lock, changing nothing: for looking at a
    /// log beside its writer. Does not follow what the writer does later. Damage in the newest
    /// segment is met where it is read.
    ///
    /// # Errors
    /// [`Error::NotALog`]; [`Error::Damaged`] in segment headers.
    pub fn open(dir: &Path) -> Result<LogReader, Error> {
        LogReader::open_on(&Disk::system(), dir)
    }

    /// As [`LogReader::open`], on another disk than the system's.
    ///
    /// # Errors
    /// Those of [`LogReader::open`].
    pub fn open_on(disk: &Disk, dir: &Path) -> Result<LogReader, Error> {
        let looked = recover::beside_writer(disk, dir, || recover::read_only(disk, dir));
        let (identity, view) = looked?;
        Ok(LogReader { shared: Shared::new(disk.clone(), dir.to_owned(), identity, view) })
    }

    /// The cluster that this log belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.shared.identity.cluster
    }

    /// The life of this folder (I16).
    pub fn incarnation(&self) -> Incarnation {
        self.shared.identity.incarnation
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// A cursor whose first frame will be the one that contains `from`, which may not be written
    /// yet.
    ///
    /// # Errors
    /// [`Error::Gone`] where the log starts behind `from`.
    pub fn cursor(&self, from: Lsn) -> Result<Cursor, Error> {
        let first = self.shared.read().segments.first().map(|segment| segment.header.base);
        match first {
            Some(first) if from < first => Err(Error::Gone { first }),
            _ => Ok(Cursor::new(Arc::clone(&self.shared), from)),
        }
    }

    /// The first record that is there; `None` in an empty log.
    pub fn first_lsn(&self) -> Option<Lsn> {
        self.shared.read().first_lsn()
    }

    /// The last record written.
    pub fn written(&self) -> Option<LogPoint> {
        self.shared.read().written
    }

    /// Of each epoch in the log its last record, ascending.
    pub fn epochs(&self) -> Vec<LogPoint> {
        self.shared.read().epochs()
    }

    /// What lies in front of the first record, where that is not record 1.
    pub fn beginning(&self) -> Option<Arc<Beginning>> {
        self.view(|view| view.beginning.clone())
    }

    /// The record `lsn` with its epoch; `None` where it is not in the log.
    ///
    /// # Errors
    /// None today; reading may become necessary.
    pub fn point_at(&self, lsn: Lsn) -> Result<Option<LogPoint>, Error> {
        Ok(self.shared.read().epoch_at(lsn).map(|epoch| LogPoint { epoch, lsn }))
    }

    /// Is `lsn` the last record of a frame in the log?
    ///
    /// # Errors
    /// Those of [`Cursor::next_frame`].
    pub fn boundary(&self, lsn: Lsn) -> Result<bool, Error> {
        let written = self.written();
        if written.is_some_and(|written| written.lsn == lsn) {
            return Ok(true);
        }
        Ok(self.frame_at(lsn)?.is_some_and(|frame| frame.last().lsn == lsn))
    }

    /// The frame that contains `lsn`; `None` where it is not in the log.
    ///
    /// # Errors
    /// Those of [`Cursor::next_frame`].
    pub fn frame_at(&self, lsn: Lsn) -> Result<Option<Frame>, Error> {
        if self.first_lsn().is_none_or(|first| lsn < first) {
            return Ok(None);
        }
        self.cursor(lsn)?.next_frame(lsn)
    }

    /// The record `lsn`; `None` where it is not in the log.
    ///
    /// # Errors
    /// Those of [`Cursor::next_frame`] and [`Frame::records`].
    pub fn record_at(&self, lsn: Lsn) -> Result<Option<Record>, Error> {
        let Some(frame) = self.frame_at(lsn)? else {
            return Ok(None);
        };
        Ok(frame.records()?.into_iter().find(|record| record.lsn == lsn))
    }

    /// The format description event in force at `lsn`, and the record that carries it.
    ///
    /// # Errors
    /// [`Error::NoFormat`]; those of [`Cursor::next_frame`].
    pub fn format_at(&self, lsn: Lsn) -> Result<(Lsn, Bytes), Error> {
        let (generation, written) = self.view(|view| (view.generation, view.written));
        let segment = self.segment_of(lsn).ok_or(Error::NoFormat(lsn))?;
        let base = segment.header.base;
        // Whoever asks often asks for one record behind another: the walk goes on where it ended.
        let known = self.shared.known_format().clone();
        let known = known.filter(|known| {
            (known.generation, known.base) == (generation, base) && known.through <= lsn
        });
        let mut found = match &known {
            Some(known) => known.found.clone(),
            None => self.format_before(&segment, lsn)?,
        };
        let mut cursor = self.cursor(known.map_or(base, |known| known.through))?;
        while let Some(frame) = cursor.next_frame(lsn)? {
            if frame.header().sets_format {
                found = format_in(&frame, lsn)?.or(found);
            }
        }
        // Not beyond what was there: a format may still come.
        if let Some(through) = written.map(|written| lsn.min(written.lsn)) {
            let known = FormatKnown { generation, base, through, found: found.clone() };
            *self.shared.known_format() = Some(known);
        }
        found.ok_or(Error::NoFormat(lsn))
    }

    /// The one that was in force in front of the segment.
    fn format_before(&self, segment: &Segment, lsn: Lsn) -> Result<Option<(Lsn, Bytes)>, Error> {
        let Some(context) = segment.header.context.as_ref() else { return Ok(None) };
        let Some(frame) = self.frame_at(context.format_lsn)? else {
            let beginning = self.beginning().map(|beginning| beginning.format());
            return Ok(beginning.filter(|(carrier, _)| *carrier == context.format_lsn));
        };
        format_in(&frame, context.format_lsn)?.ok_or(Error::NoFormat(lsn)).map(Some)
    }

    fn segment_of(&self, lsn: Lsn) -> Option<Segment> {
        let view = self.shared.read();
        view.segments.get(view.segment_of(lsn)?).cloned()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn view<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.shared.read())
    }

    /// Bytes of headers and frames.
    pub fn bytes(&self) -> u64 {
        self.view(|view| view.segments.iter().map(|segment| segment.end).sum())
    }

    /// Reads a segment from end to end, as it lies on the disk now: header, every checksum and record,
    /// and that it leads to the next one. Nothing where it is empty, or was cut off meanwhile.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the place; those of the system.
    pub fn check(&self, base: Lsn) -> Result<(), Error> {
        let found = |view: &View| {
            let index = view.segments.iter().position(|one| one.header.base == base)?;
            let next = view.segments.get(index + 1).cloned();
            Some((view.generation, view.segments.get(index)?.clone(), next))
        };
        let Some((generation, segment, next)) = self.view(found) else { return Ok(()) };
        if segment.end == segment.header.len {
            return Ok(());
        }
        let checked = recover::check(&self.shared.disk, &segment, next.as_ref());
        let there = self.view(|view| {
            let same = view.segments.iter().any(|one| one.header == segment.header);
            same && view.generation == generation
        });
        if there { checked } else { Ok(()) }
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let mut segments = self.view(|view| {
            let ends = view.segments.iter().skip(1).map(|next| next.header.base.previous());
            let ends = ends.chain([view.written.map(|written| written.lsn)]);
            view.segments.iter().zip(ends).map(info).collect::<Vec<_>>()
        });
        for segment in &mut segments {
            segment.indexed = self.is_indexed(segment.base_lsn);
        }
        segments
    }
}

fn info((segment, last): (&Segment, Option<Lsn>)) -> SegmentInfo {
    SegmentInfo {
        path: segment.path.clone(),
        epoch: segment.header.epoch,
        base_lsn: segment.header.base,
        last_lsn: last.filter(|&last| last >= segment.header.base),
        bytes: segment.end,
        sealed: segment.sealed,
        timestamp_before: segment.header.before.timestamp,
        indexed: false,
    }
}

/// The last format description in `frame` at or before `lsn`.
fn format_in(frame: &Frame, lsn: Lsn) -> Result<Option<(Lsn, Bytes)>, Error> {
    let mut found = None;
    for record in frame.records()? {
        if record.lsn > lsn {
            break;
        }
        match record.body {
            Body::EpochStart(start) => found = Some((record.lsn, start.format_description)),
            Body::FormatDescription { event, .. } => found = Some((record.lsn, event)),
            _ => {}
        }
    }
    Ok(found)
}
