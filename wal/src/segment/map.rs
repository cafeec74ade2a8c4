//! Sealed segments as memory. One of the two places with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};

use crate::{Error, Fault, disk};

/// Maps the first `bytes` of a sealed segment. The result, and every slice of it, keeps the map.
///
/// # Errors
/// [`Error::Damaged`] where the file is shorter; those of the system.
pub(crate) fn map_sealed(file: &File, path: &Path, bytes: u64) -> Result<Bytes, Error> {
    let found = disk::length(file, path)?;
    let length = usize::try_from(bytes).ok().filter(|_| found >= bytes);
    let Some(length) = length else {
        return Err(Error::damaged(path, found, Fault::Short { expected: bytes, found }));
    };
    // SAFETY: the mapped bytes must not change, and must stay there, while the map lives. A sealed
    // segment's file is never written again, nor made shorter: whoever cuts or compresses one writes
    // a new file and renames it over this one (`truncate.rs`, `recompress.rs`), and removal takes the
    // name only; the map keeps the old file. The map ends within the file, as checked above. What is
    // left is another program that writes into our folder, against which no reader of files is safe.
    let map = unsafe { MmapOptions::new().len(length).map(file) };
    let map: Mmap = map.map_err(|source| Error::io("map", path, source))?;
    // A hint only: without it reading is slower, not wrong.
    let _ = map.advise(Advice::Sequential);
    Ok(Bytes::from_owner(map))
}
