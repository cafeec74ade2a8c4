//! The command line: which verbs there are, and how their ends are told.
//!
//! In: arguments. Out: an exit code (0 done, 1 failed, 2 usage) and, for a failure, one readable text
//! with its code on standard error. A verb is a module with `Args` and `run(args) -> anyhow::Result<ExitCode>`; a
//! role is an async function that ends when its token is cancelled (SIGINT, SIGTERM). No password or
//! secret is ever an argument.
//!
//! Does not: decide anything. What a verb does stands in its part.

mod adopt;
mod api;
mod config;
mod confirm;
mod doctor;
mod explain;
mod failure;
mod log;
mod member;
mod role;
mod status;
mod upgrade;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::{coded, printed};
use crate::config::Config;
use crate::explain::{Code, Coded};
use crate::{agent, coordinator, playground, timestamp};

/// A replication log shipper beside an unmodified MySQL or MariaDB master: COMMIT returns when enough
/// members have the transaction on disk.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a member of the log, beside a server or as a witness.
    Agent(role::Args),
    /// Run the coordinator.
    Coordinator(role::Args),
    /// Run a timestamp server.
    Timestamp(role::Args),
    /// Run a whole cluster on this machine, with real servers, until interrupted.
    Playground(playground::Args),
    /// Check whether a server is as the cluster needs it.
    Doctor(doctor::Args),
    /// Show the cluster.
    Status(status::Args),
    /// Say where a restored replica stands.
    Adopt(adopt::Args),
    /// Prove that replicas equal the source.
    Verify(verify::Args),
    /// Change who counts.
    Member(member::Args),
    /// End an upgrade: let the cluster use what only the new version knows.
    Upgrade(upgrade::Args),
    /// Look into a log folder, also beside its running agent.
    Log(log::LogArgs),
    /// Check a configuration file, or show what one may hold.
    Config(config::Args),
    /// Say what a code means, and what to do.
    Explain(explain::Args),
}

/// Runs what the command line says.
///
/// # Errors
/// Whatever the verb or role ended with, in one line.
pub fn run(cli: Cli) -> Result<ExitCode, Coded> {
    let otherwise = match cli.command {
        Command::Playground(_) => Code::PLAYGROUND,
        _ => Code::SYSTEM,
    };
    carry_out(cli.command).map_err(|error| coded(&error, otherwise))
}

fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Agent(args) => role::run(args, Config::into_agent, agent::run),
        Command::Coordinator(args) => role::run(args, Config::into_coordinator, coordinator::run),
        Command::Playground(args) => playground::run(args),
        Command::Doctor(args) => printed(doctor::run(args)),
        Command::Status(args) => printed(status::run(args)),
        Command::Adopt(args) => printed(adopt::run(args)),
        Command::Member(args) => printed(member::run(args)),
        Command::Upgrade(args) => printed(upgrade::run(args)),
        Command::Verify(args) => printed(verify::run(args)),
        Command::Timestamp(args) => role::run(args, Config::into_timestamp, timestamp::run),
        Command::Log(args) => printed(log::run(args)),
        Command::Config(args) => printed(config::run(args)),
        Command::Explain(args) => printed(explain::run(args)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn causes_are_told_once() {
        let told = |error| coded(&error, Code::SYSTEM).text;
        let cause = std::io::Error::other("no route");
        let error =
            anyhow::Error::new(cause).context("connect a:1").context("connect a:1: no route");
        assert_eq!(told(error), "connect a:1: no route");
        let error = anyhow::anyhow!("no route").context("reach the coordinator");
        assert_eq!(told(error), "reach the coordinator: no route");
    }

    #[test]
    fn usage_is_told_from_failure() {
        for bad in [&["plimsoll"][..], &["plimsoll", "timestamp"], &["plimsoll", "nonsense"]] {
            assert_eq!(Cli::try_parse_from(bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
        assert_eq!(Cli::try_parse_from(["plimsoll", "--help"]).unwrap_err().exit_code(), 0);
        let good = ["plimsoll", "timestamp", "--config", "/nowhere/p.toml"];
        let error = run(Cli::try_parse_from(good).unwrap()).unwrap_err();
        assert!(error.text.starts_with("/nowhere/p.toml: cannot be read"), "{error}");
        assert_eq!(error.code, Code::CONFIG_UNREADABLE);
    }
}
