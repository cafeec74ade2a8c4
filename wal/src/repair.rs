//! A damaged segment, written anew from the frames of another member.
//!
//! In: a folder (or its open [`Log`]) and frames, from wherever. Out: the segment as it was, or, where
//! one side had compressed it again and the other had not, as one that was written anew. What proves that the frames are the same history: they follow, in epoch and running checksum, from
//! what is in front of the segment, and lead to what the next segment's header says was before it.
//! Of the newest segment, behind which nothing is: an epoch and number name one record only, so
//! frames of its epoch that follow from what is in front of it are its own. Nothing is changed in
//! place: the new file is fsynced and renamed over the old one. No network; whom to ask is its
//! callers' to know.

mod mender;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk, File};
use crate::link::Link;
use crate::recover::Checker;
use crate::segment::{FIRST_VERSION, LAST_VERSION, REWRITTEN_VERSION, Rewritten, SegmentHeader};
use crate::view::Segment;
use crate::{Error, Fault, Frame, Log, Lsn, index};

pub use mender::Mender;

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
