//! Which record is meant: by LSN, timestamp, GTID, binlog position, or wall clock.
//!
//! Segments are chosen by their headers (or first transactions), then read.

use crate::codec::Place;
use crate::encoding::{Content, Head};
use crate::frame::visit;
use crate::{BinlogPosition, Error, Frame, Gtid, LogReader, Lsn, Timestamp};

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
    /// microseconds since 1970 UTC. Clocks jump: as good as the clock was.
    WallClock(i64),
}

impl LogReader {
    /// Finds a record.
    ///
    /// # Errors
    /// Those of [`crate::Cursor::next_frame`] and [`Frame::records`].
    pub fn find(&self, what: &Find) -> Result<Option<Lsn>, Error> {
        let bases: Vec<(Lsn, Option<Timestamp>)> = self.view(|view| {
            let start = |segment: &crate::view::Segment| {
                (segment.header.base, segment.header.before.timestamp)
            };
            view.segments.iter().map(start).collect()
        });
        match what {
            Find::Lsn(lsn) => Ok(self.point_at(*lsn)?.map(|point| point.lsn)),
            Find::Timestamp(wanted) => {
                // Behind a segment whose predecessor ends at or after it, nothing is the first.
                let behind = bases.partition_point(|(_, before)| *before < Some(*wanted));
                let from = bases.get(behind.saturating_sub(1)).map(|(base, _)| *base);
                self.first_from(
                    from,
                    |frame| frame.header().last_timestamp >= *wanted,
                    |seen| seen.timestamp >= *wanted,
                )
            }
            Find::Gtid(wanted) => self.newest(&bases, |seen| {
                seen.head().is_some_and(|head| head.gtid.as_deref() == Some(wanted))
            }),
            Find::Position(wanted) => self.newest(&bases, |seen| seen.covers(wanted)),
            Find::WallClock(wanted) => self.find_time(&bases, *wanted),
        }
    }

    fn find_time(
        &self,
        bases: &[(Lsn, Option<Timestamp>)],
        wanted: i64,
    ) -> Result<Option<Lsn>, Error> {
        let late = |seen: &Seen<'_>| seen.head().is_some_and(|head| head.commit_micros >= wanted);
        let (mut low, mut high) = (0, bases.len());
        // Invariant: the first transaction behind `low`'s start may be early, behind `high`'s is not.
        while high - low > 1 {
            let middle = low.midpoint(high);
            let Some(&(base, _)) = bases.get(middle) else {
                break;
            };
            if self.starts_late(base, wanted)? { high = middle } else { low = middle }
        }
        self.first_from(bases.get(low).map(|(base, _)| *base), |_| true, late)
    }

    fn starts_late(&self, base: Lsn, wanted: i64) -> Result<bool, Error> {
        let mut time = None;
        self.first_from(
            Some(base),
            |_| true,
            |seen| {
                time = seen.head().map(|head| head.commit_micros);
                time.is_some()
            },
        )?;
        Ok(time.is_none_or(|time| time >= wanted))
    }

    /// The first record from `from` on that `is_it`, in frames that `may_hold` it.
    fn first_from(
        &self,
        from: Option<Lsn>,
        may_hold: impl Fn(&Frame) -> bool,
        mut is_it: impl FnMut(&Seen<'_>) -> bool,
    ) -> Result<Option<Lsn>, Error> {
        let (Some(from), Some(last)) = (from, self.written()) else {
            return Ok(None);
        };
        let mut cursor = self.cursor(from)?;
        while let Some(frame) = cursor.next_frame(last.lsn)? {
            if may_hold(&frame)
                && let Some(found) = first_in(&frame, &mut is_it)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record that `is_it` in the newest segment that has one.
    fn newest(
        &self,
        bases: &[(Lsn, Option<Timestamp>)],
        mut is_it: impl FnMut(&Seen<'_>) -> bool,
    ) -> Result<Option<Lsn>, Error> {
        let Some(written) = self.written() else {
            return Ok(None);
        };
        let mut end = written.lsn;
        for (base, _) in bases.iter().rev().filter(|(base, _)| *base <= written.lsn) {
            let mut cursor = self.cursor(*base)?;
            while let Some(frame) = cursor.next_frame(end)? {
                if let Some(found) = first_in(&frame, &mut is_it)? {
                    return Ok(Some(found));
                }
            }
            let Some(previous) = base.previous() else {
                break;
            };
            end = previous;
        }
        Ok(None)
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

fn first_in(
    frame: &Frame,
    is_it: &mut impl FnMut(&Seen<'_>) -> bool,
) -> Result<Option<Lsn>, Error> {
    let header = frame.header();
    let raw = header.codec.expand(&frame.stored_body(), header.raw_len).map_err(Error::BadFrame)?;
    let mut found = None;
    let visited = visit(header, &raw, |lsn, timestamp, content| {
        if found.is_none() && is_it(&Seen { timestamp, content }) {
            found = Some(lsn);
        }
    });
    visited.map_err(Error::BadFrame)?;
    Ok(found)
}
