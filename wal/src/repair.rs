//! A damaged segment, written anew from the frames of another member.
//!
//! In: a folder (or its open [`Log`]) and frames, from wherever. Out: the segment as it was, or, where
//! one side had compressed it again and the other had not, as one that was written anew. What proves that the frames are the same history: they follow, in epoch and running checksum, from
//! what is in front of the segment, and lead to what the next segment's header says was before it.
//! Of the newest segment, behind which nothing is: an epoch and number name one record only, so
//! frames of its epoch that follow from what is in front of it are its own. Nothing is changed in
//! place: the new file is fsynced and renamed over the old one. No network; whom to ask is its
//! callers' to know.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk, File, Lock};
use crate::folder::{self, Flushed};
use crate::link::Link;
use crate::log::empty_link;
use crate::recover::{self, Checker, Scan};
use crate::segment::{
    Before, FIRST_VERSION, LAST_VERSION, REWRITTEN_VERSION, Rewritten, SegmentHeader,
};
use crate::view::Segment;
use crate::{ClusterId, Epoch, Error, Fault, Frame, FrameHeader, Log, Lsn, SourceContext, index};

/// What is moved at once.
const MOVE_BYTES: u64 = 1 << 20;

/// What is wanted to write a segment anew.
#[derive(Debug, Clone)]
pub struct Damage {
    disk: Disk,
    path: PathBuf,
    header: SegmentHeader,
    /// The header was lost, and is made from what is before and behind.
    rebuilt: bool,
    goal: Goal,
}

/// Where the frames must lead.
#[derive(Debug, Clone)]
enum Goal {
    /// To what the next segment says: the log's end there. `bytes` is the length that the file had,
    /// and `sealed` the one that it had when it was sealed, which the next segment names.
    Sealed { bytes: u64, sealed: u64, link: Link },
    /// Of the newest segment: at least to this record. The file keeps its length.
    Newest { to: Lsn, bytes: u64 },
}

impl Damage {
    /// The segment's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first and the last record of it that are wanted.
    pub fn records(&self) -> (Lsn, Lsn) {
        let base = self.header.base;
        match self.goal {
            Goal::Sealed { link, .. } => (base, link.last.map_or(base, |point| point.lsn)),
            Goal::Newest { to, .. } => (base, to),
        }
    }

    /// Begins the new file, beside the old one.
    ///
    /// # Errors
    /// [`Error::Full`]; others of the system.
    pub fn begin(self) -> Result<Repair, Error> {
        let mut damage = self;
        damage.header.encode();
        let file = damage.disk.create(&disk::temporary(&damage.path.with_extension("repair")))?;
        let (link, end) = (Link::before(&damage.header), damage.header.len);
        let was = damage.header.clone();
        let needs = FIRST_VERSION;
        Ok(Repair { damage, was, file, link, end, needs, checker: Checker::default() })
    }
}

/// A segment being written anew. Dropped before it is finished, it changes nothing.
pub struct Repair {
    damage: Damage,
    /// The header as the log has it.
    was: SegmentHeader,
    file: File,
    link: Link,
    end: u64,
    /// The lowest version that takes all frames so far.
    needs: u16,
    checker: Checker,
}

impl Repair {
    /// Takes the next frame of the segment.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::BadFrame`]: it is not that; the source of it has another
    /// history, or is damaged itself. [`Error::Full`]; others of the system.
    pub fn take(&mut self, frame: &Frame) -> Result<(), Error> {
        let header = frame.header();
        let segment = &mut self.damage.header;
        if self.damage.rebuilt && self.end == segment.len {
            // As the log chose it: the frame that begins a segment needs it, or the one before had it.
            segment.version = segment.version.max(header.codec.version());
        }
        let mut takes = segment.takes();
        if let Goal::Sealed { link, .. } = self.damage.goal {
            // How a body is stored is each member's own affair.
            takes.version = LAST_VERSION;
            if let Some(goal) = link.last.filter(|goal| header.last_lsn() > goal.lsn) {
                let (expected, found) = (goal.lsn, header.last_lsn());
                return Err(Error::Refused(Fault::Lsn { expected, found }));
            }
        }
        self.link.check_in(takes, header).map_err(Error::Refused)?;
        self.checker.trace(frame).map_err(Error::BadFrame)?;
        self.needs = self.needs.max(header.codec.version());
        let end = self.end + header.frame_len();
        self.file.write_at(frame.bytes(), self.end)?;
        self.link.pass(header);
        self.end = end;
        Ok(())
    }

    /// All frames were taken: the file is whole and fsynced, and waits for its name.
    ///
    /// # Errors
    /// [`Error::Refused`]: they do not lead to where they must; [`Error::Full`]; [`Error::Sync`].
    pub fn finish(self) -> Result<Mended, Error> {
        let Repair { mut damage, was, file, link, mut end, needs, .. } = self;
        match damage.goal {
            Goal::Sealed { link: goal, .. } if link.last < goal.last => {
                let last = goal.last.map_or(Lsn::FIRST, |point| point.lsn);
                return Err(Error::Refused(Fault::Missing(last)));
            }
            Goal::Sealed { link: goal, .. } if link != goal => {
                let (expected, found) = (goal.chain, link.chain);
                return Err(Error::Refused(Fault::Chain { expected, found }));
            }
            Goal::Newest { to, .. } if link.next() <= to => {
                return Err(Error::Refused(Fault::Missing(to)));
            }
            Goal::Sealed { bytes, .. } if end == bytes && needs <= damage.header.version => {}
            Goal::Sealed { sealed, .. } => {
                end = written_anew(&mut damage.header, &file, (sealed, end), link.chain)?;
            }
            // Without space the next frame begins a segment.
            Goal::Newest { bytes, .. } => match file.allocate(bytes) {
                Ok(()) | Err(Error::Full { .. }) => {}
                Err(error) => return Err(error),
            },
        }
        file.write_at(&damage.header.encode(), 0)?;
        file.sync_all()?;
        let bytes = match damage.goal {
            Goal::Sealed { bytes, .. } | Goal::Newest { bytes, .. } => bytes,
        };
        Ok(Mended { path: damage.path, was: (was, bytes), header: damage.header, file, end })
    }
}

/// Makes the header one of a file that took a sealed one's place (`FORMAT.md`, "Written anew"), and
/// moves the frames behind it, which now end at `end`. Gives where they end then.
fn written_anew(
    header: &mut SegmentHeader,
    file: &File,
    (sealed, end): (u64, u64),
    chain: u32,
) -> Result<u64, Error> {
    let start = header.len;
    header.version = header.version.max(REWRITTEN_VERSION);
    header.rewritten = Some(Rewritten { sealed, bytes: end, chain });
    header.encode();
    let moved = header.len - start;
    header.rewritten = Some(Rewritten { sealed, bytes: end + moved, chain });
    // From the back, so that nothing is written over before it is read.
    let mut at = end;
    let mut piece = Vec::new();
    while moved > 0 && at > start {
        let from = at.saturating_sub(MOVE_BYTES).max(start);
        piece.resize(usize::try_from(at - from).unwrap_or(usize::MAX), 0);
        file.read_at(&mut piece, from)?;
        file.write_at(&piece, from + moved)?;
        at = from;
    }
    Ok(end + moved)
}

/// A segment that was written anew and has no name yet.
#[derive(Debug)]
pub struct Mended {
    path: PathBuf,
    /// Header and length of the file whose place it takes.
    was: (SegmentHeader, u64),
    header: SegmentHeader,
    file: File,
    end: u64,
}

impl Log {
    /// What is wanted to mend the segment of this file name, in which a reader met damage. If it is
    /// the newest one, it is sealed: the next frame begins another. `None` where there is no such
    /// segment (any more).
    ///
    /// # Errors
    /// Those of the system; the log is [`Error::Poisoned`] then.
    pub fn damage(&mut self, segment: &str) -> Result<Option<Damage>, Error> {
        self.usable()?;
        let name = |one: &Segment| one.path.file_name().is_some_and(|name| name == segment);
        let place = self.shared.read().segments.iter().position(name);
        let Some(index) = place else { return Ok(None) };
        let newest = self.shared.read().segments.len() == index + 1;
        if newest {
            if self.live.as_ref().is_some_and(|live| live.empty) {
                return Ok(None);
            }
            self.seal()?;
        }
        let view = self.shared.read();
        let Some(found) = view.segments.get(index) else { return Ok(None) };
        let link =
            view.segments.get(index + 1).map_or(self.link, |next| Link::before(&next.header));
        Ok(Some(Damage {
            disk: self.shared.disk.clone(),
            path: found.path.clone(),
            header: found.header.clone(),
            rebuilt: false,
            goal: Goal::Sealed { bytes: found.end, sealed: found.sealed_bytes(), link },
        }))
    }

    /// Puts a mended segment in the damaged one's place, durably. Readers that have the old file
    /// keep it. `false` where an adoption has meanwhile cut what was mended.
    ///
    /// # Errors
    /// Those of the system; the log is [`Error::Poisoned`] then.
    pub fn publish(&mut self, mended: Mended) -> Result<bool, Error> {
        self.usable()?;
        let Mended { path, was, header, file, end } = mended;
        let same = |one: &Segment| one.header == was.0 && one.sealed && one.end == was.1;
        let shared = Arc::clone(&self.shared);
        let _files = shared.lock_files();
        let there = self.shared.read().segments.iter().any(same);
        let disk = self.shared.disk.clone();
        if !there {
            return disk.remove(file.path()).map(|()| false);
        }
        index::forget(&disk, &path);
        match disk.publish(file, &path) {
            Ok(_) => {
                let mut view = shared.write();
                if let Some(place) = view.segments.iter_mut().find(|one| same(one)) {
                    (place.header, place.end) = (header, end);
                    view.generation += 1;
                }
                Ok(true)
            }
            Err(error) => Err(self.poison(error)),
        }
    }
}

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
