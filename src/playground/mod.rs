//! `plimsoll playground`: a whole cluster on this machine, for trying, demonstrating and testing.
//!
//! In: a server family and how many of each role. Out: real servers and every role as an OS process of
//! its own under one folder, and a ready file that says where they are. `playground restart` asks the
//! running playground, over a socket in its folder, to start one of them again.
//!
//! Holds: a child never outlives the playground, however that ends; everything under the folder is gone
//! after an orderly end; the ready file is only ever replaced whole.
//!
//! Does not: restart a child by itself, decide anything about the cluster, or write to its servers
//! beyond the accounts. Flow of a start: `installation` (which programs) -> `template` (a data folder
//! made once) -> `layout` (names, ports, folders) -> `settings`, `roles`, `files` (what children find) -> `process`
//! (children) -> `view` (is it usable, who is source) -> `ready` (the file); `cluster` holds it together.

mod args;
mod cluster;
mod control;
mod files;
mod folder;
mod installation;
mod layout;
mod ports;
mod process;
mod ready;
mod roles;
mod settings;
mod template;
mod view;

use std::process::ExitCode;

use anyhow::{Context, Result};

pub use args::Args;
pub use installation::ServerFamily;

/// Runs a playground until it is interrupted, or has a running one restart a child.
///
/// # Errors
/// What could not be started or found, with the way out.
pub fn run(args: Args) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("start the runtime")?;
    match args.verb {
        Some(args::Verb::Restart(restart)) => {
            runtime.block_on(control::ask_restart(&restart.dir, &restart.name))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            if let Err(refusal) = args.start.check() {
                eprintln!("plimsoll: {refusal}");
                return Ok(ExitCode::from(2));
            }
            let ended = runtime.block_on(Box::pin(cluster::run(args.start)));
            // Requests for views that are under way need not be waited for.
            runtime.shutdown_background();
            ended
        }
    }
}
