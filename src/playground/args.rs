//! The command line of `plimsoll playground`.

use std::path::PathBuf;

use super::installation::ServerFamily;
use crate::cluster::AckWhen;

/// A whole cluster on this machine, in the foreground, gone when interrupted.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(flatten)]
    pub(super) start: Start,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// What the cluster consists of.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Start {
    /// Server family.
    #[arg(long, value_enum, required = true)]
    server: Option<ServerFamily>,
    /// Servers beside the source.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub replicas: usize,
    /// Members that hold the log only.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub witnesses: usize,
    /// Timestamp servers, an odd number.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub timestamps: usize,
    /// Routers (none yet).
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub routers: usize,
    /// What releases a COMMIT.
    #[arg(long, default_value = "flushed", value_name = "flushed|applied", value_parser = parse_ack)]
    pub ack: AckWhen,
    /// Folder of everything; must not hold anything yet. Default: a new one for temporary files.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Written when the cluster is usable, and replaced whenever a pid or a role changes.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Leave the folder behind, to look into what went wrong.
    #[arg(long)]
    pub keep: bool,
    /// Start the servers only, the first one open for writing: no replication, COMMIT waits for nobody.
    /// `restart` starts the other processes, when they are wanted.
    #[arg(long)]
    pub bare: bool,
    /// A line for the option file of every server, after our own.
    #[arg(long, value_name = "NAME=VALUE")]
    pub server_option: Vec<String>,
    /// A line for the [agent] table of every agent's configuration.
    #[arg(long, value_name = "KEY=VALUE")]
    pub agent_option: Vec<String>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Start a child of a running playground (again); one that still runs is stopped first.
    Restart(Restart),
}

/// Which child of which playground.
#[derive(Debug, clap::Args)]
pub(super) struct Restart {
    /// The playground's folder.
    #[arg(long)]
    pub dir: PathBuf,
    /// A server (s1), its agent (s1-agent), coordinator-1, timestamp-1 or witness-1.
    pub name: String,
}

/// More than one machine can sensibly run.
const MEMBERS_MAX: usize = 9;

impl Start {
    /// The family. Asked for by clap wherever a cluster is started.
    pub fn server(&self) -> ServerFamily {
        self.server.expect("clap requires --server unless a subcommand is given")
    }

    /// Refuses what cannot be had, in one line with the way out.
    pub fn check(&self) -> Result<(), String> {
        let members = 1 + self.replicas + self.witnesses;
        if self.routers > 0 {
            return Err(
                "--routers: there is no router in this version yet; leave it out".to_owned()
            );
        }
        if let Some(line) = self.agent_option.iter().find(|line| line.contains(['\n', '\r'])) {
            return Err(format!("--agent-option {line:?}: one line each"));
        }
        if let Some(line) = self.server_option.iter().find(|line| line.contains(['\n', '\r'])) {
            return Err(format!("--server-option {line:?}: one line each"));
        }
        if members < 2 && !self.bare {
            return Err(
                "tolerate = 1 needs two members at least; add --replicas or --witnesses".to_owned()
            );
        }
        if members > MEMBERS_MAX {
            return Err(format!("{members} members; at most {MEMBERS_MAX} fit one machine"));
        }
        if self.timestamps.is_multiple_of(2) || self.timestamps > 9 {
            let given = self.timestamps;
            return Err(format!("--timestamps {given}: an odd number up to 9 is needed (2M-1)"));
        }
        if self.ack == AckWhen::Applied && self.replicas == 0 {
            return Err("--ack applied needs a replica; witnesses apply nothing".to_owned());
        }
        Ok(())
    }
}

fn parse_ack(text: &str) -> Result<AckWhen, String> {
    match text {
        "flushed" => Ok(AckWhen::Flushed),
        "applied" => Ok(AckWhen::Applied),
        _ => Err("write flushed or applied".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("playground").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args)
    }

    #[test]
    fn a_start_and_a_restart() {
        let args = parse("--server mysql --dir /d --ready-file /r").expect("a start");
        assert_eq!(args.start.server(), ServerFamily::Mysql);
        assert_eq!((args.start.replicas, args.start.timestamps), (2, 1));
        assert!(args.verb.is_none());
        let args = parse("restart --dir /d s1-agent").expect("a restart");
        assert!(
            matches!(args.verb, Some(Verb::Restart(Restart { name, .. })) if name == "s1-agent")
        );
        assert!(parse("").is_err());
        assert!(parse("--server oracle").is_err());
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        for (line, word) in [
            ("--routers 1", "router"),
            ("--replicas 0", "two members"),
            ("--replicas 20", "at most"),
            ("--timestamps 2", "odd"),
            ("--timestamps 0", "odd"),
            ("--replicas 0 --witnesses 2 --ack applied", "replica"),
        ] {
            let args = parse(&format!("--server mariadb {line}")).expect("well-formed");
            let refusal = args.start.check().expect_err(line);
            assert!(refusal.contains(word), "{line}: {refusal}");
        }
        let mut args = parse("--server mariadb").expect("well-formed");
        args.start.server_option = vec!["a=1\nb=2".to_owned()];
        assert!(args.start.check().is_err_and(|refusal| refusal.contains("one line each")));
        for line in ["--replicas 0 --witnesses 1", "--replicas 0 --bare --server-option a=1"] {
            let args = parse(&format!("--server mariadb {line}")).expect("well-formed");
            assert_eq!(args.start.check(), Ok(()), "{line}");
        }
    }
}
