//! `ops/alerts.yml`: every metric of it is one that real processes show.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::roles::authority::Authority;
use crate::roles::process::Roles;
use crate::support::ledger::Ledger;
use crate::support::{Family, Playground, Result, ensure, http, run};

#[test]
fn every_alert_rests_on_metrics_that_exist() {
    run(Family::Mariadb, alerts);
}

async fn alerts(family: Family) -> Result<()> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/alerts.yml");
    let wanted = metrics_of_rules(&std::fs::read_to_string(rules)?);
    ensure!(wanted.len() > 10 && wanted.contains("plimsoll_protected"), "{wanted:?}");

    let play = Playground::start(family).await?;
    let ledger = Ledger::start(&play.source()?, 1).await?;
    ledger.grows(20, Duration::from_secs(30)).await?;
    ledger.stop().await?;
    let servers = play.ready()?.servers;
    let mut ports: Vec<String> = servers.into_iter().map(|server| server.agent.http).collect();
    ports.push(play.coordinator()?);
    let mut found = BTreeSet::new();
    for port in &ports {
        found.extend(metrics_shown(port).await?);
    }
    play.end().await?;

    // The playground has no certificates.
    let tls = "[cluster.tls]\nca = \"ca.pem\"\ncert = \"p.pem\"\nkey = \"p.key\"\n\n\
               [http]\nopen = true\n";
    let mut roles = Roles::new(tls)?;
    Authority::new(&roles, "ca")?.sign(&roles, "p", 90)?;
    roles.start(async |port| http::get(port, "/healthz").await.is_ok()).await?;
    for port in &roles.ports {
        let shown = metrics_shown(port).await?;
        ensure!(shown.contains("plimsoll_certificate_expiry_seconds"), "{port}: {shown:?}");
        found.extend(shown);
    }
    let unknown: Vec<&String> = wanted.difference(&found).collect();
    ensure!(unknown.is_empty(), "no process shows {unknown:?}; there are {found:?}");
    Ok(())
}

/// Names of the samples.
async fn metrics_shown(port: &str) -> Result<BTreeSet<String>> {
    let (status, text) = http::get(port, "/metrics").await?;
    ensure!(status == 200, "{port}: {status}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    Ok(samples.map(name).filter(|name| !name.is_empty()).collect())
}

/// Every metric in an `expr`, on its line or in the block below it.
fn metrics_of_rules(rules: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut lines = rules.lines();
    while let Some(line) = lines.next() {
        let Some(expr) = line.trim_start().strip_prefix("expr:") else { continue };
        let block = if expr.trim() == "|" { lines.next().unwrap_or_default() } else { expr };
        found.extend(metrics_of_expression(block));
    }
    found
}

/// What PromQL knows by itself, and Prometheus' own metric of a scrape.
const OTHERS: [&str; 9] =
    ["by", "count", "histogram_quantile", "instance", "le", "predict_linear", "rate", "sum", "up"];

/// Identifiers that are neither labels, nor in quotes, nor units of a number, nor known words.
fn metrics_of_expression(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut depth, mut word) = (0, String::new());
    for character in text.chars().chain([' ']) {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        let part = character.is_ascii_alphanumeric() || character == '_' || character == ':';
        if part && depth == 0 {
            word.push(character);
            continue;
        }
        let word = std::mem::take(&mut word);
        let number = word.starts_with(|first: char| first.is_ascii_digit());
        if !word.is_empty() && !number && !OTHERS.contains(&&*word) {
            found.insert(word);
        }
    }
    found
}

#[test]
fn metrics_are_found_in_expressions() {
    let text = "        expr: |\n          histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m]))) \
                > 1e3\n        expr: b{topic=\"c\"} * d_e < 14 * 86400\n        expr: up == 0\n";
    let found: Vec<String> = metrics_of_rules(text).into_iter().collect();
    assert_eq!(found, ["a_bucket", "b", "d_e"]);
}
