//! What a log holds, counted: for people.

use std::collections::BTreeMap;

use crate::encoding::{Content, Head};
use crate::frame::visit;
use crate::{Codec, Error, Frame, LogReader, Lsn, SegmentInfo, Timestamp, parallel};

/// Transactions named as the largest.
pub const LARGEST: usize = 10;

/// How far a survey looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Frames' headers and checksums, the first transaction, and the index.
    Frames,
    /// Every record.
    Records,
}

/// What a segment, or a whole log, holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Frames.
    pub frames: u64,
    /// Bytes of their bodies, uncompressed.
    pub raw_bytes: u64,
    /// Bytes of them, headers included.
    pub stored_bytes: u64,
    /// Frames by how their bodies are stored.
    pub codecs: BTreeMap<&'static str, u64>,
    /// Timestamps of the first and the last record.
    pub timestamps: Option<(Timestamp, Timestamp)>,
    /// Commit times: of the first transaction, and the latest; microseconds since 1970 UTC.
    pub committed: Option<(i64, i64)>,
    /// Records by kind; empty at [`Depth::Frames`].
    pub kinds: BTreeMap<&'static str, u64>,
    /// The largest transactions, largest first: bytes of raw events and record. A chunked one counts
    /// with its last piece. At most [`LARGEST`]; empty at [`Depth::Frames`].
    pub largest: Vec<(u64, Lsn)>,
}

impl Survey {
    /// Takes in what comes behind.
    pub fn add(&mut self, next: &Survey) {
        self.frames += next.frames;
        self.raw_bytes += next.raw_bytes;
        self.stored_bytes += next.stored_bytes;
        for (codec, frames) in &next.codecs {
            *self.codecs.entry(codec).or_default() += frames;
        }
        for (kind, records) in &next.kinds {
            *self.kinds.entry(kind).or_default() += records;
        }
        self.timestamps = match (self.timestamps, next.timestamps) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (one, other) => one.or(other),
        };
        self.committed = match (self.committed, next.committed) {
            (Some((first, latest)), Some((_, later))) => Some((first, latest.max(later))),
            (one, other) => one.or(other),
        };
        self.largest.extend(&next.largest);
        self.keep_largest();
    }

    fn keep_largest(&mut self) {
        self.largest.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        self.largest.truncate(LARGEST);
    }

    fn see_frame(&mut self, frame: &Frame) {
        let header = frame.header();
        self.frames += 1;
        self.raw_bytes += u64::from(header.raw_len);
        self.stored_bytes += header.frame_len();
        *self.codecs.entry(name(header.codec)).or_default() += 1;
        let first = self.timestamps.map_or(header.first_timestamp, |(first, _)| first);
        self.timestamps = Some((first, header.last_timestamp));
    }

    fn see_records(&mut self, frame: &Frame, count: bool) -> Result<(), Error> {
        let header = frame.header();
        let raw = header.codec.expand(&frame.stored_body(), header.raw_len);
        visit(header, &raw.map_err(Error::BadFrame)?, |lsn, _, content| {
            let (kind, head) = kind(&content);
            if let Some(head) = head {
                let time = head.commit_micros;
                let (first, latest) = self.committed.unwrap_or((time, time));
                self.committed = Some((first, latest.max(time)));
            }
            if count {
                *self.kinds.entry(kind).or_default() += 1;
                self.largest.extend(head.map(|head| (head.events.len() as u64, lsn)));
            }
        })
        .map_err(Error::BadFrame)?;
        if self.largest.len() > LARGEST {
            self.keep_largest();
        }
        Ok(())
    }
}

fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Stored => "stored",
        Codec::Lz4 => "lz4",
        Codec::Zstd => "zstd",
    }
}

fn kind<'a, 'b>(content: &'a Content<'b>) -> (&'static str, Option<&'a Head<'b>>) {
    match content {
        Content::Transaction(head) => ("transaction", Some(head)),
        Content::ChunkEnd(head) => ("chunk_end", Some(head)),
        Content::EpochStart(_) => ("epoch_start", None),
        Content::FormatDescription { .. } => ("format_description", None),
        Content::Heartbeat(_) => ("heartbeat", None),
        Content::Membership(_) => ("membership", None),
        Content::Chunk(_) => ("chunk", None),
    }
}

impl LogReader {
    /// Counts what each segment holds, several at a time; `passed` is told the bytes of each that is
    /// done.
    ///
    /// # Errors
    /// Those of [`crate::Cursor::next_frame`] and [`Frame::records`].
    pub fn survey(
        &self,
        depth: Depth,
        passed: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<(SegmentInfo, Survey)>, Error> {
        let surveyed = parallel::each(&self.segments(), |segment| {
            let survey = self.survey_segment(segment, depth)?;
            passed(segment.bytes);
            Ok((segment.clone(), survey))
        });
        surveyed.into_iter().collect()
    }

    fn survey_segment(&self, segment: &SegmentInfo, depth: Depth) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        let Some(last) = segment.last_lsn else { return Ok(survey) };
        let mut cursor = self.cursor(segment.base_lsn)?;
        let every = depth == Depth::Records;
        while let Some(frame) = cursor.next_frame(last)? {
            survey.see_frame(&frame);
            if every || survey.committed.is_none() {
                survey.see_records(&frame, every)?;
            }
        }
        let latest = self.summary_of(segment.base_lsn)?.and_then(|summary| summary.latest());
        survey.committed = survey.committed.map(|(first, seen)| (first, latest.unwrap_or(seen)));
        Ok(survey)
    }
}
