//! The one table of a server's settings: what they must be, why, and who looks. Pure.

use super::facts::Role;
use super::finding::Verdict;

/// A variable in its spellings, and what it must be. A server that knows none of the spellings is
/// right: the variable was dropped because one value is left, or belongs to the other family.
pub(super) struct Setting {
    pub names: &'static [&'static str],
    pub right: Right,
    /// What to set.
    pub wanted: &'static str,
    /// Of any other value.
    pub verdict: Verdict,
    pub why: &'static str,
    pub mend: How,
    /// Whose running value counts; `None`: every server's, since each may be source or replica.
    pub running: Option<Role>,
    /// It must be right after a restart too.
    pub kept: bool,
    /// What MySQL takes where no option says anything; MariaDB tells that itself.
    pub mysql_default: Option<&'static str>,
    pub at_source: AtSource,
}

/// Values that are right.
pub(super) enum Right {
    /// One of these words; `ON` and `1` are the same.
    OneOf(&'static [&'static str]),
    /// A number, at least this.
    AtLeast(u64),
}

/// How a wrong value is mended.
pub(super) enum How {
    /// `SET GLOBAL`.
    Set,
    /// Only a person, or a restart.
    ByHand(&'static str),
}

/// What the source's agent does about a wrong value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtSource {
    /// Starts no reign, and says `unprotected` when it happens under way.
    Demanded,
    /// Sets it before a reign, and says `unprotected` when it changes under way.
    Guarded,
    /// Logs it.
    Told,
}

impl Right {
    pub fn holds(&self, value: &str) -> bool {
        match self {
            Right::OneOf(words) => words.iter().any(|word| same(word, value)),
            Right::AtLeast(least) => value.parse::<u64>().is_ok_and(|value| value >= *least),
        }
    }
}

/// Servers say 1 or ON, 0 or OFF, as they like.
fn same(wanted: &str, found: &str) -> bool {
    let plain = |word: &str| match word.to_ascii_uppercase().as_str() {
        "ON" | "YES" | "TRUE" => "1".to_owned(),
        "OFF" | "NO" | "FALSE" => "0".to_owned(),
        other => other.to_owned(),
    };
    plain(wanted) == plain(found)
}

/// Demanded of every server, set with `SET GLOBAL`, kept.
const DEMANDED: Setting = Setting {
    names: &[],
    right: Right::OneOf(&["ON"]),
    wanted: "ON",
    verdict: Verdict::Wrong,
    why: "",
    mend: How::Set,
    running: None,
    kept: true,
    mysql_default: None,
    at_source: AtSource::Demanded,
};

/// What the agent sets by itself before each reign.
const GUARDED: Setting = Setting { at_source: AtSource::Guarded, kept: false, ..DEMANDED };

pub(super) const SETTINGS: [Setting; 16] = [
    Setting {
        names: &["log_bin"],
        why: "there is nothing to ship",
        mend: How::ByHand("put log_bin into the server's option file and restart it"),
        ..DEMANDED
    },
    Setting {
        names: &["binlog_format"],
        right: Right::OneOf(&["ROW"]),
        wanted: "ROW",
        mysql_default: Some("ROW"),
        why: "statements may do something else on a replica; clients that are connected keep the old \
              value: renew their connections",
        ..DEMANDED
    },
    Setting {
        names: &["binlog_row_image"],
        right: Right::OneOf(&["FULL", "FULL_NODUP"]),
        wanted: "FULL",
        mysql_default: Some("FULL"),
        verdict: Verdict::Warning,
        why: "partial images are applied too, but what a rejoining source has to undo needs full \
              ones; clients that are connected keep the old value: renew their connections",
        at_source: AtSource::Told,
        ..DEMANDED
    },
    Setting {
        names: &["binlog_row_metadata"],
        right: Right::OneOf(&["FULL"]),
        wanted: "FULL",
        mysql_default: Some("MINIMAL"),
        verdict: Verdict::Warning,
        why: "rows in the log carry no column names, so only a reader that has the schema of their \
              moment understands them",
        at_source: AtSource::Told,
        ..DEMANDED
    },
    Setting {
        names: &["binlog_checksum"],
        right: Right::OneOf(&["CRC32"]),
        wanted: "CRC32",
        mysql_default: Some("CRC32"),
        why: "damage on the way could not be seen, nor a resume position verified",
        ..DEMANDED
    },
    Setting {
        names: &["sync_binlog"],
        right: Right::OneOf(&["1"]),
        wanted: "1",
        mysql_default: Some("1"),
        why: "a power failure loses the binlog's tail, and with it acknowledged transactions here",
        ..DEMANDED
    },
    Setting {
        names: &["innodb_flush_log_at_trx_commit"],
        right: Right::OneOf(&["1"]),
        wanted: "1",
        mysql_default: Some("1"),
        why: "after a power failure the binlog has transactions that the engine lost",
        ..DEMANDED
    },
    Setting {
        names: &[
            "rpl_semi_sync_source_wait_for_replica_count",
            "rpl_semi_sync_master_wait_for_slave_count",
        ],
        right: Right::OneOf(&["1"]),
        wanted: "1",
        why: "the agent is the only acknowledging replica, so every COMMIT would wait for ever",
        ..DEMANDED
    },
    Setting {
        names: &["rpl_semi_sync_source_timeout", "rpl_semi_sync_master_timeout"],
        right: Right::AtLeast(4_294_967_295),
        wanted: "4294967295",
        why: "a COMMIT that waits longer (milliseconds) returns without the quorum, and all after it",
        ..GUARDED
    },
    Setting {
        names: &["rpl_semi_sync_source_wait_point", "rpl_semi_sync_master_wait_point"],
        right: Right::OneOf(&["AFTER_SYNC"]),
        wanted: "AFTER_SYNC",
        why: "rows are seen before the quorum has them",
        ..GUARDED
    },
    Setting {
        names: &["rpl_semi_sync_source_wait_no_replica", "rpl_semi_sync_master_wait_no_slave"],
        why: "while the agent is away, COMMIT returns without the quorum",
        ..GUARDED
    },
    Setting {
        names: &["binlog_order_commits"],
        mysql_default: Some("ON"),
        verdict: Verdict::Warning,
        why: "transactions become visible at the source in another order than on the replicas",
        at_source: AtSource::Told,
        ..DEMANDED
    },
    Setting {
        names: &["gtid_mode"],
        verdict: Verdict::Warning,
        why: "transactions have no names, so leaving for native replication goes by file and offset",
        mend: How::ByHand(
            "switch gtid_mode on, step by step as the server's manual says: enforce_gtid_consistency \
             ON, gtid_mode OFF_PERMISSIVE, ON_PERMISSIVE, and ON once \
             Ongoing_anonymous_transaction_count is 0",
        ),
        at_source: AtSource::Told,
        ..DEMANDED
    },
    Setting {
        names: &["read_only"],
        mysql_default: Some("OFF"),
        why: "a server takes writes from its start until its agent comes, and nobody makes them \
              durable; the agent opens the source by itself",
        running: Some(Role::Replica),
        at_source: AtSource::Told,
        ..DEMANDED
    },
    Setting {
        names: &["super_read_only"],
        mysql_default: Some("OFF"),
        right: Right::OneOf(&["OFF"]),
        wanted: "OFF",
        why: "it refuses the statements by which the agent applies rows (read_only does not)",
        running: Some(Role::Replica),
        at_source: AtSource::Told,
        ..DEMANDED
    },
    // Its agent switches it off at each start.
    Setting {
        names: &["event_scheduler"],
        right: Right::OneOf(&["OFF", "DISABLED"]),
        wanted: "OFF",
        why: "events write at the replica what the source's events have written already",
        running: Some(Role::Replica),
        kept: false,
        at_source: AtSource::Told,
        ..DEMANDED
    },
];
