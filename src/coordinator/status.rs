//! `/v1/status`: the cluster for people and scripts. Pure: picture, board and time in, status out.
//!
//! The fields are specified by `schemas/status.schema.json`, which is made from these types.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::board::Board;
use super::picture::Picture;
use crate::certificate::CertificateStatus;
use crate::cluster::{AckWhen, LogFormat};
use crate::explain::{Code, Coded};
use crate::quorum::rule;
use crate::report::Protection;

mod findings;
mod member;

/// The cluster at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The cluster's id: 32 hexadecimal digits.
    pub cluster: String,
    /// Its name, from the configuration.
    pub name: String,
    /// An epoch is complete, its source reports, and a quorum is there: commits can go on.
    pub healthy: bool,
    /// Whether a COMMIT at the source returns only when the quorum has it, as the source's agent says.
    pub protection: Protection,
    /// Why it does not, or why that is not known; one sentence each, with the way out.
    pub reasons: Vec<Coded>,
    /// The last epoch granted.
    pub epoch: Option<u32>,
    /// The member it was granted to.
    pub shipper: Option<String>,
    /// Whether that epoch's start is known to be committed.
    pub complete: bool,
    /// The member whose server takes writes.
    pub source: String,
    /// The rule in words; during a joint change both.
    pub rule: String,
    /// Number of the configuration in force; `null` until every member has registered once.
    pub generation: Option<u64>,
    /// Number of the configuration that a joint change is going over to.
    pub joining_generation: Option<u64>,
    /// What releases COMMIT.
    pub ack: AckWhen,
    /// The log's format in force: no member writes what only a later one has.
    #[serde(default)]
    pub log_format: LogFormat,
    /// A later one, which this coordinator puts in force with `plimsoll upgrade finalize` once every
    /// member reads it; `null`: the newest is in force.
    #[serde(default)]
    pub log_format_available: Option<LogFormat>,
    /// The highest commit point that was reported.
    pub commit_lsn: Option<u64>,
    /// Its timestamp: 64 bits.
    pub commit_timestamp: Option<u64>,
    /// For whom commits, an epoch or the bootstrap wait.
    pub waiting_for: Vec<String>,
    /// What a person must look at, the worst first, each with its code.
    pub alarms: Vec<Coded>,
    /// The coordinator's own certificates; an agent's `/v1/status` shows the agent's.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// All members, in the configuration's order.
    pub members: Vec<MemberStatus>,
}

/// One member at one moment. LSNs and timestamps as it last reported them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemberStatus {
    /// Name.
    pub name: String,
    /// `source`, `replica` or `witness`.
    pub role: String,
    /// `counts`, `unknown` (never registered), `joining` or `excluded`.
    pub standing: String,
    /// Why it is excluded, with the way out.
    pub reason: Option<String>,
    /// Where other members reach it.
    pub listen: String,
    /// Its agent's HTTP.
    pub http: Option<String>,
    /// Its server.
    pub server: Option<ServerStatus>,
    /// Its agent is connected and reports.
    pub live: bool,
    /// One short phrase.
    pub state: String,
    /// Last record of its log.
    pub written_lsn: Option<u64>,
    /// Fsynced up to here.
    pub flushed_lsn: Option<u64>,
    /// In its server up to here.
    pub applied_lsn: Option<u64>,
    /// The timestamp of that: 64 bits.
    pub applied_timestamp: Option<u64>,
    /// Committed records that its server (a witness: its log) does not have.
    pub lag_records: Option<u64>,
    /// How long ago the commit point passed what it has.
    pub lag_seconds: Option<f64>,
    /// Its server answers and may serve reads.
    pub serving: bool,
    /// Its own alarms.
    pub alarms: Vec<Coded>,
    /// Age of its newest report, milliseconds.
    pub report_age_ms: Option<u64>,
}

/// Where clients reach a member's server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `mysql` or `mariadb`; left out while the agent has not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
}

#[cfg(test)]
/// The JSON schema of `/v1/status`, as `schemas/status.schema.json` has it.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Status);
    // A schema is plain JSON: it always has a text.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// The status of now.
pub fn status(name: &str, picture: &Picture, board: &Board, now: Instant) -> Status {
    let state = &picture.state;
    let commit = board.commit();
    let members: Vec<MemberStatus> =
        state.members.iter().map(|member| member::status(member, picture, board, now)).collect();
    let found = findings::look(picture, board, &members, now);
    let configs = state.commit();
    let words: Vec<String> = configs.iter().map(rule::in_words).collect();
    let (protection, reasons) = protection(picture, board, now);
    Status {
        cluster: state.cluster.to_string(),
        name: name.to_owned(),
        healthy: found.healthy,
        protection,
        reasons,
        epoch: state.epoch().map(wal::Epoch::get),
        shipper: state.granted.as_ref().map(|granted| granted.voter.member.to_string()),
        complete: state.granted.as_ref().is_some_and(|granted| granted.complete),
        source: state.source.to_string(),
        rule: words.join(", and "),
        generation: state.config.as_ref().map(|config| config.generation),
        joining_generation: state.incoming.as_ref().map(|config| config.generation),
        ack: state.ack,
        log_format: state.log_format,
        log_format_available: Some(LogFormat::CURRENT).filter(|newest| *newest > state.log_format),
        commit_lsn: commit.map(|mark| mark.lsn.get()),
        commit_timestamp: commit.and_then(|mark| mark.timestamp).map(wal::Timestamp::bits),
        waiting_for: found.waiting_for,
        alarms: found.alarms,
        certificates: Vec::new(),
        members,
    }
}

/// As the source's agent says, while it says something.
fn protection(picture: &Picture, board: &Board, now: Instant) -> (Protection, Vec<Coded>) {
    let source = &picture.state.source;
    let entry = board.member(source).filter(|entry| entry.live(now));
    let report = entry.and_then(|entry| entry.report.as_ref()).map(|(_, report)| report);
    match report.and_then(|report| Some((report.protection?, report.reasons.clone()))) {
        Some(said) => said,
        None => {
            let why = format!("the agent of the source {source} does not report");
            (Protection::Unprotected, vec![Coded::new(Code::UNPROTECTED_UNKNOWN, why)])
        }
    }
}

#[cfg(test)]
mod tests;
