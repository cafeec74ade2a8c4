//! `plimsoll tail`: the change feed on standard output.
//!
//! In: agents to ask, a consumer's name, tables. Out: lines as in `schemas/change.md`, without those of
//! progress. Each transaction is acknowledged when its last line is flushed; under load, several with
//! one token. Goes on at the next agent when one is lost; no line is printed twice by one process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cluster::ConsumerName;
use crate::explain::{Code, Coded};
use crate::feed::Tables;
use crate::http::{Answer, Client, Credentials};

/// An acknowledgement, and how long a feed may take to begin: its place may have to be sought.
const WITHIN: Duration = Duration::from_secs(60);
/// While lines come without a pause, they are acknowledged so often.
const ACK_EVERY: Duration = Duration::from_millis(100);
/// Between attempts, at the next agent each time.
const PAUSE: Duration = Duration::from_millis(500);
/// A row of 1 GiB, its bytes in base64, before and after.
const LINE_MAX: u64 = 4 << 30;

/// Print committed changes in their order as they come, one JSON object a line (schemas/change.md),
/// and acknowledge them. Goes on where the consumer's last acknowledgement was.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// HTTP address of an agent, of any member; several are tried in turn.
    #[arg(long, value_name = "HOST:PORT", required = true, value_delimiter = ',')]
    agent: Vec<String>,
    /// Whose place is kept. Without it, nothing is acknowledged and nothing kept.
    #[arg(long, value_name = "NAME", value_parser = consumer)]
    consumer: Option<ConsumerName>,
    /// Where a new consumer begins: behind this token, with the oldest record that there is, or with what
    /// comes from now on.
    #[arg(long, value_name = "TOKEN|earliest|latest", required_unless_present = "consumer")]
    from: Option<String>,
    /// Only these tables: `db.table` or `db.*`, with `,` between. Statements always come. Default: all.
    #[arg(long, value_name = "TABLES", value_parser = tables)]
    tables: Option<String>,
    /// What the lines are.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Do not acknowledge: whoever reads does it (POST /v1/consumers/NAME).
    #[arg(long)]
    no_ack: bool,
    #[command(flatten)]
    credentials: Credentials,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// JSON objects.
    Json,
}

fn consumer(text: &str) -> Result<ConsumerName, String> {
    ConsumerName::new(text).map_err(|error| error.to_string())
}

fn tables(text: &str) -> Result<String, String> {
    text.parse::<Tables>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// What is looked at in a line.
#[derive(Deserialize)]
struct Head {
    lsn: Option<u64>,
    #[serde(default)]
    index: u64,
    #[serde(default)]
    last: bool,
    op: Option<String>,
    token: Option<String>,
    error: Option<String>,
    code: Option<Code>,
}

#[derive(Serialize)]
struct Acknowledge<'a> {
    token: &'a str,
}

/// Why one feed is over.
enum End {
    /// Another attempt may go well.
    Lost(String),
    /// None will.
    Refused(Coded),
}

/// Runs the verb; ends when standard output is closed or the feed is refused.
///
/// # Errors
/// What the agents say.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Format::Json = args.format;
    let client = Client::new(&args.credentials, WITHIN)?;
    let mut tail = Tail {
        client,
        args,
        printed: None,
        whole: None,
        owed: None,
        acked_at: Instant::now(),
        complained: false,
    };
    for attempt in 0_usize.. {
        let Some(agent) = tail.args.agent.get(attempt % tail.args.agent.len().max(1)).cloned()
        else {
            break;
        };
        match tail.follow(&agent)? {
            End::Refused(why) => return Err(why.into()),
            End::Lost(why) => tail.complain(&format!("{agent}: {why}; trying again")),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(ExitCode::FAILURE)
}

struct Tail {
    client: Client,
    args: Args,
    /// The last line printed: LSN, index.
    printed: Option<(u64, u64)>,
    /// Token of the last whole transaction, or progress.
    whole: Option<String>,
    /// The one that is to be acknowledged.
    owed: Option<String>,
    acked_at: Instant,
    complained: bool,
}

impl Tail {
    /// One feed, until it ends. Errors are those of standard output.
    fn follow(&mut self, agent: &str) -> io::Result<End> {
        // What is printed is acknowledged before the place is asked for.
        if let Err(why) = self.acknowledge(agent) {
            return Ok(End::Lost(why));
        }
        let path = self.path();
        let (status, body) = match self.client.stream(agent, &path, WITHIN) {
            Ok(answer) => answer,
            Err(error) => return Ok(End::Lost(crate::cluster::causes(&error))),
        };
        let mut lines = BufReader::with_capacity(64 << 10, body);
        if status != 200 {
            return Ok(refusal(status, &mut lines));
        }
        let mut out = io::stdout().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut lines).take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => {}
                Ok(_) => return Ok(End::Lost("the feed has ended".to_owned())),
                Err(error) => return Ok(End::Lost(error.to_string())),
            }
            let Ok(head) = serde_json::from_slice::<Head>(&line) else {
                return Ok(End::Lost("the feed is no feed of changes".to_owned()));
            };
            if let (Some(error), Some(code)) = (&head.error, head.code) {
                return Ok(match code {
                    Code::FEED_FULL | Code::LOG_CUT => End::Lost(error.clone()),
                    _ => End::Refused(Coded::new(code, error.clone())),
                });
            }
            self.take(head, &line, &mut out)?;
            // Whoever waits for the next line has acknowledged the one before.
            let more = lines.buffer().contains(&b'\n');
            if !more || self.acked_at.elapsed() >= ACK_EVERY {
                out.flush()?;
                if let Err(why) = self.acknowledge(agent) {
                    // The feed itself goes on; it is tried again behind the next line.
                    self.complain(&format!("{agent}: cannot acknowledge: {why}"));
                }
            }
        }
    }

    fn path(&self) -> String {
        let mut path = String::from("/v1/changes?");
        let mut add = |name: &str, value: &str| {
            let separator = if path.ends_with('?') { "" } else { "&" };
            path = format!("{path}{separator}{name}={}", encoded(value));
        };
        if let Some(consumer) = &self.args.consumer {
            add("consumer", consumer.as_str());
        }
        // What one process has printed whole it does not ask for again, whether it is acknowledged
        // or not; a named consumer's place is its own.
        if let Some(from) = self.whole.as_ref().or(self.args.from.as_ref()) {
            add("from", from);
        }
        if let Some(tables) = &self.args.tables {
            add("tables", tables);
        }
        path
    }

    fn take(&mut self, head: Head, line: &[u8], out: &mut impl Write) -> io::Result<()> {
        let place = head.lsn.map(|lsn| (lsn, head.index));
        let progress = head.op.as_deref() == Some("progress");
        if !progress {
            // Printed before the feed was lost.
            if place <= self.printed {
                return Ok(());
            }
            out.write_all(line)?;
            self.printed = place;
        }
        if progress || head.last {
            self.whole = head.token.clone();
            if self.args.consumer.is_some() && !self.args.no_ack {
                self.owed = head.token;
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, agent: &str) -> Result<(), String> {
        let (Some(token), Some(consumer)) = (&self.owed, &self.args.consumer) else {
            return Ok(());
        };
        let path = format!("/v1/consumers/{consumer}");
        let answer = self.client.post(agent, &path, Some(&Acknowledge { token }));
        self.acked_at = Instant::now();
        match answer {
            Ok(Answer { status: 200, .. }) => {
                self.owed = None;
                self.complained = false;
                Ok(())
            }
            Ok(Answer { status, text }) => Err(format!("{status}: {}", text.trim_end())),
            Err(error) => Err(crate::cluster::causes(&error)),
        }
    }

    /// Once, until it goes well again.
    fn complain(&mut self, why: &str) {
        if !self.complained {
            eprintln!("plimsoll tail: {why}");
        }
        self.complained = true;
    }
}

fn refusal(status: u16, lines: &mut impl Read) -> End {
    let mut text = String::new();
    // A refusal is short; what cannot be read is said by its status alone.
    let _ = lines.take(64 << 10).read_to_string(&mut text);
    let said = serde_json::from_str::<Head>(&text).ok();
    let said = said.and_then(|head| Some(Coded::new(head.code?, head.error?)));
    match (status, said) {
        (500.., Some(why)) => End::Lost(format!("{} ({})", why.text, why.code)),
        (_, Some(why)) => End::Refused(why),
        (_, None) => End::Lost(format!("{status}: no answer of an agent")),
    }
}

/// For a query: tokens and names of consumers need nothing, tables may.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~,*".contains(&byte);
    let letter = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        assert_eq!(encoded("a.b,c.*"), "a.b,c.*");
        assert_eq!(encoded("\u{fc} &"), "%C3%BC%20%26");
    }
}
