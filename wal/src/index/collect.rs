//! Frames in, an index out.

use super::{
    GtidSource, Interval, MAX_FILES, MAX_RUN_SOURCES, MAX_SOURCES, RUN_BYTES, Run, SegmentIndex,
    Span, Spot, number,
};
use crate::codec::Place;
use crate::encoding::{Content, Head};
use crate::frame::visit;
use crate::segment::SegmentHeader;
use crate::{BinlogPosition, Error, Frame, Gtid};

impl SegmentIndex {
    /// Of a segment whose frames come next.
    pub(super) fn begin(header: &SegmentHeader) -> SegmentIndex {
        SegmentIndex {
            epoch: header.epoch,
            base: header.base,
            files: Vec::new(),
            sources: Vec::new(),
            runs: Vec::new(),
            last: header.base.previous(),
            end: header.len,
            chains: (header.before.chain, header.before.chain),
        }
    }

    /// Takes in the frame that starts at `self.end`, decompressing it.
    ///
    /// # Errors
    /// [`Error::BadFrame`]; the index is as before.
    pub(super) fn add(&mut self, frame: &Frame) -> Result<(), Error> {
        let header = frame.header();
        let body = frame.stored_body();
        let raw = header.codec.expand(&body, header.raw_len).map_err(Error::BadFrame)?;
        // Checked before anything of it is kept.
        visit(header, &raw, |_, _, _| {}).map_err(Error::BadFrame)?;
        let due = self.runs.last().is_none_or(|run| self.end - run.offset >= RUN_BYTES);
        if due {
            self.runs.push(Run {
                offset: self.end,
                first: header.first_lsn,
                timestamp: header.first_timestamp,
                latest: None,
                span: Span::None,
                gtids: Some(Vec::new()),
            });
        }
        visit(header, &raw, |_, _, content| self.see(&content)).map_err(Error::BadFrame)?;
        self.end += header.frame_len();
        self.last = Some(header.last_lsn());
        self.chains.1 = header.chain;
        Ok(())
    }

    fn see(&mut self, content: &Content<'_>) {
        match content {
            Content::Transaction(head) | Content::ChunkEnd(head) => self.see_transaction(head),
            Content::FormatDescription { position, .. } => self.reach(*position, *position),
            _ => {}
        }
    }

    fn see_transaction(&mut self, head: &Head<'_>) {
        self.reach(head.start, head.end);
        if let Some(gtid) = head.gtid.as_deref() {
            self.name(gtid);
        }
        if let Some(run) = self.runs.last_mut() {
            run.latest = run.latest.max(Some(head.commit_micros));
        }
    }

    /// Widens the run's span.
    fn reach(&mut self, start: Place<'_>, end: Place<'_>) {
        let spots = self.spot(start).zip(self.spot(end));
        let Some(span) = self.runs.last().map(|run| run.span) else { return };
        let wider = match (span, spots) {
            (Span::Any, _) | (_, None) => Span::Any,
            (Span::None, Some((start, end))) => {
                Span::Between(self.lesser(start, end), self.greater(start, end))
            }
            (Span::Between(low, high), Some((start, end))) => Span::Between(
                self.lesser(low, self.lesser(start, end)),
                self.greater(high, self.greater(start, end)),
            ),
        };
        if let Some(run) = self.runs.last_mut() {
            run.span = wider;
        }
    }

    fn spot(&mut self, place: Place<'_>) -> Option<Spot> {
        // The newest file is asked for again and again.
        let known = self.files.iter().rposition(|file| file == place.file);
        let index = match known {
            Some(index) => index,
            None if self.files.len() < MAX_FILES => {
                self.files.push(place.file.to_owned());
                self.files.len() - 1
            }
            None => return None,
        };
        Some(Spot { file: u16::try_from(index).ok()?, offset: place.offset })
    }

    fn lesser(&self, one: Spot, other: Spot) -> Spot {
        if self.is_greater(one, other) { other } else { one }
    }

    fn greater(&self, one: Spot, other: Spot) -> Spot {
        if self.is_greater(one, other) { one } else { other }
    }

    fn is_greater(&self, one: Spot, other: Spot) -> bool {
        if one.file == other.file {
            return one.offset > other.offset;
        }
        self.position(one) > self.position(other)
    }

    pub(super) fn position(&self, spot: Spot) -> BinlogPosition {
        let file = self.files.get(usize::from(spot.file)).map_or("", String::as_str);
        BinlogPosition::new(file, spot.offset)
    }

    /// Widens the run's interval of this GTID's source.
    fn name(&mut self, gtid: &Gtid) {
        let known = self.sources.iter().rposition(|source| source.is_of(gtid));
        let source = known.or_else(|| {
            (self.sources.len() < MAX_SOURCES).then(|| {
                self.sources.push(GtidSource::of(gtid));
                self.sources.len() - 1
            })
        });
        let source = source.and_then(|source| u16::try_from(source).ok());
        let Some(run) = self.runs.last_mut() else { return };
        let Some(intervals) = &mut run.gtids else { return };
        let number = number(gtid);
        let Some(source) = source else {
            run.gtids = None;
            return;
        };
        if let Some(one) = intervals.iter_mut().find(|one| one.source == source) {
            one.low = one.low.min(number);
            one.high = one.high.max(number);
        } else if intervals.len() < MAX_RUN_SOURCES {
            intervals.push(Interval { source, low: number, high: number });
        } else {
            run.gtids = None;
        }
    }
}
