//! `cargo xtask test`: what must hold before anything is called done.

use anyhow::Result;

use crate::{cargo, servers};

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Everything but the tests on real servers.
    #[arg(long)]
    quick: bool,
}

/// Checks the format, the lints, then runs the tests: fast ones first, real servers last.
///
/// # Errors
/// The first check that fails.
pub fn run(args: &Args) -> Result<()> {
    if !args.quick {
        // First, because the build itself needs some of it.
        servers::install(servers::Mysql::Wanted)?;
    }
    cargo::run(&["fmt", "--all", "--check"])?;
    cargo::run(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo::run(&["test", "--workspace", "--doc"])?;
    cargo::run(&["test", "--workspace", "--lib", "--bins"])?;
    if args.quick {
        return cargo::run(&["test", "--workspace", "--test", "*", "--", "--skip", "servers::"]);
    }
    cargo::run(&["test", "--workspace", "--test", "*"])
}
