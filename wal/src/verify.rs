//! Every byte of a log, checked.

use std::path::Path;

use crate::beginning::Beginning;
use crate::folder;
use crate::link::Link;
use crate::recover;
use crate::{Disk, Error, LogPoint, parallel};

/// What a sound log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Segment files.
    pub segments: u64,
    /// Frames in them.
    pub frames: u64,
    /// Records in those.
    pub records: u64,
    /// Bytes of segment headers and frames.
    pub bytes: u64,
    /// The last record.
    pub last: Option<LogPoint>,
    /// Bytes behind it that no fsync reached: an append under way, or a torn tail that the next
    /// opening cuts.
    pub unflushed_bytes: u64,
}

/// Reads the log at `dir` from end to end without its lock, also beside its writer: every header,
/// checksum, record, and that each follows from the one before.
///
/// # Errors
/// [`Error::Damaged`] names the segment and the offset of the first damage; [`Error::NotALog`];
/// those of the system.
pub fn verify(dir: &Path) -> Result<Verified, Error> {
    verify_on(&Disk::system(), dir)
}

/// [`verify`], telling `passed` the bytes of each segment that is done.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(dir: &Path, passed: &(dyn Fn(u64) + Sync)) -> Result<Verified, Error> {
    let disk = Disk::system();
    recover::beside_writer(&disk, dir, || verify_once(&disk, dir, passed))
}

/// As [`verify`], on another disk than the system's.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_on(disk: &Disk, dir: &Path) -> Result<Verified, Error> {
    recover::beside_writer(disk, dir, || verify_once(disk, dir, &|_| {}))
}

fn verify_once(disk: &Disk, dir: &Path, passed: &(dyn Fn(u64) + Sync)) -> Result<Verified, Error> {
    let identity = folder::identity(disk, dir)?;
    let flushed = folder::flushed(disk, dir)?;
    let segments = recover::segments(disk, folder::segments(disk, dir)?, identity.cluster)?;
    recover::not_empty(dir, &segments, flushed)?;
    Beginning::check(
        Beginning::load(disk, dir, identity.cluster)?.as_ref(),
        dir,
        segments.first(),
    )?;
    let scans = parallel::each(&segments, |segment| {
        let mut scan = recover::scan(disk, segment, None)?;
        passed(segment.end);
        // All scans are kept until they are joined: what they found where is not needed then.
        let frames = std::mem::take(&mut scan.frames).len() as u64;
        Ok::<_, Error>((scan, frames))
    });
    let mut verified = Verified::default();
    let mut behind: Option<Link> = None;
    let newest = segments.len().saturating_sub(1);
    for (index, (segment, scan)) in segments.iter().zip(scans).enumerate() {
        if let Some(behind) = &behind {
            recover::joins(behind, segment)?;
        }
        let (scan, frames) = scan?;
        if index < newest {
            recover::read_to_end(segment, &scan)?;
        } else if recover::judge(disk, segment, &scan, flushed)? {
            verified.unflushed_bytes = segment.end - scan.end;
        }
        verified.segments += 1;
        verified.frames += frames;
        verified.bytes += scan.end;
        let first = segment.header.base.get();
        verified.records += scan.link.next().get() - first;
        behind = Some(scan.link);
    }
    verified.last = behind.and_then(|link| link.last);
    Ok(verified)
}
