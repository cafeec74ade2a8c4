//! Sets a fresh machine up and runs the project: `cargo xtask servers|test|demo`.

mod servers;
mod shell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets a fresh machine up and runs the project")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing: both server families, without containers, and what the build needs.
    Servers,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Servers => servers::install(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
