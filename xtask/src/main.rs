//! Sets a fresh machine up and runs the project: `cargo xtask servers|test|demo|bench|fuzz`.

mod bench;
mod cargo;
mod cluster;
mod demo;
mod fuzz;
mod servers;
mod shell;
mod test;

use std::process::ExitCode;

use anyhow::Result;
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
    /// Format, lints, and every test; the last lines are cargo test's own.
    Test(test::Args),
    /// A cluster of real servers, its commits, and what it does while processes are killed.
    Demo(demo::Args),
    /// Figures: ours and the server's own replication, alternating, in one run.
    Bench(bench::Args),
    /// Hostile bytes for every reader of bytes from outside; executions, coverage and findings.
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    let done: Result<()> = match Arguments::parse().verb {
        Verb::Servers => servers::install(servers::Mysql::Wanted),
        Verb::Test(args) => test::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Fuzz(args) => fuzz::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
