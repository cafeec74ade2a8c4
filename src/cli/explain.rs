//! `plimsoll explain`: what a code means, and what to do.

use std::io::Write;
use std::process::ExitCode;

use crate::explain::{Code, list};

/// Say what a code of a message means: its cause, the risk, the way out. Without a code: list all.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As in a message: PLM401. Case does not matter, nor whether PLM is said.
    #[arg(value_name = "CODE")]
    code: Option<Code>,
}

/// Runs the verb.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let text = match args.code {
        None => list(),
        // A code is only parsed if it has a page.
        Some(code) => code.page().unwrap_or_default().to_owned(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
