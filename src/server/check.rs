//! Whether a server can be a source.

use super::{Error, Session, Variables};

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works; somebody should know.
    Warning,
    /// As it is, the server must not be a source.
    Fatal,
}

/// Something about a server that is not as a source needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// What is found, and why it matters.
    pub what: String,
    /// What to do.
    pub way_out: &'static str,
}

/// Everything that keeps the server from being a sound source, worst first. `own_clients` is how
/// many semi-sync replicas of ours are attached (0 or 1): any more is a foreign acker.
///
/// # Errors
/// As [`Session::rows`].
pub async fn check_source(session: &mut Session, own_clients: u32) -> Result<Vec<Problem>, Error> {
    let variables = Variables::global(session).await?;
    let status = Variables::semi_sync_status(session).await?;
    Ok(problems(&variables, &status, own_clients))
}

/// A variable (in its spellings), the values that are right, and what is wrong with any other. A
/// variable that the server does not know is right: it was dropped because only one value is left.
struct Demand {
    names: &'static [&'static str],
    right: &'static [&'static str],
    severity: Severity,
    why: &'static str,
    way_out: &'static str,
}

const DEMANDS: [Demand; 9] = [
    Demand {
        names: &["log_bin"],
        right: &["ON", "1"],
        severity: Severity::Fatal,
        why: "there is nothing to ship",
        way_out: "start the server with --log-bin",
    },
    Demand {
        names: &["binlog_format"],
        right: &["ROW"],
        severity: Severity::Fatal,
        why: "statements may do something else on a replica",
        way_out: "set binlog_format=ROW in the server's configuration and SET GLOBAL, then renew \
                  the clients' connections",
    },
    Demand {
        names: &["binlog_row_image"],
        right: &["FULL", "FULL_NODUP"],
        severity: Severity::Warning,
        why: "rows are applied from partial images too, but what a rejoining source has to undo \
              needs full ones",
        way_out: "set binlog_row_image=FULL, then renew the clients' connections",
    },
    Demand {
        names: &["binlog_checksum"],
        right: &["CRC32"],
        severity: Severity::Fatal,
        why: "damage on the way could not be seen, nor a resume position verified",
        way_out: "SET GLOBAL binlog_checksum=CRC32, and in the server's configuration",
    },
    Demand {
        names: &["sync_binlog"],
        right: &["1"],
        severity: Severity::Fatal,
        why: "a power failure loses the binlog's tail, and with it acknowledged transactions here",
        way_out: "SET GLOBAL sync_binlog=1, and in the server's configuration",
    },
    Demand {
        names: &["innodb_flush_log_at_trx_commit"],
        right: &["1"],
        severity: Severity::Fatal,
        why: "after a power failure the binlog has transactions that the engine lost",
        way_out: "SET GLOBAL innodb_flush_log_at_trx_commit=1, and in the server's configuration",
    },
    Demand {
        names: &[
            "rpl_semi_sync_source_wait_for_replica_count",
            "rpl_semi_sync_master_wait_for_slave_count",
        ],
        right: &["1"],
        severity: Severity::Fatal,
        why: "the agent is the only acknowledging replica, so every COMMIT would wait for ever",
        way_out: "SET GLOBAL rpl_semi_sync_source_wait_for_replica_count=1",
    },
    Demand {
        names: &["binlog_order_commits"],
        right: &["ON", "1"],
        severity: Severity::Warning,
        why: "transactions become visible at the source in another order than on the replicas",
        way_out: "SET GLOBAL binlog_order_commits=ON",
    },
    Demand {
        names: &["gtid_mode"],
        right: &["ON"],
        severity: Severity::Warning,
        why: "transactions have no names, so leaving for native replication goes by file and offset",
        way_out: "switch gtid_mode on, step by step as the server's manual says",
    },
];

fn problems(variables: &Variables, status: &Variables, own_clients: u32) -> Vec<Problem> {
    let mut found: Vec<Problem> =
        DEMANDS.iter().filter_map(|demand| unmet(demand, variables)).collect();
    found.extend(engine_binlog(variables));
    found.extend(foreign_clients(status, own_clients));
    if variables.get("server_id") == Some("0") {
        found.push(Problem {
            severity: Severity::Fatal,
            what: "server_id is 0: the server gives its binlog to nobody".to_owned(),
            way_out: "SET GLOBAL server_id to a number of its own, and in the configuration",
        });
    }
    found.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    found
}

fn unmet(demand: &Demand, variables: &Variables) -> Option<Problem> {
    let (name, value) = variables.first(demand.names)?;
    if demand.right.iter().any(|right| right.eq_ignore_ascii_case(value)) {
        return None;
    }
    Some(Problem {
        severity: demand.severity,
        what: format!("{name} is {value}: {}", demand.why),
        way_out: demand.way_out,
    })
}

/// MariaDB 12.3's binlog inside InnoDB commits before anybody could be asked.
fn engine_binlog(variables: &Variables) -> Option<Problem> {
    let value = variables.get("binlog_storage_engine").filter(|value| !value.is_empty())?;
    Some(Problem {
        severity: Severity::Fatal,
        what: format!("binlog_storage_engine is {value}: it has no AFTER_SYNC wait point"),
        way_out: "start the server without binlog_storage_engine",
    })
}

fn foreign_clients(status: &Variables, own_clients: u32) -> Option<Problem> {
    let names = &["rpl_semi_sync_source_clients", "rpl_semi_sync_master_clients"];
    let (name, value) = status.first(names)?;
    let clients: u32 = value.parse().ok()?;
    (clients > own_clients).then(|| Problem {
        severity: Severity::Fatal,
        what: format!(
            "{name} is {clients}, {own_clients} of them ours: a foreign replica's ACK releases \
             every COMMIT without the quorum"
        ),
        way_out: "switch semi-sync off at the other replicas and restart their I/O threads",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 8] = [
        ("log_bin", "ON"),
        ("binlog_format", "ROW"),
        ("binlog_row_image", "FULL"),
        ("binlog_checksum", "CRC32"),
        ("sync_binlog", "1"),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("server_id", "11"),
        ("rpl_semi_sync_source_wait_for_replica_count", "1"),
    ];

    fn with(name: &'static str, value: &'static str) -> Vec<Problem> {
        let variables = GOOD.into_iter().chain([(name, value)]).collect();
        let status = [("Rpl_semi_sync_source_clients", "1")].into_iter().collect();
        problems(&variables, &status, 1)
    }

    #[test]
    fn a_sound_source_has_no_problem() {
        assert_eq!(with("binlog_format", "ROW"), []);
    }

    #[test]
    fn each_unsound_setting_is_named_with_its_way_out() {
        for (name, value, severity) in [
            ("log_bin", "OFF", Severity::Fatal),
            ("binlog_format", "MIXED", Severity::Fatal),
            ("binlog_row_image", "MINIMAL", Severity::Warning),
            ("binlog_checksum", "NONE", Severity::Fatal),
            ("sync_binlog", "0", Severity::Fatal),
            ("innodb_flush_log_at_trx_commit", "2", Severity::Fatal),
            ("rpl_semi_sync_source_wait_for_replica_count", "2", Severity::Fatal),
            ("binlog_storage_engine", "innodb", Severity::Fatal),
            ("server_id", "0", Severity::Fatal),
            ("gtid_mode", "OFF", Severity::Warning),
            ("binlog_order_commits", "OFF", Severity::Warning),
        ] {
            let found = with(name, value);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert_eq!(found[0].severity, severity, "{name}");
            assert!(found[0].what.contains(name) && !found[0].way_out.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn a_foreign_acker_is_fatal() {
        let status = [("Rpl_semi_sync_master_clients", "2")].into_iter().collect();
        let found = problems(&GOOD.into_iter().collect(), &status, 1);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("foreign"));
    }
}
