//! Adoption's cut (I13): the only way a flushed record ever goes.
//!
//! No file is cut in place: a cut segment is written anew up to the cut, fsynced, and renamed over
//! the old one, whose bytes live on for who has them mapped. So a stale frame cannot stand behind a
//! new one, and no reader's memory changes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, File};
use crate::folder::Flushed;
use crate::log::{Live, drop_segments, origin};
use crate::recover::{self, Scan};
use crate::segment::SegmentHeader;
use crate::view::Segment;
use crate::{Error, Log, LogPoint, Lsn, index};

/// Where a cut goes through.
struct Place {
    /// Index of the segment that becomes the newest.
    segment: usize,
    /// Its header from then on.
    header: SegmentHeader,
    scan: Scan,
    /// Its file, cut but not yet in place; `None` where the cut is at its very end.
    cut: Option<(File, u64)>,
}

impl Log {
    /// Cuts the log behind record `keep` (all of it where `None`): adoption of another log whose
    /// continuation differs (I13). Durable when it returns. Cursors that were past the cut return
    /// [`Error::Cut`].
    ///
    /// # Errors
    /// [`Error::NotABoundary`]: `keep` is not a frame's last record, or not there; [`Error::Gone`];
    /// [`Error::Full`]: nothing was cut. Others may leave part of what was to go; the log is
    /// [`Error::Poisoned`] then, and a longer, valid prefix is found at the next opening.
    pub fn truncate_after(&mut self, keep: Option<Lsn>) -> Result<(), Error> {
        self.usable()?;
        if keep == self.tail().map(|tail| tail.lsn) {
            return self.sync();
        }
        let shared = Arc::clone(&self.shared);
        let _files = shared.lock_files();
        let first = self.shared.read().segments.first().map(|segment| segment.header.base);
        let place = match keep {
            // All that is there goes.
            keep if first.is_some_and(|first| keep == first.previous()) => None,
            Some(keep) => Some(self.place_of(keep).map_err(|error| self.poison_if_sync(error))?),
            None => return Err(first.map_or(Error::Cut(Lsn::FIRST), |first| Error::Gone { first })),
        };
        if place.is_none() && !self.begins_at(first) {
            return Err(first.map_or(Error::Cut(Lsn::FIRST), |first| Error::Gone { first }));
        }
        // First of all: what is flushed is about to be less.
        let flushed = place.as_ref().map_or(Flushed::NOTHING, |place| self.kept(place));
        let lowered = self.flushed_file.set(&self.shared.disk, flushed);
        if let Err(error) = lowered {
            if let Some((file, _)) = place.and_then(|place| place.cut) {
                // Best effort: the next opening removes it too.
                let _ = self.shared.disk.remove(file.path());
            }
            return Err(self.poison_unless_full(error));
        }
        let cut = self.cut(place);
        cut.map_err(|error| self.poison(error))
    }

    /// Is what lies in front of record `first` known? Where a removal broke off, it is not.
    fn begins_at(&self, first: Option<Lsn>) -> bool {
        let before = first.and_then(Lsn::previous);
        let beginning = self.shared.read().beginning.clone();
        beginning.map(|beginning| beginning.last().lsn) == before
    }

    fn place_of(&self, keep: Lsn) -> Result<Place, Error> {
        let view = self.shared.read();
        let index = view.segment_of(keep);
        let beyond = view.written.is_none_or(|written| keep > written.lsn);
        let segment = index.and_then(|index| view.segments.get(index)).cloned();
        let first = view.segments.first().map(|segment| segment.header.base);
        drop(view);
        let (Some(index), Some(segment)) = (index, segment) else {
            return Err(first.map_or(Error::NotABoundary(keep), |first| Error::Gone { first }));
        };
        if beyond {
            return Err(Error::NotABoundary(keep));
        }
        let mut scan = recover::scan(&self.shared.disk, &segment, Some(keep))?;
        if scan.link.last.map(|point| point.lsn) != Some(keep) {
            recover::whole(&segment, &scan)?;
            return Err(Error::NotABoundary(keep));
        }
        let mut header = segment.header.clone();
        let cut = match segment.end {
            end if end == scan.end => None,
            _ => {
                let frames = scan.end - header.len;
                // It will grow: what it says of having been written anew is over.
                header.rewritten = None;
                let bytes = header.encode();
                scan.end = header.len + frames;
                let room = self.options.segment_bytes;
                Some(prefix(&self.shared.disk, &segment, (&bytes, frames), room)?)
            }
        };
        Ok(Place { segment: index, header, scan, cut })
    }

    fn cut(&mut self, place: Option<Place>) -> Result<(), Error> {
        let disk = self.shared.disk.clone();
        let keep = place.as_ref().and_then(|place| place.scan.link.last);
        let kept = place.as_ref().map_or(0, |place| place.segment + 1);
        let gone = self.cut_view(kept, keep, place.as_ref());
        self.live = None;
        // Newest first: after a crash what is left is a prefix.
        for path in gone.iter().rev() {
            index::forget(&disk, path);
            disk.remove(path)?;
            disk.sync_folder(&self.dir)?;
        }
        let Some(Place { scan, cut, segment, .. }) = place else {
            let beginning = self.shared.read().beginning.clone();
            (self.link, self.context) = origin(self.cluster(), beginning.as_deref());
            self.flushed = self.link.last;
            return Ok(());
        };
        self.link = scan.link;
        self.context = scan.context;
        let kept = self.shared.read().segments.get(segment).cloned();
        let Segment { header, path, .. } = kept.expect("the view keeps the segment that was cut");
        index::forget(&disk, &path);
        let (base, takes, end) = (header.base, header.takes(), scan.end);
        // Where the cut is at a segment's very end, it stays sealed and the next frame begins one.
        if let Some((file, capacity)) = cut {
            let file = disk.publish(file, &path)?;
            self.live = Some(Live { file, base, takes, end, capacity, empty: false });
        }
        self.note_flushed(base, end);
        Ok(())
    }

    /// What stays flushed.
    fn kept(&self, place: &Place) -> Flushed {
        let view = self.shared.read();
        let base = view.segments.get(place.segment).map_or(Lsn::FIRST, |one| one.header.base);
        let last = place.scan.link.last.map(|point| point.lsn);
        Flushed { base, offset: place.scan.end, last }
    }

    /// Lets readers see the cut before any file changes; returns the files that go.
    fn cut_view(&self, kept: usize, keep: Option<LogPoint>, place: Option<&Place>) -> Vec<PathBuf> {
        let mut view = self.shared.write();
        let gone = view.segments.iter().skip(kept).map(|segment| segment.path.clone()).collect();
        drop_segments(&mut view, kept);
        view.cut(keep);
        if let (Some(place), Some(newest)) = (place, view.segments.last_mut()) {
            newest.end = place.scan.end;
            newest.header = place.header.clone();
            // Its new file will grow; the old one, where mapped, does not change.
            newest.sealed = place.cut.is_none();
        }
        gone
    }
}

/// A new file, fsynced, with a header and the first `frames` bytes behind the one of `segment`, and
/// with room to grow where there is any.
fn prefix(
    disk: &Disk,
    segment: &Segment,
    (header, frames): (&[u8], u64),
    room: u64,
) -> Result<(File, u64), Error> {
    let from = disk.open(&segment.path)?;
    let end = header.len() as u64 + frames;
    let mut capacity = end;
    let file = disk.prepare(&segment.path, |file| {
        file.write_at(header, 0)?;
        copy((&from, segment.header.len), (file, header.len() as u64), frames)?;
        match file.allocate(room.max(end)) {
            Ok(()) => capacity = room.max(end),
            Err(Error::Full { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    Ok((file, capacity))
}

/// So many bytes from one offset on to another.
fn copy(from: (&File, u64), to: (&File, u64), bytes: u64) -> Result<(), Error> {
    const PIECE: u64 = 256 << 10;
    let mut piece = Vec::new();
    let mut done = 0;
    while done < bytes {
        let count = PIECE.min(bytes - done);
        piece.resize(usize::try_from(count).unwrap_or_default(), 0);
        from.0.read_at(&mut piece, from.1 + done)?;
        to.0.write_at(&piece, to.1 + done)?;
        done += count;
    }
    Ok(())
}
