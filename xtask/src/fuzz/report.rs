//! What libFuzzer says of a run, as a line of a table.

/// The table's head.
pub const HEAD: &str =
    "target       minutes   executions   per s  coverage  features  inputs  peak MiB  findings";

/// One target's run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    seconds: u64,
    executions: u64,
    /// Places in the code (edges) that were reached.
    coverage: u64,
    /// Places by how often, and comparisons by how nearly.
    features: u64,
    /// Inputs that reach something new.
    inputs: u64,
    peak_rss_mb: u64,
}

impl Figures {
    /// From all that libFuzzer printed.
    pub fn of(said: &str, seconds: u64) -> Figures {
        let mut figures = Figures { seconds, ..Figures::default() };
        for line in said.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("stat::number_of_executed_units:") => {
                    figures.executions = number(words.next())
                }
                Some("stat::peak_rss_mb:") => figures.peak_rss_mb = number(words.next()),
                Some(first) if first.starts_with('#') => figures.progress(words),
                _ => {}
            }
        }
        figures
    }

    /// `NEW cov: 1279 ft: 2971 corp: 496/128Kb …`
    fn progress<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) {
        while let Some(word) = words.next() {
            let figure = match word {
                "cov:" => &mut self.coverage,
                "ft:" => &mut self.features,
                "corp:" => &mut self.inputs,
                _ => continue,
            };
            *figure = number(words.next());
        }
    }

    /// Under [`HEAD`].
    pub fn line(&self, target: &str, findings: usize) -> String {
        format!(
            "{target:<12} {:>7} {:>12} {:>7} {:>9} {:>9} {:>7} {:>9} {findings:>9}",
            self.seconds / 60,
            self.executions,
            self.executions / self.seconds.max(1),
            self.coverage,
            self.features,
            self.inputs,
            self.peak_rss_mb,
        )
    }
}

/// The digits that a word starts with.
fn number(word: Option<&str>) -> u64 {
    let word = word.unwrap_or_default();
    let end = word.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(word.len());
    word[..end].parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_libfuzzers() {
        let said = "INFO: seed corpus: files: 9\n\
            #10\tINITED cov: 700 ft: 800 corp: 9/2Kb exec/s: 0 rss: 60Mb\n\
            #600\tNEW    cov: 1279 ft: 2971 corp: 496/128Kb lim: 8192 exec/s: 22 rss: 107Mb\n\
            stat::number_of_executed_units: 623871\n\
            stat::peak_rss_mb:              96\n";
        let figures = Figures::of(said, 120);
        let expected = Figures {
            seconds: 120,
            executions: 623_871,
            coverage: 1279,
            features: 2971,
            inputs: 496,
            peak_rss_mb: 96,
        };
        assert_eq!(figures, expected);
        let line = figures.line("frame", 1);
        assert_eq!(line.len(), HEAD.len(), "{line}");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["frame", "2", "623871", "5198", "1279", "2971", "496", "96", "1"]);
    }
}
