//! The binlog's language: bytes of events to facts, and events to whole transactions.
//!
//! In: raw events as a server wrote them (header, body, checksum). Out: decoded headers, control
//! events, GTID sets, table maps and rows; and, from the [`Assembler`], whole transactions with
//! their events kept byte for byte.
//!
//! Invariants: pure (no network, clock or files); every input byte may be hostile: errors, never a
//! panic, and no allocation that a length on the wire decides alone; an event that is not understood
//! stops the stream with its position, number and name (I9), never a warning and on.
//!
//! Does not: connect (`tail`), stamp or number (`log`), decide what can be applied (`apply`), turn
//! cells into typed values.

mod assembly;
mod assembly_group;
mod compressed;
mod control;
mod error;
mod event;
mod format_description;
mod gtid_event;
pub mod gtid_set;
mod kind;
mod payload;
mod query;
mod query_role;
pub(crate) mod reader;
mod rows;
mod status_vars;
mod table_map;
#[cfg(test)]
mod tests;

pub use assembly::{Assembled, Assembler, AssemblerOptions, PIECE_BYTES};
pub use compressed::{expand_compressed, is_compressed};
pub use control::{GtidList, Heartbeat, Rotate, XaPrepare, Xid};
pub use error::Error;
pub use event::{Checksum, Event, EventFlags, EventHeader, Events, events};
pub use format_description::FormatDescription;
pub use gtid_event::{MariadbGtidEvent, MariadbXid, MysqlGtidEvent};
pub use gtid_set::{BadGtidSet, GtidSet, MariadbGtidList, MysqlGtidSet};
pub use kind::EventKind;
pub use payload::{Payload, PayloadCompression, expand_payload};
pub use query::QueryEvent;
pub use query_role::QueryRole;
pub use rows::{Cell, Image, RowsEvent};
pub use status_vars::{QueryCharset, StatusVars};
pub use table_map::{ColumnType, TableMap, TableMetadata};
