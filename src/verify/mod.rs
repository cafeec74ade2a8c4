//! Proves that a replica's rows equal the source's, at one record of the log.
//!
//! In: a session at each server whose snapshot shows exactly the transactions up to one record.
//! Out: what exists ([`Catalog`]), digests of key ranges ([`Chunk`]), and, where two digests differ,
//! the first differing rows ([`Difference`]).
//!
//! A digest is made in the server, of the stored bytes and not of how a collation sees them: 'a' and
//! 'A', a trailing space, NULL and '', the last bit of a FLOAT are all told apart. It is the count of
//! rows and the sum of 64 bits of each row's SHA-256: order does not matter, duplicates do. Two
//! different ranges look equal by accident in one of 1.8e19 cases.
//!
//! Invariants: every session is READ ONLY; a table whose definition changed behind the snapshot is an
//! error that says so, never a digest; a row that cannot be digested is an error, never left out.
//!
//! `column` and `key` make SQL of columns and of key ranges, `select` whole statements; `catalog` and
//! `reading` run them; `snapshot` opens, and `place` finds the record that the source's snapshot
//! shows; `compare` and `locate` decide; `message` is what verb and agents say.
//! Does not: hold an applier or the ACKs, keep a lease (agent), walk tables and tell (cli).

mod catalog;
mod column;
mod compare;
mod error;
mod key;
mod locate;
mod message;
mod place;
mod reading;
mod select;
pub mod snapshot;

pub use compare::{ObjectDifference, Presence, compare};
pub use error::Error;
pub use key::{Key, KeyColumn, KeyKind, Range, Shown, shown};
pub use locate::{Difference, Reader, RowDifference, locate};
pub use message::{
    Ask, Catalog, Chunk, Column, Held, Nothing, Object, ObjectKind, Refusal, Request, RowPrint,
    Rows, Snapshot, Table, TableName,
};
pub use place::{Place, UpTo, place};
pub use reading::{Reading, settle};
