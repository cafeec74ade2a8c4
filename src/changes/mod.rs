//! From a transaction's raw events to changes with names and typed values. Pure.
//!
//! In: the raw events of a transaction as the log keeps them. Out: one [`Change`] after another, each
//! a row's before and after image, or a statement; [`Line`] is what a consumer reads of it
//! (`schemas/change.md`, `schemas/change.schema.json`).
//!
//! Invariants: any bytes end in an error, never in a panic; one row is in memory at a time, beside the
//! transaction's raw events; no value is rounded: what JSON's numbers cannot hold is text, bytes that
//! are no text in a character set known here are base64. I9: an event that is not understood is an
//! error, never left out.
//!
//! Names of columns, signs, character sets and the words of ENUM and SET come with the table maps, as
//! `binlog_row_metadata` says. [`Detail`] tells how much was there.
//!
//! Does not: read the log, know what is committed or who listens.

mod compressed;
mod charset;
mod error;
mod json;
mod line;
mod number;
mod table;
mod temporal;
#[cfg(test)]
mod tests;
mod transaction;
mod value;

pub use charset::charset_of_collation;
pub use error::Error;
pub use json::{Difference, Json};
pub use line::{Envelope, Line, Lines};
pub use table::{Column, Detail, Dialect, Table};
pub use transaction::{Change, Changes, Operation, Row, RowChange, xid};
pub use value::Value;
