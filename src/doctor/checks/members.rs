//! Several servers of one cluster, held against each other.

use super::super::facts::{Facts, Role};
use super::super::finding::{Finding, Verdict};

/// A server that was looked at: what to call it, and what was seen.
pub struct Examined<'a> {
    /// `host:port`.
    pub name: &'a str,
    /// What was seen.
    pub facts: &'a Facts,
}

/// `BINLOG` carries an event in base64, 4/3 of its size, in one packet; the rest is for the statement
/// around it.
const PACKET_PERCENT: u64 = 140;

/// What is wrong between them; nothing about a single one.
pub fn members(all: &[Examined]) -> Vec<Finding> {
    if all.len() < 2 {
        return Vec::new();
    }
    let mut found = server_ids(all);
    found.extend(packets(all));
    found
}

fn server_ids(all: &[Examined]) -> Vec<Finding> {
    let topic = "server_id";
    let id = |one: &Examined| one.facts.variables.get("server_id").map(str::to_owned);
    let mut found = Vec::new();
    for (index, one) in all.iter().enumerate() {
        if let Some(other) = all[..index].iter().find(|other| id(other) == id(one)) {
            let id = id(one).unwrap_or_default();
            let what = format!(
                "server_id is {id} at both {} and {}: servers drop what carries their own",
                other.name, one.name
            );
            let way_out = "SET GLOBAL server_id to a number of its own at one of them, and in the \
                           option file";
            found.push(Finding::new(topic, Verdict::Wrong, what).by_hand(way_out));
        }
    }
    if found.is_empty() {
        found.push(Finding::good(topic, "every server has a server_id of its own"));
    }
    found
}

fn packets(all: &[Examined]) -> Vec<Finding> {
    let topic = "max_allowed_packet";
    let packet = |one: &Examined| one.facts.variables.get(topic)?.parse::<u64>().ok();
    let Some(source) = all.iter().find(|one| one.facts.role == Role::Source) else {
        return Vec::new();
    };
    let Some(most) = packet(source) else { return Vec::new() };
    let least = most.saturating_mul(PACKET_PERCENT) / 100;
    // No server takes more than a gibibyte.
    let least = least.min(1 << 30);
    let replicas = all.iter().filter(|one| one.facts.role == Role::Replica);
    replicas
        .filter_map(|one| {
            let found = packet(one)?;
            if found >= least {
                let what = format!("{topic} of {} is enough for the source's rows", one.name);
                return Some(Finding::good(topic, what));
            }
            let what = format!(
                "{topic} of {} is {found}, less than 1.4 times the source's {most}: a row as large as \
                 the source takes does not fit into the statement that applies it",
                one.name
            );
            // Servers round down to full kibibytes.
            let least = least.div_ceil(1024) * 1024;
            let way_out = format!("at {}: SET GLOBAL {topic}={least}, and in the option file", one.name);
            Some(Finding::new(topic, Verdict::Warning, what).by_hand(way_out))
        })
        .collect()
}
