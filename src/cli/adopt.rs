//! `plimsoll adopt`: says where a replica restored from a backup stands.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::api::{Api, CoordinatorAddress};
use crate::apply::At;
use crate::coordinator::Status;
use crate::explain::{Code, Coded};

/// The agent walks its whole log to find the place.
const WITHIN: Duration = Duration::from_secs(600);

/// Declare where a replica restored from a backup (mariadb-backup, clone, dump) stands, so that its
/// agent goes on from there.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    coordinator: CoordinatorAddress,
    /// The replica.
    #[arg(long, value_name = "NAME")]
    replica: String,
    /// The place at the source that the backup tool wrote down: a GTID set, or FILE:POS.
    #[arg(long, value_name = "GTID|FILE:POS", value_parser = place)]
    at: String,
}

/// Refused here already if it is neither: the server would have to be asked for nothing.
fn place(text: &str) -> Result<String, String> {
    text.parse::<At>().map(|at| at.to_string()).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct Request<'a> {
    at: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    lsn: Option<u64>,
    error: Option<String>,
    code: Option<Code>,
}

/// Runs the verb.
///
/// # Errors
/// The coordinator or the agent does not answer; the replica is unknown; the place is not in its log.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let status: Status = Api::new(args.coordinator).get_json("/v1/status")?;
    let member = status.members.into_iter().find(|member| member.name == args.replica);
    let wrong = |text: String| Coded::new(Code::WRONG_MEMBER, text);
    let member = member.ok_or_else(|| wrong(format!("no member is called {}", args.replica)))?;
    let http = member.http.ok_or_else(|| {
        wrong(format!("the agent of {} has not registered yet: start it first", member.name))
    })?;
    if member.server.is_none() {
        let text = format!("{} is a witness: it has no server to apply to", member.name);
        return Err(wrong(text).into());
    }
    let lsn =
        post(&http, &args.at).with_context(|| format!("adopt {} at {}", member.name, args.at))?;
    writeln!(std::io::stdout(), "{} stands at record {lsn} and goes on from there", member.name)?;
    Ok(ExitCode::SUCCESS)
}

fn post(http: &str, at: &str) -> anyhow::Result<u64> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(WITHIN))
        .http_status_as_error(false)
        .build();
    let agent: ureq::Agent = config.into();
    let mut answer = agent
        .post(format!("http://{http}/v1/adopt"))
        .send_json(Request { at })
        .map_err(anyhow::Error::new)
        .with_context(|| {
            let text = format!("ask the agent at {http}: is it running?");
            Coded::new(Code::PEER_UNREACHABLE, text)
        })?;
    let status = answer.status();
    let text = answer.body_mut().read_to_string()?;
    match serde_json::from_str(&text) {
        Ok(Answer { error: Some(error), code: Some(code), .. }) => {
            Err(Coded::new(code, error).into())
        }
        Ok(Answer { lsn: Some(lsn), .. }) if status.is_success() => Ok(lsn),
        _ => Err(Coded::new(Code::NOT_A_COORDINATOR, format!("{status}: {text}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_checked_before_anybody_is_asked() {
        assert_eq!(place("bin.000001:42").unwrap(), "bin.000001:42");
        assert_eq!(place("0-1-5").unwrap(), "0-1-5");
        assert!(place("yesterday").unwrap_err().contains("FILE:POS"));
    }
}
