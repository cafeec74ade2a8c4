//! `plimsoll`: parse the arguments, run a verb or a role, give its exit code.

use std::process::ExitCode;

use clap::Parser;
use plimsoll::cli::{Cli, explain, run};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("plimsoll: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}
