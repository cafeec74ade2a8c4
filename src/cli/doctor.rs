//! `plimsoll doctor`: is a server as the cluster needs it?

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;

use super::confirm::confirmed;
use super::status::clean;
use crate::config::{Config, ServerConfig};
use crate::doctor::{self, Examined, Facts, Finding, Mend, Role, Verdict};
use crate::explain::{Code, Coded};
use crate::server::{self, Session};

/// A server that does not answer a login or a question. Listing the tables of a large one takes time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Check a server, line by line: good, wrong with the statements that mend it, or impossible. Changes
/// nothing without --fix. Exits with 0 if nothing is wrong (warnings do not count), 1 otherwise.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file of an agent: its [agent.server] is looked at. Several: also held against
    /// each other (server_id, max_allowed_packet).
    #[arg(long = "config", value_name = "FILE", required = true)]
    configs: Vec<PathBuf>,
    /// What the server is to be. Default: a replica if it is read-only now, otherwise a source.
    #[arg(long)]
    role: Option<Role>,
    /// Show the statements that mend it, ask, and run them; write the lines for its option file beside
    /// the configuration file, as plimsoll-NAME.cnf.
    #[arg(long)]
    fix: bool,
    /// Do not ask.
    #[arg(long, requires = "fix")]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found at one server.
#[derive(Serialize)]
struct Report {
    member: String,
    server: String,
    role: Role,
    version: String,
    findings: Vec<Finding>,
    #[serde(skip)]
    facts: Facts,
}

/// All of it, as `--json` prints it.
#[derive(Serialize)]
struct Reports {
    /// Nothing is wrong or impossible.
    sound: bool,
    servers: Vec<Report>,
    /// The servers held against each other.
    members: Vec<Finding>,
}

/// Runs the verb.
///
/// # Errors
/// A configuration cannot be read, a server not be asked, a statement of `--fix` was refused.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let configs: Result<Vec<Config>, _> =
        args.configs.iter().map(|file| Config::load(file)).collect();
    let configs = configs?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("start the runtime")?.block_on(Box::pin(doctor(&args, &configs)))
}

async fn doctor(args: &Args, configs: &[Config]) -> anyhow::Result<ExitCode> {
    let mut found = examine(args, configs).await?;
    let mends = found.servers.iter().any(|report| report.findings.iter().any(has_mend));
    if args.fix && mends {
        if !args.json {
            show(&found)?;
        }
        for (report, config) in found.servers.iter().zip(configs) {
            fix(args, report, config).await.with_context(|| format!("mend {}", report.member))?;
        }
        found = examine(args, configs).await?;
    }
    if args.json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&found)?)?;
    } else {
        show(&found)?;
    }
    Ok(if found.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn has_mend(finding: &Finding) -> bool {
    finding.option.is_some() || matches!(finding.mend, Some(Mend::Run(_)))
}

async fn examine(args: &Args, configs: &[Config]) -> anyhow::Result<Reports> {
    let mut servers = Vec::new();
    for config in configs {
        let (member, server) = server_of(config)?;
        let report = examine_one(args.role, member, server).await;
        let at = || format!("look at {}:{}, the server of {member}", server.host, server.port);
        servers.push(report.with_context(at)?);
    }
    let examined: Vec<Examined> = servers
        .iter()
        .map(|report| Examined { name: &report.server, facts: &report.facts })
        .collect();
    let members = doctor::members(&examined);
    let sound =
        doctor::sound(&members) && servers.iter().all(|report| doctor::sound(&report.findings));
    Ok(Reports { sound, servers, members })
}

fn server_of(config: &Config) -> anyhow::Result<(&str, &ServerConfig)> {
    let file = config.path.display();
    let Some(agent) = &config.agent else { bail!("{file} has no [agent]: whose server is it?") };
    let Some(server) = &agent.server else {
        bail!("{file} has no [agent.server]: a witness has nothing to look at");
    };
    Ok((agent.name.as_str(), &server.connection))
}

async fn examine_one(
    role: Option<Role>,
    member: &str,
    server: &ServerConfig,
) -> Result<Report, server::Error> {
    let mut session = Session::connect(server, PATIENCE).await?;
    let role = match role {
        Some(role) => role,
        None if server::is_read_only(&mut session).await? => Role::Replica,
        None => Role::Source,
    };
    let facts = doctor::facts(&mut session, server, role).await?;
    let inventory = doctor::inventory(&mut session, server).await?;
    session.close().await;
    let findings = doctor::all(&facts, &inventory);
    Ok(Report {
        member: member.to_owned(),
        server: format!("{}:{}", server.host, server.port),
        role,
        version: format!("{} {}", facts.family, facts.version),
        findings,
        facts,
    })
}

async fn fix(args: &Args, report: &Report, config: &Config) -> anyhow::Result<()> {
    let (member, server) = server_of(config)?;
    // What is shown is for a person; with --json, standard output is for a program.
    let mut out = std::io::stderr();
    let statements = doctor::statements(&report.findings);
    if report.role == Role::Replica && report.facts.own_clients > 0 {
        // `read_only` would hang behind COMMITs that wait, and refuse those to come.
        let text = format!(
            "an agent ships the binlog of {member} now: it is a source; leave --role out, or say source"
        );
        return Err(Coded::new(Code::WRONG_MEMBER, text).into());
    }
    if !statements.is_empty() {
        writeln!(out, "{member}: these statements mend it:")?;
        for statement in &statements {
            writeln!(out, "    {statement};")?;
        }
        if !args.yes && !confirmed(&format!("Run them at the server of {member}?"))? {
            return Ok(());
        }
        let mut session = Session::connect(server, PATIENCE).await?;
        doctor::run(&mut session, &statements).await?;
        session.close().await;
        writeln!(out, "{member}: done")?;
    }
    if let Some(text) = doctor::option_file(&report.findings) {
        let folder = config.path.parent().unwrap_or(Path::new(""));
        let path = std::path::absolute(folder.join(format!("plimsoll-{member}.cnf")))?;
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        let path = path.display();
        writeln!(
            out,
            "{member}: for the next start of the server, add to its option file: !include {path}"
        )?;
    }
    Ok(())
}

fn show(found: &Reports) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for report in &found.servers {
        let role = match report.role {
            Role::Source => "source",
            Role::Replica => "replica",
        };
        let Report { member, server, version, findings, .. } = report;
        writeln!(out, "{member}, {role}, {server}, {}", clean(version))?;
        write!(out, "{}", lines(findings))?;
    }
    if !found.members.is_empty() {
        writeln!(out, "the servers together")?;
        write!(out, "{}", lines(&found.members))?;
    }
    let all = found.servers.iter().flat_map(|report| &report.findings).chain(&found.members);
    let count = |from: Verdict, to: Verdict| {
        all.clone().filter(|finding| (from..=to).contains(&finding.verdict)).count()
    };
    let (wrong, warnings) =
        (count(Verdict::Impossible, Verdict::Wrong), count(Verdict::Warning, Verdict::Warning));
    writeln!(out, "{wrong} wrong, {warnings} to think about")
}

fn lines(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { verdict, what, mend, .. } in findings {
        text.push_str(&format!("  {verdict:<11} {}\n", clean(what)));
        if let Some(mend) = mend {
            text.push_str(&format!("  {:<11} mend: {}\n", "", clean(&mend.to_string())));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_mend_another() {
        let findings = [
            Finding::good("a", "a is 1"),
            Finding::new("b", Verdict::Wrong, "b is\x1b 0").run(["SET GLOBAL b=1", "SET c=2"]),
        ];
        let expected = "  good        a is 1\n  WRONG       b is? 0\n              \
                        mend: SET GLOBAL b=1; SET c=2;\n";
        assert_eq!(lines(&findings), expected);
    }
}
