//! Mends a log folder whose agent does not run: finds what is damaged, and what would mend it.

use std::path::{Path, PathBuf};

use super::{Damage, Goal, Mended};
use crate::disk::{Disk, Lock};
use crate::folder::{self, Flushed};
use crate::link::Link;
use crate::log::empty_link;
use crate::recover::{self, Scan};
use crate::segment::{Before, FIRST_VERSION, SegmentHeader};
use crate::view::Segment;
use crate::{ClusterId, Epoch, Error, Fault, FrameHeader, Lsn, SourceContext};

/// A log folder that no agent writes: holds its lock.
pub struct Mender {
    disk: Disk,
    dir: PathBuf,
    cluster: ClusterId,
    /// Held, never read.
    _lock: Lock,
}

/// The end of a sound segment.
struct Behind {
    version: u16,
    base: Lsn,
    /// Its length as it was sealed.
    end: u64,
    link: Link,
    context: Option<SourceContext>,
}

/// A segment's file as it is found.
struct Found {
    path: PathBuf,
    base: Lsn,
    header: Result<SegmentHeader, Fault>,
    bytes: u64,
}

impl Behind {
    fn next(&self) -> Lsn {
        self.link.next()
    }
}

impl Mender {
    /// Takes a folder's lock.
    ///
    /// # Errors
    /// [`Error::NotALog`], [`Error::Locked`], [`Error::Damaged`] of its identity.
    pub fn open(dir: &Path) -> Result<Mender, Error> {
        Mender::open_on(&Disk::system(), dir)
    }

    /// As [`Mender::open`], on another disk than the system's.
    ///
    /// # Errors
    /// Those of [`Mender::open`].
    pub fn open_on(disk: &Disk, dir: &Path) -> Result<Mender, Error> {
        let cluster = folder::identity(disk, dir)?.cluster;
        let lock = folder::lock(disk, dir)?;
        folder::remove_temporaries(disk, dir)?;
        Ok(Mender { disk: disk.clone(), dir: dir.to_owned(), cluster, _lock: lock })
    }

    /// The first damage in segments that hold record `from` or later ones, and what is wrong there;
    /// `None` where all of that is sound.
    ///
    /// # Errors
    /// [`Error::Damaged`]: damage of which frames alone cannot make good: of the newest segment's
    /// header, of two headers in a row, of several lost segments in a row. Those of the system.
    pub fn find(&self, from: Lsn) -> Result<Option<(Damage, Error)>, Error> {
        let flushed = folder::flushed(&self.disk, &self.dir)?;
        let found = self.found()?;
        let from = found.partition_point(|one| one.base <= from).saturating_sub(1);
        // The one in front of it, sound or not, is looked at too: this one must follow from it.
        let mut behind: Option<Behind> = None;
        for (index, one) in found.iter().enumerate().skip(from.saturating_sub(1)) {
            let next = found.get(index + 1);
            match self.look(one, next, behind.as_ref(), flushed) {
                Ok(sound) => behind = Some(sound),
                Err(error @ Error::Damaged { .. }) => {
                    let damage = match self.lost_before(one, behind.as_ref()) {
                        Some(damage) => Some(damage),
                        None => self.describe(one, next, behind.as_ref(), flushed)?,
                    };
                    return match damage {
                        Some(damage) => Ok(Some((damage, error))),
                        None => Err(error),
                    };
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Puts a mended segment in the damaged one's place, durably.
    ///
    /// # Errors
    /// Those of the system.
    pub fn publish(&self, mended: Mended) -> Result<(), Error> {
        self.disk.publish(mended.file, &mended.path).map(drop)
    }

    fn found(&self) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        for path in folder::segments(&self.disk, &self.dir)? {
            let Some(base) = base_of(&path) else { continue };
            let file = self.disk.open(&path)?;
            let bytes = file.length()?;
            let header = match SegmentHeader::read(&file) {
                Ok(header) if header.cluster != self.cluster => {
                    Err(Fault::Cluster { expected: self.cluster, found: header.cluster })
                }
                Ok(header) => Ok(header),
                Err(Error::Damaged { fault, .. }) => Err(fault),
                Err(error) => return Err(error),
            };
            found.push(Found { path, base, header, bytes });
        }
        Ok(found)
    }

    /// Reads a segment from end to end; where it is sound, its end.
    fn look(
        &self,
        one: &Found,
        next: Option<&Found>,
        behind: Option<&Behind>,
        flushed: Option<Flushed>,
    ) -> Result<Behind, Error> {
        let header = one.header.clone().map_err(|fault| Error::damaged(&one.path, 0, fault))?;
        let after = next.and_then(|next| next.header.as_ref().ok());
        // Its next one tells its length, if that follows it.
        let end = after.filter(|after| after.before.base == Some(one.base));
        let end = match &header.rewritten {
            Some(rewritten) => rewritten.bytes,
            None => end.map_or(one.bytes, |after| after.before.bytes),
        };
        if one.bytes > end {
            return Err(Error::damaged(&one.path, end, Fault::Trailing(one.bytes - end)));
        }
        let path = one.path.clone();
        let segment = Segment { header, path, end, sealed: next.is_some() };
        if let Some(behind) = behind {
            recover::joins(&behind.link, &segment)?;
        }
        let scan = recover::scan(&self.disk, &segment, None)?;
        match next {
            Some(_) => recover::read_to_end(&segment, &scan)?,
            None => recover::judge(&self.disk, &segment, &scan, flushed).map(drop)?,
        }
        let Scan { link, context, end, .. } = scan;
        let end = segment.header.rewritten.map_or(end, |rewritten| rewritten.sealed);
        Ok(Behind { version: segment.header.version, base: one.base, end, link, context })
    }

    /// What would mend it; `None` where nothing can.
    fn describe(
        &self,
        one: &Found,
        next: Option<&Found>,
        behind: Option<&Behind>,
        flushed: Option<Flushed>,
    ) -> Result<Option<Damage>, Error> {
        let after = next.map(|next| next.header.as_ref().ok());
        let follows = |header: &&SegmentHeader| {
            behind.is_none_or(|behind| Link::before(header) == behind.link)
        };
        let epoch = after.and_then(|after| after?.before.epoch);
        let own = one.header.as_ref().ok().filter(follows);
        let rebuilt = own.is_none();
        let header = match own {
            Some(header) => Some(header.clone()),
            None => epoch.and_then(|epoch| self.header_behind(one.base, epoch, behind)),
        };
        let Some(header) = header else { return Ok(None) };
        let goal = match after {
            Some(after) => after.map(|after| sealed(&header, after)),
            None => {
                let to = self.last_written(one, &header, flushed)?;
                to.map(|to| Goal::Newest { to, bytes: one.bytes.max(header.len) })
            }
        };
        let (disk, path) = (self.disk.clone(), one.path.clone());
        Ok(goal.map(|goal| Damage { disk, path, header, rebuilt, goal }))
    }

    /// The header of the segment that starts at `base`, as it was written once.
    fn header_behind(
        &self,
        base: Lsn,
        epoch: Epoch,
        behind: Option<&Behind>,
    ) -> Option<SegmentHeader> {
        let (link, context, before) = match behind {
            Some(behind) => (behind.link, behind.context.clone(), (Some(behind.base), behind.end)),
            None if base == Lsn::FIRST => (empty_link(self.cluster), None, (None, 0)),
            None => return None,
        };
        let before = Before {
            chain: link.chain,
            epoch: link.last.map(|point| point.epoch),
            timestamp: link.timestamp,
            base: before.0,
            bytes: before.1,
        };
        let version = behind.map_or(FIRST_VERSION, |behind| behind.version);
        let cluster = self.cluster;
        let rewritten = None;
        let header =
            SegmentHeader { version, cluster, epoch, base, before, context, rewritten, len: 0 };
        (link.next() == base).then_some(header)
    }

    /// The segment in front of `one` of which the file is lost.
    fn lost_before(&self, one: &Found, behind: Option<&Behind>) -> Option<Damage> {
        let after = one.header.as_ref().ok()?;
        let base = after.before.base.filter(|&base| Some(base) == behind.map(Behind::next))?;
        let header = self.header_behind(base, after.before.epoch?, behind)?;
        let path = self.dir.join(SegmentHeader::file_name(base));
        let (disk, goal) = (self.disk.clone(), sealed(&header, after));
        (base < one.base).then_some(Damage { disk, path, header, rebuilt: true, goal })
    }

    /// The last record of the newest segment that is known to have been flushed, or that stands
    /// behind the damage.
    fn last_written(
        &self,
        one: &Found,
        header: &SegmentHeader,
        flushed: Option<Flushed>,
    ) -> Result<Option<Lsn>, Error> {
        let noted = flushed.filter(|flushed| flushed.base == one.base);
        let noted = noted.and_then(|flushed| flushed.last);
        let Some(bytes) = self.disk.read(&one.path)? else { return Ok(noted) };
        let mut last = noted;
        let mut at = usize::try_from(header.len).unwrap_or(usize::MAX);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match whole(rest).filter(|frame| frame.epoch == header.epoch) {
                Some(frame) => {
                    last = last.max(Some(frame.last_lsn()));
                    at += usize::try_from(frame.frame_len()).unwrap_or(1).max(1);
                }
                None => at += 1,
            }
        }
        Ok(last)
    }
}

/// A file that took a sealed one's place keeps its own length.
fn sealed(header: &SegmentHeader, after: &SegmentHeader) -> Goal {
    let bytes = header.rewritten.map_or(after.before.bytes, |rewritten| rewritten.bytes);
    Goal::Sealed { bytes, sealed: after.before.bytes, link: Link::before(after) }
}

/// The whole frame that `bytes` start with.
fn whole(bytes: &[u8]) -> Option<FrameHeader> {
    let header = FrameHeader::decode(bytes).ok()?;
    let length = usize::try_from(header.frame_len()).ok()?;
    let body = bytes.get(FrameHeader::LEN..length)?;
    (crc32fast::hash(body) == header.body_crc).then_some(header)
}

/// The LSN that a segment's file name says.
fn base_of(path: &Path) -> Option<Lsn> {
    Lsn::new(path.file_stem()?.to_str()?.parse().ok()?)
}
