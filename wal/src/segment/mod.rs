//! Segment files: header, bytes, space.
//!
//! In: a file and offsets. Out: headers and whole, checked frames. A sealed segment never changes
//! (`map.rs` rests on it). Knows no order among frames: that is `link.rs`.

mod allocate;
mod header;
mod map;
mod source;

pub(crate) use allocate::allocate;
pub use allocate::free_bytes;
pub(crate) use header::{Before, FIRST_VERSION, LAST_VERSION, SegmentHeader};
pub(crate) use source::Source;
