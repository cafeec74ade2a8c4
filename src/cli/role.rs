//! What the long-running roles have in common: configuration, log, signals, the runtime.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Error};
use crate::explain::{Code, Coded};

/// Where a role's options come from.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; `plimsoll config example` prints one.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write log lines as JSON. PLIMSOLL_LOG filters them (default: info).
    #[arg(long)]
    log_json: bool,
}

/// Loads the configuration, picks the role's table, and runs `role` until it ends or a signal cancels
/// its token.
///
/// # Errors
/// The configuration's, or the role's.
pub fn run<C, R, F>(
    args: Args,
    pick: fn(Config) -> Result<C, Error>,
    role: R,
) -> anyhow::Result<ExitCode>
where
    R: FnOnce(C, CancellationToken) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let config = pick(Config::load(&args.config)?)?;
    start_log(args.log_json)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("start the runtime")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = cancel_on_signal(stop.clone())?;
        let ended = Box::pin(role(config, stop)).await;
        signals.abort();
        ended
    })?;
    Ok(ExitCode::SUCCESS)
}

fn start_log(json: bool) -> anyhow::Result<()> {
    let filter = match std::env::var("PLIMSOLL_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(anyhow::Error::new).with_context(|| {
            let text = format!("PLIMSOLL_LOG={text:?}: write a level or target=level,...");
            Coded::new(Code::LOG_FILTER, text)
        })?,
        Err(_) => EnvFilter::new("info"),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let builder = builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    if json {
        builder.json().init()
    } else {
        builder.init()
    }
    Ok(())
}

/// The first SIGINT or SIGTERM cancels; a role that does not end then can still be killed.
fn cancel_on_signal(stop: CancellationToken) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
        }
        stop.cancel();
    }))
}
