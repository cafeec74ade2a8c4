//! What the fuzz targets run, and what replays their corpora: hostile bytes in, a panic is a finding.
//!
//! No part of the API. One function per target, each a reader of bytes that come from outside: from
//! a disk (`wal::fuzzing`), a server, another process of the cluster, a client, an operator. Bytes are
//! taken as they are, and again with lengths and checksums made right, as a liar would, so that what
//! stands behind those is reached. Beside not panicking and not allocating what the input does not
//! explain, readers of one thing must agree, and what was read must come back when it is written.
//!
//! Does not: generate bytes (the fuzzer does), or touch a network or a server.

mod binlog;
mod peers;
mod texts;

pub use binlog::{event, gtid_set, payload, rows, stream};
#[cfg(test)]
pub(crate) use binlog::{read_event, walk_rows};
pub use peers::{message, packet};
pub use texts::{config, token};
pub use wal::fuzzing::{frame, record, segment};

/// Takes hostile bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its program, its corpus and its regressions.
pub const TARGETS: [(&str, Target); 12] = [
    ("segment", segment),
    ("frame", frame),
    ("record", record),
    ("event", event),
    ("payload", payload),
    ("rows", rows),
    ("stream", stream),
    ("gtid_set", gtid_set),
    ("packet", packet),
    ("message", message),
    ("token", token),
    ("config", config),
];
