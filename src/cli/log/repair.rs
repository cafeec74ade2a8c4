//! `plimsoll log repair`: writes damaged segments of a stopped member's log anew.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use wal::{Damage, Lsn, Mended, Mender};

use crate::cluster::{MemberName, causes};
use crate::config::Config;
use crate::explain::{Code, Coded};
use crate::ship;
use crate::wire::{self, Identity, PeerRole};

/// Reaching a member.
const CONNECT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log folder of a stopped agent.
    dir: PathBuf,
    /// The agent's configuration file: the cluster's secret is in it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// `host:port` of another member (its `agent.listen`); several are tried in turn.
    #[arg(long, value_name = "HOST:PORT", required = true)]
    from: Vec<String>,
}

impl Args {
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Mends every damaged segment, oldest first.
pub(super) fn run(out: &mut impl Write, args: &Args) -> anyhow::Result<()> {
    let agent = Config::load(&args.config)?.into_agent()?;
    let identity = Identity::new(&agent.cluster, PeerRole::Member, agent.name.as_str())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("start the runtime")?;
    let opened = Mender::open(&args.dir);
    let mender = opened.with_context(|| format!("cannot repair {}", args.dir.display()))?;
    let (mut at, mut last) = (Lsn::FIRST, None);
    while let Some((damage, error)) = find(&mender, at, &args.dir)? {
        at = damage.records().0;
        let path = damage.path().to_owned();
        if last.as_ref() == Some(&path) {
            return Err(beyond(&args.dir, &error));
        }
        writeln!(out, "{}", causes(&error))?;
        let (member, mended) = runtime.block_on(fetch(&args.from, &identity, &damage))?;
        mender.publish(mended)?;
        writeln!(out, "{}: mended from {member}", path.display())?;
        last = Some(path);
    }
    Ok(())
}

fn find(mender: &Mender, from: Lsn, dir: &Path) -> anyhow::Result<Option<(Damage, wal::Error)>> {
    mender.find(from).map_err(|error| match error {
        error @ wal::Error::Damaged { .. } => beyond(dir, &error),
        error => error.into(),
    })
}

/// Damage that no records can make good.
fn beyond(dir: &Path, error: &wal::Error) -> anyhow::Error {
    let text = format!(
        "{}: this cannot be repaired segment by segment; rebuild this member from the others (move \
         {} away, start its agent, then `plimsoll member replace`)",
        causes(error),
        dir.display()
    );
    Coded::new(Code::LOG_DAMAGED, text).into()
}

/// From the first member that has the records.
async fn fetch(
    from: &[String],
    identity: &Identity,
    damage: &Damage,
) -> anyhow::Result<(MemberName, Mended)> {
    let mut reasons = Vec::new();
    for address in from {
        match fetch_from(address, identity, damage.clone()).await {
            Ok(fetched) => return Ok(fetched),
            Err(error) => reasons.push(format!("{address}: {}", causes(error.as_ref()))),
        }
    }
    let (first, last) = damage.records();
    let text = format!(
        "no member that was asked gave the records {first} to {last}: {}; start one that has them, \
         and name its agent.listen with --from",
        reasons.join("; ")
    );
    Err(Coded::new(Code::LOG_DAMAGED, text).into())
}

async fn fetch_from(
    address: &str,
    identity: &Identity,
    damage: Damage,
) -> anyhow::Result<(MemberName, Mended)> {
    let connection = wire::connect(address, identity, PeerRole::Member, CONNECT).await?;
    let name = MemberName::new(connection.peer().name.clone())?;
    let mended = ship::mend::receive(connection, &name, damage).await?;
    Ok((name, mended))
}
