//! What the reader sees: chapters, sentences, figures, and checks with their outcome.

use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

/// The screen, and how many checks were made on it.
pub struct Screen {
    colours: bool,
    began: Instant,
    chapters: usize,
    checks: usize,
    failures: usize,
}

impl Screen {
    pub fn new() -> Screen {
        let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Screen { colours, began: Instant::now(), chapters: 0, checks: 0, failures: 0 }
    }

    /// Starts a chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        let at = format!("{:>3} s", self.began.elapsed().as_secs());
        println!(
            "\n{} {}",
            self.paint("1;36", &format!("{}. {title}", self.chapters)),
            self.paint("2", &at)
        );
    }

    /// A sentence.
    pub fn say(&self, text: &str) {
        println!("   {text}");
    }

    /// A claim and whether it holds.
    pub fn check(&mut self, holds: bool, claim: &str) {
        self.checks += 1;
        if holds {
            println!("   {} {claim}", self.paint("1;32", "✔"));
        } else {
            self.failures += 1;
            println!("   {} {}", self.paint("1;31", "✘ DOES NOT HOLD:"), claim);
        }
    }

    /// The end of the story.
    pub fn verdict(&self) {
        let took = self.began.elapsed().as_secs();
        let held = self.checks - self.failures;
        let text = format!("{held} of {} checks hold, after {took} s", self.checks);
        let colour = if self.failures == 0 { "1;32" } else { "1;31" };
        println!("\n{}", self.paint(colour, &text));
    }

    pub fn failures(&self) -> usize {
        self.failures
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `0.84 ms`, `12.3 ms`, `3.20 s`.
pub fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

/// `50,000`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        for (number, text) in [(0, "0"), (999, "999"), (50_000, "50,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), text);
        }
        assert_eq!(time(Duration::from_micros(840)), "0.84 ms");
        assert_eq!(time(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(time(Duration::from_millis(3_200)), "3.20 s");
    }
}
