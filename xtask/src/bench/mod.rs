//! `cargo xtask bench`: figures of ours and of the server's own replication, in one run.
//!
//! In: which bench, a server family, how many runs. Out: a table, and JSON with every single figure.
//! The sides take turns (A B A B …), each on fresh servers with the same options, and each must prove
//! that it did the work: the replicas equal the source at the end.
//!
//! Does not: compare with figures of another run or another machine, nor fail because an aim is
//! missed. Method and limits of each bench: `docs/benchmarks.md`.

mod apply;
mod capture;
mod commit;
mod data;
mod lag;
mod machine;
mod native;
mod ours;
mod report;
mod side;
mod statistics;
mod sysbench;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Family;
use machine::Machine;
use report::Report;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// A binlog read, stamped, compressed, checked and flushed; beside mariadb-binlog or mysqlbinlog.
    Capture,
    /// Single-row updates with 1, 16 and 64 threads; beside native semi-synchronous replication.
    Commit,
    /// A replica's catch-up; beside the native parallel replica.
    Apply,
    /// From COMMIT at the source until a replica shows it; beside native replication.
    Lag,
}

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    what: What,
    /// Server family.
    #[arg(long, value_enum, default_value = "mariadb")]
    server: Family,
    /// How often each side is measured; what is shown is the median.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Write every figure here, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Small sizes: shows that the bench works. Its figures mean nothing.
    #[arg(long)]
    quick: bool,
}

/// What every bench needs to know.
#[derive(Debug, Clone, Copy)]
struct Bench {
    family: Family,
    runs: u32,
    quick: bool,
}

impl Bench {
    /// The full size, or the small one.
    fn size<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The options of every server on every side: room enough that neither the buffer pool nor the
    /// redo log decides, and no binlog of the replica's own on either side.
    fn server_options(self) -> Vec<&'static str> {
        let redo = match self.family {
            Family::Mariadb => "innodb_log_file_size=512M",
            Family::Mysql => "innodb_redo_log_capacity=512M",
        };
        let no_own_binlog = match self.family {
            Family::Mariadb => "log_slave_updates=OFF",
            Family::Mysql => "log_replica_updates=OFF",
        };
        let mut options = Vec::new();
        for line in ["innodb_buffer_pool_size=512M", redo, no_own_binlog] {
            options.extend(["--server-option", line]);
        }
        options
    }
}

/// Installs what is missing, builds, measures, prints.
///
/// # Errors
/// Something could not be done, or a side did not do its work.
pub fn run(args: &Args) -> Result<()> {
    args.server.prepare()?;
    let bench = Bench { family: args.server, runs: args.runs, quick: args.quick };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("start the runtime")?;
    // On this thread: the clusters end with the thread that starts them.
    let report = runtime.block_on(until_interrupted(measure(args.what, bench)))?;
    println!("\n{report}");
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report).context("the report as JSON")?;
        std::fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
        println!("every figure: {}", file.display());
    }
    Ok(())
}

async fn measure(what: What, bench: Bench) -> Result<Report> {
    let machine = Machine::describe().context("describe the machine")?;
    println!("{machine}");
    let name = match what {
        What::Capture => "capture",
        What::Commit => "commit",
        What::Apply => "apply",
        What::Lag => "lag",
    };
    let mut report = Report::new(name, bench, machine);
    match what {
        What::Capture => Box::pin(capture::run(bench, &mut report)).await?,
        What::Commit => Box::pin(commit::run(bench, &mut report)).await?,
        What::Apply => Box::pin(apply::run(bench, &mut report)).await?,
        What::Lag => Box::pin(lag::run(bench, &mut report)).await?,
    }
    Ok(report)
}

/// An interrupted bench drops what it has, so that clusters end and folders go.
async fn until_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}
