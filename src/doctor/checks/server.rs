//! The server itself: what it is, its binlog, its way in.

use super::super::facts::{Facts, Inventory};
use super::super::finding::{Finding, Verdict};
use crate::server::{Family, SemiSync};

/// The oldest that was tried, and said to work.
const TRIED: [(Family, (u32, u32)); 2] = [(Family::Mariadb, (10, 11)), (Family::Mysql, (8, 4))];

/// An agent that is away longer than the binlog is kept loses its place.
const KEPT_SECONDS: f64 = 86_400.0;

pub(super) fn version(facts: &Facts) -> Finding {
    let what = format!("{} {}", facts.family, facts.version);
    let found = numbers(&facts.version);
    match TRIED.into_iter().find(|(family, _)| *family == facts.family) {
        Some((_, least)) if found.is_some_and(|found| found < least) => {
            let (major, minor) = least;
            let what = format!("{what} is older than {major}.{minor}, with which this was tried");
            Finding::new("version", Verdict::Warning, what)
        }
        _ => Finding::good("version", what),
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn server_id(facts: &Facts) -> Option<Finding> {
    let value = facts.variables.get("server_id")?;
    if value != "0" {
        return Some(Finding::good("server_id", format!("server_id is {value}")));
    }
    let what = "server_id is 0: the server gives its binlog to nobody";
    let way_out = "SET GLOBAL server_id to a number of its own, and in the option file";
    Some(Finding::new("server_id", Verdict::Wrong, what).by_hand(way_out).refusing())
}

/// MariaDB 12.3's binlog inside InnoDB commits before anybody could be asked.
pub(super) fn engine_binlog(facts: &Facts) -> Option<Finding> {
    let topic = "binlog_storage_engine";
    let value = facts.variables.get(topic)?;
    if value.is_empty() {
        return Some(Finding::good(topic, "the binlog is in files"));
    }
    let what = format!("{topic} is {value}: it has no AFTER_SYNC wait point");
    let way_out = "start the server without binlog_storage_engine";
    Some(Finding::new(topic, Verdict::Impossible, what).by_hand(way_out).refusing())
}

pub(super) fn plugin(facts: &Facts) -> Option<Finding> {
    let topic = "semi_sync_plugin";
    if SemiSync::of(&facts.variables, &facts.status).is_some() {
        return Some(Finding::good(topic, "semi-synchronous replication is there"));
    }
    let what = "the server has no semi-synchronous replication: COMMIT cannot wait for the quorum";
    Some(match facts.family {
        Family::Mysql => Finding::new(topic, Verdict::Wrong, what)
            .run(["INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'"]),
        Family::Mariadb => Finding::new(topic, Verdict::Impossible, what)
            .by_hand("use MariaDB 10.3 or later, which has it built in"),
    })
}

pub(super) fn expiry(facts: &Facts) -> Finding {
    let topic = "binlog_expiry";
    let number = |name| facts.variables.get(name).and_then(|text| text.parse::<f64>().ok());
    let days = number("expire_logs_days").unwrap_or(0.0) * 86_400.0;
    let seconds = number("binlog_expire_logs_seconds").filter(|seconds| *seconds > 0.0);
    let seconds = seconds.unwrap_or(days);
    let never = facts.variables.get("binlog_expire_logs_auto_purge") == Some("OFF");
    if seconds <= 0.0 || never {
        let what = "binlogs are kept for ever: the disk fills unless somebody purges them";
        return Finding::new(topic, Verdict::Note, what);
    }
    if seconds >= KEPT_SECONDS {
        let what = format!("binlogs are kept for {:.1} days", seconds / 86_400.0);
        return Finding::good(topic, what);
    }
    let what = format!(
        "binlogs are kept for {seconds} s only: an agent that is away longer loses its place, and the \
         server is refused as source"
    );
    let (how, option) = match facts.family {
        Family::Mysql => ("PERSIST", None),
        Family::Mariadb => ("GLOBAL", Some("binlog_expire_logs_seconds=604800".to_owned())),
    };
    let set = format!("SET {how} binlog_expire_logs_seconds=604800");
    let mut finding = Finding::new(topic, Verdict::Warning, what).run([set]);
    finding.option = option;
    finding
}

/// A port on which the agent comes in when COMMITs that wait have used up every connection.
pub(super) fn spare_port(facts: &Facts, inventory: &Inventory) -> Finding {
    let topic = "spare_port";
    let name = match facts.family {
        Family::Mysql => "admin_port",
        Family::Mariadb => "extra_port",
    };
    let open = facts.family == Family::Mariadb
        || facts.variables.get("admin_address").is_some_and(|address| !address.is_empty());
    let port = facts.variables.get(name).and_then(|text| text.parse::<u16>().ok());
    let port = port.filter(|port| *port != 0 && open);
    let what = match (port, inventory.fallback_port) {
        (Some(port), Some(ours)) if port == ours => {
            return Finding::good(topic, format!("{name} is {port}, and so is fallback_port"));
        }
        (Some(port), _) => format!("{name} is {port}, but fallback_port is not"),
        (None, _) => "the server has no spare port".to_owned(),
    };
    let what = format!(
        "{what}: an agent that lost its session cannot log in while waiting COMMITs hold \
                        every connection"
    );
    let way_out = match (facts.family, port) {
        (_, Some(port)) => format!("write fallback_port = {port} under [agent.server]"),
        (Family::Mysql, None) => {
            "write admin_address and admin_port into the option file, restart the \
                                  server, and name the port as fallback_port"
                .to_owned()
        }
        (Family::Mariadb, None) => {
            "write extra_port and extra_max_connections=5 into the option file, \
                                    restart the server, and name the port as fallback_port"
                .to_owned()
        }
    };
    Finding::new(topic, Verdict::Warning, what).by_hand(way_out)
}
