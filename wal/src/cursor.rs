//! Frames in order, from any LSN on, beside the writer.

use std::path::Path;
use std::sync::Arc;

use crate::link::{Link, Takes};
use crate::segment::Source;
use crate::view::{Segment, Shared};
use crate::{Error, Fault, Frame, FrameHeader, LogPoint, Lsn, index};

/// Reads frames in order. Cheap to keep; holds at most one open segment.
pub struct Cursor {
    shared: Arc<Shared>,
    /// Number of the first record that has not been returned.
    next: Lsn,
    /// Of the view that `open` and `behind` were true in.
    generation: u64,
    open: Option<Open>,
    /// The end of what was returned; `None` before the first frame.
    behind: Option<Link>,
}

/// A place in a segment.
struct Open {
    base: Lsn,
    takes: Takes,
    source: Source,
    offset: u64,
    /// In front of `offset`.
    link: Link,
    /// Where it ends, if it was sealed when it was opened. Another file may bear its name by now.
    end: Option<u64>,
}

/// Where the view says that reading may go on.
enum Limit {
    /// Up to this offset of the open segment.
    At(u64),
    /// The open segment is read; the next one begins with the next record.
    NextSegment,
}

impl Cursor {
    pub(crate) fn new(shared: Arc<Shared>, from: Lsn) -> Cursor {
        let generation = shared.read().generation;
        Cursor { shared, next: from, generation, open: None, behind: None }
    }

    /// The next whole frame that starts at or before `up_to` and is already written (not: flushed,
    /// not: committed; that is `up_to`'s to say). `None`: nothing yet. The first frame returned is
    /// the one that contains the LSN asked for.
    ///
    /// Frames of sealed segments are slices of a memory map.
    ///
    /// # Errors
    /// [`Error::Cut`]: an adoption cut off what was read or asked for; take a new cursor.
    /// [`Error::Gone`]: older than the log. [`Error::Damaged`] names segment and offset.
    pub fn next_frame(&mut self, up_to: Lsn) -> Result<Option<Frame>, Error> {
        loop {
            if self.next > up_to || !self.is_written()? {
                return Ok(None);
            }
            match self.read() {
                Ok(None) => {}
                Ok(Some(frame)) if frame.header().first_lsn > up_to => return Ok(None),
                Ok(Some(frame)) => return Ok(Some(self.pass(frame))),
                Err(error @ Error::Gone { .. }) => return Err(error),
                // What looked like damage was the writer cutting or removing: ask the view again.
                Err(_) if self.is_stale() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn is_stale(&self) -> bool {
        let view = self.shared.read();
        let removed = view.first_lsn().is_some_and(|first| self.next < first);
        view.generation != self.generation || removed && self.open.is_none()
    }

    /// Is the next record there? Follows the view over a cut.
    fn is_written(&mut self) -> Result<bool, Error> {
        let view = self.shared.read();
        if view.generation != self.generation {
            if view.was_cut(self.generation, self.next) {
                return Err(Error::Cut(self.next));
            }
            self.generation = view.generation;
            self.open = None;
        }
        Ok(view.written.is_some_and(|written| self.next <= written.lsn))
    }

    /// The frame at the place; `None` where another segment had to be opened first.
    fn read(&mut self) -> Result<Option<Frame>, Error> {
        let Some(open) = self.open.as_mut() else {
            self.open = Some(self.seek()?);
            return Ok(None);
        };
        let limit = match limit(&self.shared, open) {
            Limit::At(limit) => limit,
            Limit::NextSegment => {
                self.open = None;
                return Ok(None);
            }
        };
        let damaged = |open: &Open, fault| Error::damaged(open.source.path(), open.offset, fault);
        match open.source.frame(open.offset, limit)? {
            Ok(frame) => match open.link.check_in(open.takes, frame.header()) {
                Ok(()) => Ok(Some(frame)),
                Err(fault) => Err(damaged(open, fault)),
            },
            Err(fault) => Err(damaged(open, fault)),
        }
    }

    fn pass(&mut self, frame: Frame) -> Frame {
        if let Some(open) = self.open.as_mut() {
            open.pass(frame.header());
            self.behind = Some(open.link);
        }
        self.next = frame.header().last_lsn().next();
        frame
    }

    /// Opens the segment that holds the next record, at the frame that contains it.
    fn seek(&self) -> Result<Open, Error> {
        let (segment, hint) = self.locate()?;
        let (segment, source) = Source::open(&self.shared.disk, segment)?;
        let header = &segment.header;
        let mut open = Open {
            base: header.base,
            takes: header.takes(),
            source,
            offset: header.len,
            link: Link::before(header),
            end: segment.sealed.then_some(segment.end),
        };
        if let Some((offset, first)) = hint.filter(|&(offset, _)| offset > open.offset) {
            open.jump(offset, first, segment.end)?;
        }
        while open.skip_before(self.next, segment.end)? {}
        if let Some(behind) = &self.behind {
            let checked = continues(behind, &open.link);
            checked.map_err(|fault| Error::damaged(&segment.path, open.offset, fault))?;
        }
        Ok(open)
    }

    /// The segment, and where in it to start looking: a frame's offset and first record.
    fn locate(&self) -> Result<(Segment, Option<(u64, Lsn)>), Error> {
        let view = self.shared.read();
        let Some(first) = view.first_lsn() else {
            return Err(Error::Cut(self.next));
        };
        let index = view.segment_of(self.next).ok_or(Error::Gone { first })?;
        let segment = view.segments.get(index).ok_or(Error::Gone { first })?;
        let segment = segment.clone();
        if index + 1 == view.segments.len() {
            let hint = view.hint(self.next);
            return Ok((segment, hint));
        }
        drop(view);
        let hint = match segment.header.base {
            base if base == self.next => None,
            base => index::run_of(&self.shared, base, self.next),
        };
        Ok((segment, hint))
    }

    /// Segment file and offset of the frame that comes next, where one is open.
    pub fn place(&self) -> Option<(&Path, u64)> {
        self.open.as_ref().map(|open| (open.source.path(), open.offset))
    }

    /// The last record returned.
    pub fn last(&self) -> Option<LogPoint> {
        self.behind.and_then(|link| link.last)
    }
}

fn limit(shared: &Shared, open: &Open) -> Limit {
    let view = shared.read();
    match view.segments.last() {
        Some(newest) if newest.header.base == open.base => {
            Limit::At(open.end.unwrap_or(newest.end))
        }
        _ => {
            let segment = view.segment_of(open.base).and_then(|index| view.segments.get(index));
            let segment = segment.filter(|segment| segment.header.base == open.base);
            match segment.map(|segment| open.end.unwrap_or(segment.sealed_bytes())) {
                Some(end) if open.offset < end => Limit::At(end),
                _ => Limit::NextSegment,
            }
        }
    }
}

/// Is the place that was sought the continuation of what was returned?
fn continues(behind: &Link, link: &Link) -> Result<(), Fault> {
    if behind.chain == link.chain {
        Ok(())
    } else {
        Err(Fault::Chain { expected: behind.chain, found: link.chain })
    }
}

impl Open {
    fn pass(&mut self, frame: &FrameHeader) {
        self.link.pass(frame);
        self.offset += frame.frame_len();
    }

    fn header(&mut self, limit: u64) -> Result<FrameHeader, Error> {
        let header = self.source.header(self.offset, limit)?;
        header.map_err(|fault| Error::damaged(self.source.path(), self.offset, fault))
    }

    /// To a frame start that the writer, or an index, remembered. Where no such frame starts there,
    /// the reader stays at the segment's first.
    fn jump(&mut self, offset: u64, first: Lsn, limit: u64) -> Result<(), Error> {
        let Ok(header) = self.source.header(offset, limit)? else { return Ok(()) };
        if (header.first_lsn, header.epoch) != (first, self.takes.epoch) {
            return Ok(());
        }
        self.offset = offset;
        self.link = Link {
            last: header.first_lsn.previous().map(|lsn| LogPoint { epoch: header.epoch, lsn }),
            chain: header.prev_chain,
            timestamp: None,
        };
        Ok(())
    }

    /// Steps over the frame here if it ends before `lsn`.
    fn skip_before(&mut self, lsn: Lsn, limit: u64) -> Result<bool, Error> {
        let header = self.header(limit)?;
        let checked = self.link.check_in(self.takes, &header);
        checked.map_err(|fault| Error::damaged(self.source.path(), self.offset, fault))?;
        let before = header.last_lsn() < lsn;
        if before {
            self.pass(&header);
        }
        Ok(before)
    }
}
