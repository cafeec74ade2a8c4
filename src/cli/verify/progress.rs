//! How far it is: a bar on a terminal, a line for each table otherwise. On standard error.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use super::ledger::Verdict;

const REDRAW: Duration = Duration::from_millis(100);
const WIDTH: u64 = 24;

/// Rows done of rows expected.
pub(super) struct Progress {
    terminal: bool,
    shown: bool,
    expected: u64,
    done: u64,
    table: String,
    since: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// Shows nothing unless `shown`.
    pub fn new(shown: bool) -> Progress {
        Progress {
            terminal: stderr().is_terminal(),
            shown,
            expected: 0,
            done: 0,
            table: String::new(),
            since: Instant::now(),
            drawn: None,
        }
    }

    /// So many rows are to come, by the servers' estimate.
    pub fn expect(&mut self, rows: u64) {
        (self.expected, self.done, self.since) = (rows, 0, Instant::now());
    }

    pub fn table(&mut self, name: &str) {
        name.clone_into(&mut self.table);
        self.draw(false);
    }

    pub fn rows(&mut self, rows: u64) {
        self.done += rows;
        self.draw(false);
    }

    /// A table is done at a replica.
    pub fn verdict(&mut self, table: &str, replica: &str, verdict: &Verdict) {
        if self.terminal || !self.shown {
            return;
        }
        let text = match verdict {
            Verdict::Equal { rows, chunks } => format!("equal, {rows} rows in {chunks} chunks"),
            Verdict::EqualLoosely { rows, .. } => format!("equal, {rows} rows, without a snapshot"),
            Verdict::Different(_) => "DIFFERENT".to_owned(),
            Verdict::Unproven { why, .. } => format!("not proven yet: {why}"),
        };
        eprintln!("{table} at {replica}: {text}");
    }

    /// Wipes the bar.
    pub fn end(&mut self) {
        if self.terminal && self.drawn.is_some() {
            eprint!("\r\x1b[K");
        }
    }

    fn draw(&mut self, now: bool) {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if !self.terminal || !self.shown || !(due || now) {
            return;
        }
        self.drawn = Some(Instant::now());
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        let bar = bar(self.done, self.expected);
        let rate = self.done as f64 / seconds;
        eprint!("\r\x1b[K{bar} {} rows, {rate:.0}/s  {}", self.done, self.table);
        // A terminal that is gone is no reason to stop.
        let _ = stderr().flush();
    }
}

/// `[#####...] 42 %`; the expectation is an estimate, so it stays below the end. [pure]
pub(in crate::cli) fn bar(done: u64, expected: u64) -> String {
    let percent = (done.saturating_mul(100) / expected.max(1)).min(99);
    let full = percent * WIDTH / 100;
    let (full, empty) = ("#".repeat(full as usize), ".".repeat((WIDTH - full) as usize));
    format!("[{full}{empty}] {percent:2} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_and_never_promises_the_end() {
        assert_eq!(bar(0, 0), format!("[{}]  0 %", ".".repeat(24)));
        assert_eq!(bar(50, 100), format!("[{}{}] 50 %", "#".repeat(12), ".".repeat(12)));
        assert!(bar(500, 100).ends_with("99 %"));
    }
}
