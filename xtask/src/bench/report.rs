//! The figures, and what is said about them.

use std::fmt::{self, Display, Formatter};

use anyhow::{Context, Result};
use serde::Serialize;

use super::Bench;
use super::machine::Machine;
use super::statistics::Series;

/// What a ratio or a figure should be. Said, never enforced.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// For the reader to know.
    None,
}

/// Everything that one run of the command found.
#[derive(Debug, Serialize)]
pub struct Report {
    bench: &'static str,
    family: &'static str,
    server_version: String,
    runs: u32,
    /// Small sizes, whose figures mean nothing.
    quick: bool,
    machine: Machine,
    figures: Vec<Figure>,
    lines: Vec<Line>,
}

/// One figure of one side, a value for each run.
#[derive(Debug, Serialize)]
struct Figure {
    side: &'static str,
    what: String,
    unit: &'static str,
    values: Series,
}

/// A comparison.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    value: f64,
    unit: &'static str,
    aim: Aim,
}

impl Report {
    pub fn new(bench: &'static str, of: Bench, machine: Machine) -> Report {
        Report {
            bench,
            family: of.family.name(),
            server_version: String::new(),
            runs: of.runs,
            quick: of.quick,
            machine,
            figures: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// As the server names itself.
    pub fn server_version(&mut self, version: String) {
        self.server_version = version;
    }

    /// One more value of a figure.
    pub fn add(&mut self, side: &'static str, what: &str, unit: &'static str, value: f64) {
        println!("  {side}: {what} {} {unit}", number(value));
        let known = self.figures.iter_mut().find(|it| it.side == side && it.what == what);
        match known {
            Some(figure) => figure.values.push(value),
            None => {
                let mut values = Series::default();
                values.push(value);
                self.figures.push(Figure { side, what: what.to_owned(), unit, values });
            }
        }
    }

    /// The ratio of the medians: ours over the peer's.
    ///
    /// # Errors
    /// One of them was never measured.
    pub fn compare(
        &mut self,
        what: &str,
        ours: &'static str,
        peer: &'static str,
        aim: Aim,
    ) -> Result<()> {
        let ratio = self.median(ours, what)? / self.median(peer, what)?;
        let what = format!("{what}: {ours} / {peer}");
        self.lines.push(Line { what, value: ratio, unit: "x", aim });
        Ok(())
    }

    /// A figure that has an aim of its own.
    ///
    /// # Errors
    /// It was never measured.
    pub fn hold(&mut self, what: &str, side: &'static str, aim: Aim) -> Result<()> {
        let value = self.median(side, what)?;
        let unit = self.figure(side, what)?.unit;
        self.lines.push(Line { what: format!("{what}: {side}"), value, unit, aim });
        Ok(())
    }

    /// The median of a figure so far.
    ///
    /// # Errors
    /// It was never measured.
    pub fn median(&self, side: &str, what: &str) -> Result<f64> {
        Ok(self.figure(side, what)?.values.median())
    }

    fn figure(&self, side: &str, what: &str) -> Result<&Figure> {
        let found = self.figures.iter().find(|it| it.side == side && it.what == what);
        found.with_context(|| format!("{what} of {side} was not measured"))
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Report { bench, family, server_version, runs, .. } = self;
        writeln!(out, "{bench}, {family} {server_version}, {runs} runs, sides alternating")?;
        writeln!(out, "{}", self.machine)?;
        if self.quick {
            writeln!(out, "small sizes (--quick): these figures mean nothing")?;
        }
        let sides = self.figures.iter().map(|figure| figure.side.len() + INDENT.len());
        let width = self.lines.iter().map(|line| line.what.len()).chain(sides).max().unwrap_or(0);
        writeln!(out, "\n{:width$}  {:>10}  {:>20}", "", "median", "min to max")?;
        for figure in &self.figures {
            self.write_figure(out, figure, width)?;
        }
        writeln!(out, "\n{:width$}  {:>10}  {:>10}", "", "", "aim")?;
        for Line { what, value, unit, aim } in &self.lines {
            let (aim, verdict) = match *aim {
                Aim::AtLeast(least) => (format!(">= {least}"), said(*value >= least)),
                Aim::AtMost(most) => (format!("<= {most}"), said(*value <= most)),
                Aim::None => (String::new(), ""),
            };
            writeln!(out, "{what:width$}  {:>10}  {aim:>10}  {unit:5} {verdict}", ratio(*value))?;
        }
        Ok(())
    }
}

/// Before the sides of a figure.
const INDENT: &str = "  ";

impl Report {
    /// All sides of a figure, where its first side stands.
    fn write_figure(&self, out: &mut Formatter<'_>, of: &Figure, width: usize) -> fmt::Result {
        let mut same = self.figures.iter().filter(|figure| figure.what == of.what).peekable();
        if same.peek().is_some_and(|first| first.side != of.side) {
            return Ok(());
        }
        writeln!(out, "{}", of.what)?;
        for Figure { side, unit, values, .. } in same {
            let name = format!("{INDENT}{side}");
            let range = format!("{} to {}", number(values.min()), number(values.max()));
            let median = number(values.median());
            writeln!(out, "{name:width$}  {median:>10}  {range:>20}  {unit}")?;
        }
        Ok(())
    }
}

fn said(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_medians() {
        let machine = Machine::describe().expect("a machine");
        let bench = Bench { family: crate::cluster::Family::Mysql, runs: 3, quick: false };
        let mut report = Report::new("commit", bench, machine);
        for (ours, peer) in [(10.0, 9.0), (90.0, 4.0), (12.0, 4.0)] {
            report.add("ours", "tps", "tps", ours);
            report.add("native", "tps", "tps", peer);
        }
        report.compare("tps", "ours", "native", Aim::AtLeast(3.0)).expect("measured");
        report.hold("tps", "ours", Aim::AtMost(11.0)).expect("measured");
        assert!(report.compare("tps", "ours", "nobody", Aim::None).is_err());
        let text = report.to_string();
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("a line");
        assert!(line("tps: ours / native").contains("3.00"), "{text}");
        assert!(line("tps: ours / native").ends_with("met"), "{text}");
        assert!(text.lines().any(|line| line.contains("12.00") && line.ends_with("MISSED")));
    }
}
