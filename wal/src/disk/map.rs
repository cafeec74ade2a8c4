//! Sealed segments as memory. One of the two places with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};

/// Maps the first `length` bytes of a sealed segment, which has as many. The result, and every
/// slice of it, keeps the map.
///
/// # Errors
/// Those of the system.
pub(super) fn map(file: &File, length: usize) -> io::Result<Bytes> {
    // SAFETY: the mapped bytes must not change, and must stay there, while the map lives. A sealed
    // segment's file is never written again, nor made shorter: an adoption that cuts one, or a
    // repair, writes a new file and renames it over this one (`truncate.rs`, `repair.rs`), and
    // removal takes the name only; the map keeps the old file. The map ends within the file, as the
    // caller has checked. What is left is another program that writes into our folder, against
    // which no reader of files is safe.
    let map: Mmap = unsafe { MmapOptions::new().len(length).map(file) }?;
    // A hint only: without it reading is slower, not wrong.
    let _ = map.advise(Advice::Sequential);
    Ok(Bytes::from_owner(map))
}
