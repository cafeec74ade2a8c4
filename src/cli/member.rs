//! `plimsoll member`: who counts.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::api::{Api, CoordinatorAddress};
use crate::cluster::MemberName;
use crate::coordinator::Status;
use crate::explain::{Code, Coded};

/// How often the change is looked at.
const EVERY: Duration = Duration::from_millis(250);

/// Change who counts for commit and fence.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Count a member's new log in, in the place of the one that it lost. Start its agent first.
    /// Waits until the change is committed under the old rule and the new.
    Replace {
        /// The member.
        name: String,
        #[command(flatten)]
        coordinator: CoordinatorAddress,
        /// Seconds to wait for the commit. The change goes on also if this is over.
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        wait: u64,
    },
}

#[derive(Debug, Deserialize)]
struct Answer {
    generation: u64,
    state: String,
}

/// Runs the verb.
///
/// # Errors
/// The coordinator does not answer or refuses, or the change is not committed in time.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let What::Replace { name, coordinator, wait } = args.what;
    let member = MemberName::new(name)?;
    let api = Api::new(coordinator);
    let Answer { generation, state } = api.post_json(&format!("/v1/members/{member}/replace"))?;
    if state == "counts" {
        say(&format!("{member} counts with the log it has; nothing to change"))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("{member}: the change to generation {generation} has begun"))?;
    let until = Instant::now() + Duration::from_secs(wait);
    let mut told = String::new();
    loop {
        // The coordinator may be away for a moment; the change is in its store.
        let now = match api.get_json::<Status>("/v1/status") {
            Ok(status) if status.generation >= Some(generation) => {
                say(&format!("{member} counts from generation {generation} on: {}", status.rule))?;
                return Ok(ExitCode::SUCCESS);
            }
            Ok(status) => why(&status),
            Err(_) => format!("the coordinator at {} does not answer", api.address()),
        };
        if now != told {
            say(&format!("waiting: {now}"))?;
            told = now;
        }
        if Instant::now() >= until {
            let text = format!(
                "the change to generation {generation} is not committed after {wait} s: {told}; it goes \
                 on by itself, look with `plimsoll status --coordinator {}`",
                api.address()
            );
            return Err(Coded::new(Code::CHANGE_NOT_COMMITTED, text).into());
        }
        std::thread::sleep(EVERY);
    }
}

/// For what the change waits.
fn why(status: &Status) -> String {
    if !status.complete {
        format!(
            "for the source {} to ship, and to commit it under the old rule and the new",
            status.source
        )
    } else if status.waiting_for.is_empty() {
        "for the commit under the old rule and the new".to_owned()
    } else {
        format!("for {}", status.waiting_for.join(", "))
    }
}

fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
