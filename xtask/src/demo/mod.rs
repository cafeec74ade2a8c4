//! `cargo xtask demo`: a story of about a minute on real servers, with real figures and checks.
//!
//! In: a server family. Out: text on the screen, and failure if a single check does not hold.

mod load;
mod screen;
mod story;

use anyhow::{Context, Result, bail};

use crate::cluster::Family;

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Server family.
    #[arg(long, value_enum, default_value = "mariadb")]
    server: Family,
}

/// Installs what is missing, builds, tells the story.
///
/// # Errors
/// Something could not be done, or a check did not hold.
pub fn run(args: &Args) -> Result<()> {
    args.server.prepare()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let mut screen = screen::Screen::new();
    let told =
        runtime.context("start the runtime")?.block_on(story::tell(&mut screen, args.server));
    told?;
    match screen.failures() {
        0 => Ok(()),
        failures => bail!("{failures} of the checks above did not hold"),
    }
}
