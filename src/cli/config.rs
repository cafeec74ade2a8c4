//! `plimsoll config`: look at a configuration without starting anything.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{Config, EXAMPLE, schema};

/// Check a configuration file, or show what one may hold.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Read FILE and the secrets it names, and check every key; starts and contacts nothing.
    Check {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a commented example with every key.
    Example,
    /// Print the JSON schema of the file.
    Schema,
}

/// Runs the verb.
///
/// # Errors
/// The configuration's [`crate::config::Error`], or standard output is closed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let text = match args.what {
        What::Check { file } => summary(&Config::load(&file)?),
        What::Example => EXAMPLE.to_owned(),
        What::Schema => schema(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn summary(config: &Config) -> String {
    let mut roles = Vec::new();
    if let Some(agent) = &config.agent {
        let kind = if agent.server.is_some() { "with a server" } else { "witness" };
        roles.push(format!("agent {} ({kind})", agent.name));
    }
    if let Some(coordinator) = &config.coordinator {
        let (members, tolerate) = (coordinator.members.len(), coordinator.tolerate);
        roles.push(format!("coordinator ({members} members, tolerates the loss of {tolerate})"));
    }
    if let Some(timestamp) = &config.timestamp {
        roles.push(format!("timestamp server {}", timestamp.id));
    }
    if roles.is_empty() {
        roles.push("no role: add [agent], [coordinator] or [timestamp]".to_owned());
    }
    format!("{}: good: {}\n", config.path.display(), roles.join(", "))
}
