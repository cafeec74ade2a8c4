//! MySQL's binary JSON: to a tree, changed by differences, to text.
//!
//! In: the bytes of a JSON column, or of the differences that PARTIAL_UPDATE_ROWS carries. Out: JSON
//! text with the server's spacing; numbers keep all their digits.
//!
//! Invariants: a tree has no more nodes and text than its bytes pay for (values that point at each
//! other would double at each level), and at most [`DEPTH_MAX`] levels.

mod patch;
mod read;
mod text;

pub use patch::{Difference, differences, patch};
pub use read::document;

/// The server's own limit.
const DEPTH_MAX: usize = 100;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`, `true`, `false`, or digits: text as it is.
    Plain(String),
    /// A DOUBLE.
    Double(f64),
    /// A text; also what JSON has no type for, as the server shows it.
    Text(String),
    /// In order.
    Array(Vec<Json>),
    /// In the order of the bytes: shorter keys first, then by bytes.
    Object(Vec<(String, Json)>),
}
