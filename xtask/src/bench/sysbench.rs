//! sysbench as the load generator: the same one, called the same way, on every side.

use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::statistics::percentile;
use crate::cluster::Server;

/// The schema it works in.
pub const SCHEMA: &str = "sbtest";
/// Same rows, same order of keys in each session, on every side.
const SEED: &str = "--rand-seed=20261121";

/// Tables of sysbench's own shape.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    pub number: u32,
    pub rows: u32,
}

/// How long a load goes on.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    Seconds(u32),
    Transactions(u32),
}

/// What a load did.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub transactions: u64,
    /// Transactions that were rolled back and begun again, as after a deadlock.
    pub retried: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// A script of sysbench on tables at a server.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub server: &'a Server,
    pub tables: Tables,
    /// `oltp_update_non_index` and its like. Prepared statements, as they do by default.
    pub script: &'a str,
    pub threads: u32,
    /// Transactions a second, all threads together; as many as there can be.
    pub rate: Option<u32>,
}

impl Load<'_> {
    /// Makes the tables; the schema must be there.
    ///
    /// # Errors
    /// sysbench cannot.
    pub async fn prepare(self) -> Result<()> {
        self.call(&["prepare"]).await.map(drop)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// sysbench cannot, or it lost a connection.
    pub async fn run(self, until: Until) -> Result<Outcome> {
        let (time, events) = match until {
            Until::Seconds(seconds) => (seconds, 0),
            Until::Transactions(transactions) => (0, transactions),
        };
        let (time, events) = (format!("--time={time}"), format!("--events={events}"));
        let said = self.call(&["--histogram=on", &time, &events, "run"]).await?;
        Outcome::parse(&said).with_context(|| format!("what sysbench said:\n{said}"))
    }

    async fn call(self, arguments: &[&str]) -> Result<String> {
        let Load { server, tables, script, threads, rate } = self;
        let mut command = Command::new("sysbench");
        command.arg(script).arg("--db-driver=mysql").arg(SEED);
        for (name, value) in [
            ("mysql-host", server.host.clone()),
            ("mysql-port", server.port.to_string()),
            ("mysql-user", server.user.clone()),
            ("mysql-password", server.password.clone()),
            ("mysql-db", SCHEMA.to_owned()),
            ("tables", tables.number.to_string()),
            ("table-size", tables.rows.to_string()),
            ("threads", threads.to_string()),
            ("rate", rate.unwrap_or(0).to_string()),
        ] {
            command.arg(format!("--{name}={value}"));
        }
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let Output { status, stdout, stderr } =
            command.output().await.context("start sysbench; run: cargo xtask servers")?;
        let said = String::from_utf8_lossy(&stdout).into_owned();
        if !status.success() {
            bail!("sysbench {script}: {status}\n{said}{}", String::from_utf8_lossy(&stderr));
        }
        Ok(said)
    }
}

impl Outcome {
    fn parse(said: &str) -> Result<Outcome> {
        let after = |key: &str| {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(key));
            line.with_context(|| format!("no {key:?}"))
        };
        let first = |line: &str| {
            let word = line.split_whitespace().next().context("nothing there")?;
            word.parse::<u64>().with_context(|| word.to_owned())
        };
        let reconnects = first(after("reconnects:")?)?;
        if reconnects != 0 {
            bail!("it lost {reconnects} connections");
        }
        let transactions = after("transactions:")?;
        let per_second = transactions.split('(').nth(1).and_then(|rest| rest.split(' ').next());
        let per_second = per_second.context("no rate")?.parse().context("the rate")?;
        let buckets = histogram(said)?;
        let within = |part| percentile(&buckets, part).context("an empty histogram");
        Ok(Outcome {
            transactions: first(transactions)?,
            retried: first(after("ignored errors:")?)?,
            per_second,
            p50_ms: within(0.5)?,
            p99_ms: within(0.99)?,
        })
    }
}

/// Lines of milliseconds, a bar, and how many; some 4 % apart.
fn histogram(said: &str) -> Result<Vec<(f64, u64)>> {
    let lines = said.lines().skip_while(|line| !line.contains("distribution")).skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty());
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let bound = words.next()?.parse().ok()?;
        Some((bound, words.next_back()?.parse().ok()?))
    };
    lines.map(|line| parse(line).with_context(|| format!("{line:?} is no bucket"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       0.501 |****************************************  97
       0.620 |*                                         2
       5.000 |                                          1

SQL statistics:
    transactions:                        100    (49.75 per sec.)
    ignored errors:                      0      (0.00 per sec.)
    reconnects:                          0      (0.00 per sec.)
";

    #[test]
    fn its_words_are_understood() {
        let outcome = Outcome::parse(SAID).expect("whole");
        assert_eq!((outcome.transactions, outcome.per_second), (100, 49.75));
        assert_eq!((outcome.p50_ms, outcome.p99_ms), (0.501, 0.62));
        let failing = SAID.replace("reconnects:                          0", "reconnects: 3");
        assert!(Outcome::parse(&failing).is_err());
        assert!(Outcome::parse("").is_err());
    }
}
