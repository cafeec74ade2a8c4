//! `plimsoll status`: the cluster at a glance.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::api::{Api, CoordinatorAddress};
use super::failure::coded;
use crate::cluster::AckWhen;
use crate::coordinator::{MemberStatus, Status};
use crate::explain::{Code, Coded};
use crate::report::Protection;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Show who is there, how far each is, and for whom commits wait. Exits with 0 if commits can go on,
/// 1 if not or if the coordinator does not answer.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    coordinator: CoordinatorAddress,
    /// Show it again each second, until interrupted.
    #[arg(long)]
    watch: bool,
    /// Print the coordinator's JSON, one line each time.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// The coordinator does not answer, or standard output is closed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let api = Api::new(args.coordinator)?;
    let terminal = std::io::stdout().is_terminal();
    loop {
        let shown = if args.json { api.get("/v1/status") } else { table(&api, terminal) };
        let mut out = std::io::stdout().lock();
        if !args.watch {
            let text = shown?;
            writeln!(out, "{}", text.trim_end())?;
            let status: Status =
                serde_json::from_str(&text).or_else(|_| api.get_json("/v1/status"))?;
            return Ok(if status.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if terminal && !args.json {
            // Home and clear: redrawn in place.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        match shown {
            Ok(text) => writeln!(out, "{}", text.trim_end())?,
            Err(error) => {
                let Coded { code, text } = coded(&error, Code::SYSTEM);
                writeln!(out, "{code} {text}")?;
            }
        }
        out.flush()?;
        drop(out);
        std::thread::sleep(EVERY);
    }
}

fn table(api: &Api, colours: bool) -> anyhow::Result<String> {
    Ok(render(&api.get_json("/v1/status")?, colours))
}

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// Alarms on top, then the cluster, then a line for each member. ASCII; no colours unless asked for.
fn render(status: &Status, colours: bool) -> String {
    let paint = |colour: &'static str| if colours { (colour, PLAIN) } else { ("", "") };
    let mut out = String::new();
    let (state, colour) = match (status.healthy, status.alarms.is_empty()) {
        (true, true) => ("healthy", GREEN),
        (true, false) => ("commits go on; see the alarms", RED),
        (false, _) => ("NOT HEALTHY", RED),
    };
    let (on, off) = paint(colour);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "cluster {}: {on}{state}{off}", clean(&status.name));
    let (on, off) = paint(RED);
    for alarm in &status.alarms {
        let _ = writeln!(out, "  {on}ALARM {}{off} {}", alarm.code, clean(&alarm.text));
    }
    let _ = writeln!(out);
    for (label, text) in facts(status) {
        let _ = writeln!(out, "{label:<12} {}", clean(&text));
    }
    let _ = writeln!(out);
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(status.members.iter().map(|member| row(member, status)));
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    for (index, row) in rows.iter().enumerate() {
        let live = index.checked_sub(1).and_then(|index| status.members.get(index));
        let (on, off) = if live.is_some_and(|member| !member.live) { paint(RED) } else { ("", "") };
        let mut line = String::new();
        for (column, (text, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = if NUMBERS.contains(&column) {
                write!(line, "{text:>width$}  ")
            } else {
                write!(line, "{text:<width$}  ")
            };
        }
        let _ = writeln!(out, "{on}{}{off}", line.trim_end());
    }
    out
}

fn facts(status: &Status) -> Vec<(&'static str, String)> {
    let epoch = match (status.epoch, status.complete) {
        (None, _) => "none yet".to_owned(),
        (Some(epoch), true) => format!("{epoch}"),
        (Some(epoch), false) => format!("{epoch}, not complete"),
    };
    let ack = match status.ack {
        AckWhen::Flushed => "COMMIT returns when committed",
        AckWhen::Applied => "COMMIT returns when committed and applied",
    };
    let mut facts = vec![("source", status.source.clone()), ("epoch", epoch)];
    let rule = if status.rule.is_empty() { "not in force yet" } else { &status.rule };
    facts.push(("rule", format!("{rule}; {ack}")));
    facts.push(("committed", number(status.commit_lsn)));
    let protection = match status.protection {
        Protection::Protected => "protected".to_owned(),
        Protection::Unprotected => {
            let reasons = status.reasons.iter();
            let reasons: Vec<String> =
                reasons.map(|reason| format!("{} {}", reason.code, reason.text)).collect();
            format!("UNPROTECTED: {}", reasons.join(". "))
        }
    };
    facts.push(("protection", protection));
    let newer = status.log_format_available.map_or_else(String::new, |newer| {
        format!("; {newer} with `plimsoll upgrade finalize` once every member reads it")
    });
    facts.push(("log format", format!("{}{newer}", status.log_format)));
    if !status.waiting_for.is_empty() {
        facts.push(("waiting for", status.waiting_for.join(", ")));
    }
    facts
}

const COLUMNS: usize = 10;
const HEADINGS: [&str; COLUMNS] = [
    "MEMBER", "ROLE", "STANDING", "WRITTEN", "FLUSHED", "APPLIED", "LAG", "SINCE", "SERVER",
    "STATE",
];
/// Columns that are set to the right.
const NUMBERS: std::ops::RangeInclusive<usize> = 3..=7;

fn row(member: &MemberStatus, status: &Status) -> [String; COLUMNS] {
    let server = member.server.as_ref();
    let behind = member.lag_records.is_some_and(|records| records > 0);
    let waited = status.waiting_for.contains(&member.name);
    [
        clean(&member.name),
        clean(&member.role),
        clean(&member.standing),
        number(member.written_lsn),
        number(member.flushed_lsn),
        if member.role == "witness" { "-".to_owned() } else { number(member.applied_lsn) },
        number(member.lag_records),
        member
            .lag_seconds
            .filter(|_| behind)
            .map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s")),
        server.map_or_else(
            || "-".to_owned(),
            |server| clean(&format!("{}:{}", server.host, server.port)),
        ),
        clean(&format!("{}{}", member.state, if waited { " (waited for)" } else { "" })),
    ]
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Texts come over the network: nothing in them may steer the terminal or break the columns.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::LogFormat;
    use crate::coordinator::ServerStatus;

    fn member(name: &str, role: &str, applied: Option<u64>) -> MemberStatus {
        let witness = role == "witness";
        MemberStatus {
            name: name.to_owned(),
            role: role.to_owned(),
            standing: "counts".to_owned(),
            reason: None,
            listen: "127.0.0.1:7001".to_owned(),
            http: None,
            server: (!witness).then(|| ServerStatus {
                host: "127.0.0.1".to_owned(),
                port: 3306,
                family: None,
            }),
            live: applied.is_some(),
            state: if applied.is_some() { "well" } else { "gone" }.to_owned(),
            written_lsn: applied,
            flushed_lsn: applied,
            applied_lsn: applied,
            applied_timestamp: None,
            lag_records: applied.map(|applied| 1000 - applied),
            lag_seconds: applied.map(|_| 1.25),
            serving: true,
            alarms: Vec::new(),
            report_age_ms: Some(9),
        }
    }

    fn example() -> Status {
        Status {
            cluster: "00".repeat(16),
            name: "orders".to_owned(),
            healthy: false,
            epoch: Some(7),
            shipper: Some("s1".to_owned()),
            complete: true,
            protection: Protection::Unprotected,
            reasons: vec![Coded::new(Code::UNPROTECTED_OFF, "semi-sync is off")],
            source: "s1".to_owned(),
            rule: "2 of s1, s2, s3 flushed (1 may be lost, 1 may be away)".to_owned(),
            generation: Some(1),
            joining_generation: None,
            ack: AckWhen::Flushed,
            log_format: LogFormat::FIRST,
            log_format_available: Some(LogFormat::CURRENT),
            commit_lsn: Some(1000),
            commit_timestamp: None,
            waiting_for: vec!["s3".to_owned()],
            alarms: vec![Coded::new(Code::MEMBER_AWAY, "s3: \x1b[2Jgone")],
            certificates: Vec::new(),
            members: vec![
                member("s1", "source", Some(1000)),
                member("s2", "replica", Some(20)),
                member("s3", "witness", None),
            ],
        }
    }

    #[test]
    fn a_table_that_a_person_reads() {
        let expected = "\
cluster orders: NOT HEALTHY
  ALARM PLM710 s3: ?[2Jgone

source       s1
epoch        7
rule         2 of s1, s2, s3 flushed (1 may be lost, 1 may be away); COMMIT returns when committed
committed    1000
protection   UNPROTECTED: PLM220 semi-sync is off
log format   1; 2 with `plimsoll upgrade finalize` once every member reads it
waiting for  s3

MEMBER  ROLE     STANDING  WRITTEN  FLUSHED  APPLIED  LAG  SINCE  SERVER          STATE
s1      source   counts       1000     1000     1000    0      -  127.0.0.1:3306  well
s2      replica  counts         20       20       20  980  1.2 s  127.0.0.1:3306  well
s3      witness  counts          -        -        -    -      -  -               gone (waited for)
";
        assert_eq!(render(&example(), false), expected);
    }

    #[test]
    fn colours_only_where_asked_for() {
        let coloured = render(&example(), true);
        assert!(coloured.contains(RED) && coloured.contains(PLAIN));
        assert!(!render(&example(), false).contains('\x1b'));
        let mut well = example();
        (well.healthy, well.alarms, well.waiting_for) = (true, Vec::new(), Vec::new());
        assert!(
            render(&well, true).starts_with("cluster orders: \x1b[32mhealthy\x1b[0m\n\nsource")
        );
    }
}
