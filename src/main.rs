//! `plimsoll`: parse the arguments, run a verb or a role, give its exit code.

use std::process::ExitCode;

use clap::Parser;
use plimsoll::cli::{Cli, run};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            let code = failure.code;
            eprintln!("plimsoll: {code}: {failure}");
            eprintln!("`plimsoll explain {code}` says what it means and what to do");
            ExitCode::FAILURE
        }
    }
}
