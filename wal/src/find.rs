//! Which record is meant: by LSN, timestamp, GTID, binlog position, or wall clock.
//!
//! Segments are chosen by their headers and summaries, runs of frames by their indexes; what is said
//! was read.

use crate::codec::Place;
use crate::encoding::{Content, Head};
use crate::frame::visit;
use crate::index::{SegmentIndex, Stretch, Summary};
use crate::view::Segment;
use crate::{BinlogPosition, Cursor, Error, Frame, Gtid, LogReader, Lsn, Timestamp};

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    /// The record itself, if it is there.
    Lsn(Lsn),
    /// The first record with this timestamp or a greater one.
    Timestamp(Timestamp),
    /// The transaction of this name; the newest, where a RESET made a name come twice.
    Gtid(Gtid),
    /// The transaction or format description that covers this place of the source's binlog, or ends
    /// there; the newest, where names of files come twice.
    Position(BinlogPosition),
    /// The first transaction committed at or after this time by the source's wall clock,
    /// microseconds since 1970 UTC. Clocks jump back and forth: every transaction in front of it
    /// says an earlier time, while some behind it may too.
    WallClock(i64),
}

/// Which of the records that match.
#[derive(Clone, Copy)]
enum Which {
    First,
    Last,
}

impl LogReader {
    /// Finds a record. The segment is chosen by its header or [`Summary`], the run of frames in it by
    /// its index, and what is returned was read from a frame. Warm, that is one frame decompressed;
    /// the comparisons are logarithmic in frames for numbers and timestamps, else one for each
    /// segment.
    ///
    /// # Errors
    /// [`Error::Gone`]: the log begins behind an LSN or timestamp that is asked for, so the answer may
    /// have been removed; those of [`crate::Cursor::next_frame`] and [`Frame::records`].
    pub fn find(&self, what: &Find) -> Result<Option<Lsn>, Error> {
        match what {
            Find::Lsn(lsn) => self.find_number(*lsn),
            Find::Timestamp(wanted) => self.find_timestamp(*wanted),
            Find::WallClock(wanted) => self.find_time(*wanted),
            Find::Gtid(wanted) => self.find_newest(
                |summary| summary.may_hold_gtid(wanted),
                |index| index.with_gtid(wanted),
                |seen| seen.head().is_some_and(|head| head.gtid.as_deref() == Some(wanted)),
            ),
            Find::Position(wanted) => self.find_newest(
                |summary| summary.may_hold_position(wanted),
                |index| index.with_position(wanted),
                |seen| seen.covers(wanted),
            ),
        }
    }

    /// A cursor whose first frame holds the record that [`LogReader::find`] finds, and that record;
    /// `None` where there is none.
    ///
    /// # Errors
    /// Those of [`LogReader::find`] and [`LogReader::cursor`].
    pub fn cursor_at(&self, what: &Find) -> Result<Option<(Lsn, Cursor)>, Error> {
        let Some(lsn) = self.find(what)? else { return Ok(None) };
        Ok(Some((lsn, self.cursor(lsn)?)))
    }

    fn find_number(&self, lsn: Lsn) -> Result<Option<Lsn>, Error> {
        match self.first_lsn() {
            Some(first) if lsn < first => Err(Error::Gone { first }),
            _ => Ok(self.point_at(lsn)?.map(|point| point.lsn)),
        }
    }

    fn find_timestamp(&self, wanted: Timestamp) -> Result<Option<Lsn>, Error> {
        // Behind a segment whose predecessor ends at or after it, nothing is the first.
        let before = |segment: &Segment| segment.header.before.timestamp;
        let (first, base) = self.view(|view| {
            let behind = view.segments.partition_point(|one| before(one) < Some(wanted));
            let base = behind.checked_sub(1).and_then(|index| view.segments.get(index));
            (view.segments.first().map(|one| one.header.base), base.map(|one| one.header.base))
        });
        let (Some(first), Some(written)) = (first, self.written()) else {
            return Ok(None);
        };
        let base = base.ok_or(Error::Gone { first })?;
        let index = self.index_of(base)?;
        let mut from = index.and_then(|index| index.at_timestamp(wanted)).unwrap_or(base);
        let mut cursor = self.cursor(from)?;
        while let Some(frame) = cursor.next_frame(written.lsn)? {
            let header = frame.header();
            if header.first_lsn == from && header.first_timestamp > wanted && from > base {
                // The index led too far: it is not this segment's.
                from = base;
                cursor = self.cursor(base)?;
                continue;
            }
            if frame.header().first_timestamp >= wanted {
                return Ok(Some(frame.header().first_lsn));
            }
            if frame.header().last_timestamp >= wanted {
                return search(&frame, Which::First, &mut |seen| seen.timestamp >= wanted);
            }
        }
        Ok(None)
    }

    fn find_time(&self, wanted: i64) -> Result<Option<Lsn>, Error> {
        let late = |seen: &Seen<'_>| seen.head().is_some_and(|head| head.commit_micros >= wanted);
        for base in self.bases().1 {
            let summary = self.summary_of(base)?;
            if summary.is_none_or(|summary| summary.latest() < Some(wanted)) {
                continue;
            }
            let Some(index) = self.index_of(base)? else { continue };
            for stretch in index.committed_from(wanted) {
                if let Some(found) = self.search(stretch, Which::First, late)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The last record that `is_it`.
    fn find_newest(
        &self,
        may_hold: impl Fn(&Summary) -> bool,
        stretches: impl Fn(&SegmentIndex) -> Vec<Stretch>,
        is_it: impl Fn(&Seen<'_>) -> bool,
    ) -> Result<Option<Lsn>, Error> {
        for base in self.bases().1.into_iter().rev() {
            if self.summary_of(base)?.is_none_or(|summary| !may_hold(&summary)) {
                continue;
            }
            let Some(index) = self.index_of(base)? else { continue };
            for stretch in stretches(&index) {
                if let Some(found) = self.search(stretch, Which::Last, &is_it)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Reads a stretch of frames.
    fn search(
        &self,
        (first, last): Stretch,
        which: Which,
        mut is_it: impl FnMut(&Seen<'_>) -> bool,
    ) -> Result<Option<Lsn>, Error> {
        let mut found = None;
        let mut cursor = self.cursor(first)?;
        while let Some(frame) = cursor.next_frame(last)? {
            found = search(&frame, which, &mut is_it)?.or(found);
            if found.is_some() && matches!(which, Which::First) {
                break;
            }
        }
        Ok(found)
    }
}

/// A record as the search sees it: nothing copied.
struct Seen<'a> {
    timestamp: Timestamp,
    content: Content<'a>,
}

impl Seen<'_> {
    fn head(&self) -> Option<&Head<'_>> {
        match &self.content {
            Content::Transaction(head) | Content::ChunkEnd(head) => Some(head),
            _ => None,
        }
    }

    fn covers(&self, wanted: &BinlogPosition) -> bool {
        let at = |place: Place<'_>| place.position();
        match &self.content {
            Content::Transaction(head) | Content::ChunkEnd(head) => {
                at(head.start) < *wanted && *wanted <= at(head.end)
            }
            Content::FormatDescription { position, .. } => at(*position) == *wanted,
            _ => false,
        }
    }
}

fn search(
    frame: &Frame,
    which: Which,
    is_it: &mut impl FnMut(&Seen<'_>) -> bool,
) -> Result<Option<Lsn>, Error> {
    let header = frame.header();
    let raw = header.codec.expand(&frame.stored_body(), header.raw_len).map_err(Error::BadFrame)?;
    let mut found = None;
    let visited = visit(header, &raw, |lsn, timestamp, content| {
        let wanted = found.is_none() || matches!(which, Which::Last);
        if wanted && is_it(&Seen { timestamp, content }) {
            found = Some(lsn);
        }
    });
    visited.map_err(Error::BadFrame)?;
    Ok(found)
}
