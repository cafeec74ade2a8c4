//! `plimsoll verify`: proves that replicas equal their source at one record of the log.
//!
//! In: a coordinator's address. Out: a verdict for each table and replica; exit code 0 only where each
//! of them is proven equal. The agents read, each with its own session; this asks them, compares, and
//! narrows down. `member` speaks to one agent, `session` opens the snapshots and keeps them, `table`
//! walks one table, `ledger` collects what is known, `report` and `progress` tell it.
//!
//! What changed behind a snapshot (a DDL) is read again at a new one, a few times. A difference of
//! definition counts when two rounds show the same one.

mod ledger;
mod member;
pub(super) mod progress;
mod report;
mod session;
mod table;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use self::ledger::Ledger;
use self::member::{Failure, Member};
use self::progress::Progress;
use self::report::Outcome;
use self::session::Opened;
use self::table::Pace;
use super::api::{Api, CoordinatorAddress};
use crate::coordinator::{MemberStatus, Status};
use crate::explain::{Code, Coded};
use crate::http::Client;
use crate::verify::TableName;

/// Snapshots that are tried until everything is settled, and the pause between: a DDL, or a statement
/// on a table without transactions, is over by then.
const ROUNDS: usize = 4;
const BETWEEN: Duration = Duration::from_secs(1);

/// Prove that replicas equal the source at one record of the log, table by table. Exits with 0 if all
/// is equal, with 1 if something differs or could not be verified.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    coordinator: CoordinatorAddress,
    /// Only this replica; may be given again. Default: all.
    #[arg(long = "replica", value_name = "NAME")]
    replicas: Vec<String>,
    /// Only this table; may be given again. Default: all, and all other definitions.
    #[arg(long = "table", value_name = "DB.TABLE", value_parser = table_name)]
    tables: Vec<TableName>,
    /// Rows that one statement reads.
    #[arg(long, value_name = "ROWS", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    chunk: u64,
    /// Milliseconds to rest after each chunk: less load, more time.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pause: u64,
    /// Seconds that a replica may take to catch up with the snapshot.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

fn table_name(text: &str) -> Result<TableName, String> {
    match text.split_once('.') {
        Some((schema, name)) if !schema.is_empty() && !name.is_empty() => {
            Ok(TableName { schema: schema.to_owned(), name: name.to_owned() })
        }
        _ => Err(format!("{text:?} is no table: DATABASE.TABLE")),
    }
}

/// Runs the verb.
///
/// # Errors
/// Nothing can be verified: the coordinator or the source does not answer or refuses.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = Arc::new(Client::new(&args.coordinator.credentials, member::WITHIN)?);
    let status: Status = Api::new(args.coordinator.clone())?.get_json("/v1/status")?;
    let (source, replicas) = members(&status, &args.replicas, &client)?;
    let mut ledger = Ledger::new(replicas.iter().map(|replica| replica.name.as_str()));
    let mut progress = Progress::new(!args.json);
    for round in 1..=ROUNDS {
        let wanted = replicas.iter().filter(|replica| ledger.wants(&replica.name));
        let wanted = wanted.cloned().collect();
        one_round(&args, &source, wanted, &mut ledger, &mut progress).with_context(|| {
            format!("NOT PROVEN: source {} cannot be verified now", source.name)
        })?;
        if round == ROUNDS || ledger.settled() {
            break;
        }
        std::thread::sleep(BETWEEN);
    }
    progress.end();
    let report = ledger.report(source.name);
    let text = if args.json { serde_json::to_string(&report)? + "\n" } else { report.text() };
    std::io::stdout().write_all(text.as_bytes())?;
    let equal = report.outcome == Outcome::Equal;
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One snapshot at each, and everything compared in it that is not known yet.
fn one_round(
    args: &Args,
    source: &Member,
    replicas: Vec<Member>,
    ledger: &mut Ledger,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let opened = Opened::open(source, replicas, args.wait).map_err(told)?;
    ledger.round(opened.at);
    let catalogs = match opened.catalogs(&args.tables) {
        Ok(catalogs) => catalogs,
        Err(why) if why.again => {
            ledger.broken(why);
            return Ok(());
        }
        Err(why) => return Err(told(why).into()),
    };
    for (replica, why) in opened.left_out.iter().chain(&catalogs.failed) {
        ledger.lost(replica, why);
    }
    if let Some(name) = args.tables.iter().find(|name| !catalogs.has(name)) {
        let text = format!("there is no table {name}");
        return Err(Coded::new(Code::VERIFY_NO_TABLE, text).into());
    }
    for (replica, differences) in &catalogs.differences {
        ledger.definitions(replica, differences, &catalogs.tables);
    }
    let pace = Pace { chunk: args.chunk, pause: Duration::from_millis(args.pause) };
    progress.expect(catalogs.tables.iter().map(|table| table.estimate).sum());
    for table in &catalogs.tables {
        let open = |replica: &&Member| {
            catalogs.comparable(&replica.name, &table.name)
                && ledger.open(&table.name, &replica.name)
        };
        let against: Vec<Member> = opened.replicas.iter().filter(open).cloned().collect();
        if against.is_empty() {
            continue;
        }
        let name = table.name.to_string();
        progress.table(&name);
        for (replica, verdict) in table::verify(source, &against, table, pace, progress) {
            progress.verdict(&name, &replica, &verdict);
            ledger.verdict(&table.name, &replica, verdict);
        }
    }
    Ok(())
}

fn told(why: Failure) -> Coded {
    Coded::new(why.code, why.error)
}

fn wrong(text: String) -> anyhow::Error {
    Coded::new(Code::WRONG_MEMBER, text).into()
}

/// The source and the replicas that are meant.
fn members(
    status: &Status,
    names: &[String],
    client: &Arc<Client>,
) -> anyhow::Result<(Member, Vec<Member>)> {
    let id = format!("{:032x}", rand::random::<u128>());
    let found = |name: &str| status.members.iter().find(|member| member.name == name);
    let member = |member: &MemberStatus| -> anyhow::Result<Member> {
        if member.server.is_none() {
            return Err(wrong(format!("{} is a witness: it has no server to verify", member.name)));
        }
        let Some(http) = member.http.clone() else {
            return Err(wrong(format!(
                "the agent of {} has not registered yet: start it first",
                member.name
            )));
        };
        Ok(Member::new(member.name.clone(), http, id.clone(), Arc::clone(client)))
    };
    let Some(source) = found(&status.source) else {
        return Err(wrong("the cluster has no source now".to_owned()));
    };
    let replicas: Vec<&MemberStatus> = match names {
        [] => {
            let others = status.members.iter().filter(|one| one.name != status.source);
            others.filter(|one| one.server.is_some()).collect()
        }
        names => {
            let one = |name: &String| {
                found(name).ok_or_else(|| wrong(format!("no member is called {name}")))
            };
            names.iter().map(one).collect::<anyhow::Result<_>>()?
        }
    };
    if let Some(same) = replicas.iter().find(|one| one.name == status.source) {
        return Err(wrong(format!("{} is the source: the others are compared with it", same.name)));
    }
    if replicas.is_empty() {
        return Err(wrong("the cluster has no replica to verify".to_owned()));
    }
    Ok((member(source)?, replicas.into_iter().map(member).collect::<anyhow::Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_with_its_database() {
        assert_eq!(table_name("shop.orders").unwrap().to_string(), "shop.orders");
        assert_eq!(table_name("a.b.c").unwrap().name, "b.c");
        for bad in ["orders", ".orders", "shop.", ""] {
            assert!(table_name(bad).is_err(), "{bad}");
        }
    }
}
