//! Segment files: header and bytes.
//!
//! In: a file and offsets. Out: headers and whole, checked frames. A sealed segment never changes
//! (`disk/map.rs` rests on it). Knows no order among frames: that is `link.rs`.

mod header;
mod source;

pub(crate) use header::{Before, FIRST_VERSION, LAST_VERSION, MAGIC, SegmentHeader};
pub(crate) use source::Source;
