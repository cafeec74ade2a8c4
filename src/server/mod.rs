//! SQL sessions to a MySQL or MariaDB server, and what the agent asks of a server through them.
//!
//! In: a [`crate::config::ServerConfig`]. Out: a [`Session`], and facts and settings of the server:
//! who it is ([`identity`]), where its binlog begins and ends, semi-sync for a source, read-only for a
//! replica, the `plimsoll` schema. Whether it is as it must be is `doctor`'s.
//!
//! Invariants: whatever the agent writes on a server is written with the session's binlog off, so
//! that it never waits for an ACK that nobody gives yet and never makes a transaction of its own.
//! Nothing is decided from version numbers, which mean different things in the two families and
//! change their scheme: the server is asked what it knows. No session that may wait is killed (I3).
//!
//! Does not: read the binlog (tail), apply anything (apply), decide who is source (agent).

mod binlog_end;
mod error;
mod family;
mod identity;
mod mode;
mod schema;
mod semi_sync;
mod session;
mod variables;

pub use binlog_end::{binlog_end, executed_gtids, first_binlog_file};
pub use error::Error;
pub use family::Family;
pub use identity::{ServerIdentity, identity};
pub use mode::{is_read_only, make_replica, set_read_only};
pub use schema::create_schema;
pub use semi_sync::{SemiSync, disable_semi_sync, enable_semi_sync, semi_sync};
pub use session::{Row, Session, quote, quote_bytes, quote_name, text};
pub use variables::Variables;
