//! `plimsoll upgrade`: what ends an upgrade.

use std::io::Write;
use std::process::ExitCode;

use serde::Deserialize;

use super::api::{Api, CoordinatorAddress};
use super::confirm::confirmed;
use crate::cluster::LogFormat;
use crate::coordinator::Status;

/// End an upgrade.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Put the newest format of the log in force. Run it when every process runs the new version, and
    /// you are sure to stay with it: there is no way back. Refused while a member cannot read it.
    Finalize {
        #[command(flatten)]
        coordinator: CoordinatorAddress,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Answer {
    log_format: LogFormat,
}

/// Runs the verb. Asked again, it changes nothing.
///
/// # Errors
/// The coordinator does not answer, or refuses and names the members that are in the way.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let What::Finalize { coordinator, yes } = args.what;
    let api = Api::new(coordinator)?;
    let status: Status = api.get_json("/v1/status")?;
    let Some(newest) = status.log_format_available else {
        say(&format!("format {} of the log is in force, the newest one", status.log_format))?;
        return Ok(ExitCode::SUCCESS);
    };
    let question = format!(
        "The log of cluster {} goes from format {} to {newest}. From then on no earlier version of \
         plimsoll can run here, and there is no way back. Go on?",
        status.name, status.log_format
    );
    if !yes && !confirmed(&question)? {
        say("nothing was changed")?;
        return Ok(ExitCode::FAILURE);
    }
    let Answer { log_format } = api.post_json("/v1/upgrade/finalize")?;
    say(&format!("format {log_format} of the log is in force"))?;
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
