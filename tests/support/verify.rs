//! `plimsoll verify`, as an operator runs it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::Playground;
use super::playground::PLIMSOLL;

const WITHIN: Duration = Duration::from_secs(180);

/// What it ended with.
#[derive(Debug)]
pub struct Verified {
    pub code: Option<i32>,
    /// The JSON it printed; `Null` where it printed none.
    pub report: Value,
    pub said: String,
}

impl Verified {
    /// What it says of a table: the first replica's.
    pub fn table(&self, name: &str) -> &Value {
        let tables = self.report["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
        tables.iter().find(|table| table["table"] == name).unwrap_or(&Value::Null)
    }
}

/// The command, not started.
pub fn command(play: &Playground, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(PLIMSOLL);
    command.args(["verify", "--coordinator", &play.coordinator()?]).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Runs it to its end.
pub async fn verify(play: &Playground, arguments: &[&str]) -> Result<Verified> {
    let mut command = command(play, arguments)?;
    let done = tokio::time::timeout(WITHIN, command.arg("--json").output()).await;
    let done = done.context("plimsoll verify does not end")?.context("start plimsoll verify")?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let report = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
    Ok(Verified { code: done.status.code(), report, said })
}

/// Every replica is proven equal to the source.
pub async fn equal(play: &Playground) -> Result<Verified> {
    let found = verify(play, &[]).await?;
    ensure!(found.code == Some(0) && found.report["outcome"] == "equal", "{found:#?}");
    Ok(found)
}
