//! The table of settings, held against running values and those after a restart.

use super::super::facts::{AfterRestart, Facts};
use super::super::finding::{Finding, Verdict};
use super::super::settings::{AtSource, How, SETTINGS, Setting};
use crate::server::{Family, Variables};

/// A finding for each setting that the server knows.
pub(in super::super) fn settings(facts: &Facts) -> Vec<Finding> {
    SETTINGS.iter().filter_map(|setting| one(setting, facts)).collect()
}

/// What a reign rests on and is not so, as the server runs now: looked at each second.
pub(in super::super) fn demanded(family: Family, variables: &Variables) -> Vec<Finding> {
    let of_source = |setting: &&Setting| setting.at_source != AtSource::Told;
    SETTINGS
        .iter()
        .filter(of_source)
        .filter_map(|setting| {
            let (name, value) = variables.first(setting.names)?;
            (!setting.right.holds(value)).then(|| running(setting, name, value, family))
        })
        .collect()
}

fn one(setting: &Setting, facts: &Facts) -> Option<Finding> {
    let (name, value) = facts.variables.first(setting.names)?;
    let counts = setting.running.is_none_or(|role| role == facts.role);
    if counts && !setting.right.holds(value) {
        return Some(running(setting, name, value, facts.family));
    }
    if !counts && !setting.kept {
        return None;
    }
    let after = facts.after_restart.get(name).filter(|_| setting.kept);
    Some(match after {
        Some(AfterRestart::Value(after)) if !setting.right.holds(after) => {
            let what = format!("{name} will be {} after a restart: {}", shown(after), setting.why);
            keep(setting, name, facts.family, Finding::new(name, setting.verdict, what))
        }
        Some(AfterRestart::Unknown) => {
            let what = format!(
                "{name} was set at run time, and it cannot be seen from here whether an option file \
                 says {} too: {}",
                setting.wanted, setting.why
            );
            keep(setting, name, facts.family, Finding::new(name, Verdict::Warning, what))
        }
        _ if counts => Finding::good(name, format!("{name} is {}", shown(value))),
        _ => Finding::good(name, format!("{name} will be {} after a restart", setting.wanted)),
    })
}

/// The running value is wrong.
fn running(setting: &Setting, name: &'static str, value: &str, family: Family) -> Finding {
    let what = format!("{name} is {}: {}", shown(value), setting.why);
    let mut finding = Finding::new(name, setting.verdict, what);
    finding.refuses = setting.at_source == AtSource::Demanded;
    finding.option = (setting.kept && family == Family::Mariadb).then(|| line(setting, name));
    match setting.mend {
        How::ByHand(text) => {
            finding.option = Some(line(setting, name));
            finding.by_hand(text)
        }
        How::Set => {
            let how = match family {
                Family::Mysql if setting.kept => "PERSIST",
                _ => "GLOBAL",
            };
            finding.run([format!("SET {how} {name}={}", setting.wanted)])
        }
    }
}

/// The running value is right, or does not count here; the one after a restart is not.
fn keep(setting: &Setting, name: &str, family: Family, mut finding: Finding) -> Finding {
    let line = line(setting, name);
    match (family, &setting.mend) {
        (Family::Mysql, How::Set) => {
            finding.run([format!("SET PERSIST_ONLY {name}={}", setting.wanted)])
        }
        _ => {
            let text = format!("write `{line}` under [mysqld] into the server's option file");
            finding.option = Some(line);
            finding.by_hand(text)
        }
    }
}

fn line(setting: &Setting, name: &str) -> String {
    // Its value would be a file name.
    if name == "log_bin" { name.to_owned() } else { format!("{name}={}", setting.wanted) }
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "empty" } else { value }
}
