//! What is told of a server: one line, and what mends it. Pure.

use std::fmt;

use serde::Serialize;

use crate::explain::Code;

/// How a server stands in one respect. In the order of what a person looks at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// This server, as it is built or started, cannot do it.
    Impossible,
    /// As it is, something that is promised does not hold.
    Wrong,
    /// It works; somebody should know.
    Warning,
    /// For completeness.
    Note,
    /// As it must be.
    Good,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Impossible => "IMPOSSIBLE",
            Verdict::Wrong => "WRONG",
            Verdict::Warning => "warning",
            Verdict::Note => "note",
            Verdict::Good => "good",
        })
    }
}

/// What makes it right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// These statements, in this order, on this server; `--fix` runs them.
    Run(Vec<String>),
    /// A person: what to do, in one sentence.
    ByHand(String),
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mend::Run(statements) => write!(f, "{};", statements.join("; ")),
            Mend::ByHand(text) => f.write_str(text),
        }
    }
}

/// One respect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The variable or the matter, one word.
    pub topic: &'static str,
    /// The page that says more of it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found, and why that matters.
    pub what: String,
    /// What makes it right; `None` where nothing is wrong or nothing helps.
    pub mend: Option<Mend>,
    /// The line that belongs into the server's option file, so that it is right after a restart.
    pub option: Option<String>,
    /// A source's agent starts no reign like this.
    #[serde(skip)]
    pub refuses: bool,
}

impl Finding {
    /// Without anything to mend.
    pub fn new(topic: &'static str, verdict: Verdict, what: impl Into<String>) -> Finding {
        let what = what.into();
        Finding { topic, code: None, verdict, what, mend: None, option: None, refuses: false }
    }

    /// As it must be.
    pub fn good(topic: &'static str, what: impl Into<String>) -> Finding {
        Finding::new(topic, Verdict::Good, what)
    }

    /// Mended by these statements.
    #[must_use]
    pub fn run(mut self, statements: impl IntoIterator<Item = impl Into<String>>) -> Finding {
        self.mend = Some(Mend::Run(statements.into_iter().map(Into::into).collect()));
        self
    }

    /// Mended by a person.
    #[must_use]
    pub fn by_hand(mut self, text: impl Into<String>) -> Finding {
        self.mend = Some(Mend::ByHand(text.into()));
        self
    }

    /// With its page.
    #[must_use]
    pub fn code(mut self, code: Code) -> Finding {
        self.code = Some(code);
        self
    }

    /// A source's agent starts no reign like this.
    #[must_use]
    pub fn refusing(mut self) -> Finding {
        self.refuses = true;
        self
    }

    /// What was found and the way out, in one line.
    pub fn sentence(&self) -> String {
        match &self.mend {
            Some(mend) => format!("{}; {mend}", self.what),
            None => self.what.clone(),
        }
    }
}

/// Nothing is wrong or impossible.
pub fn sound(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict > Verdict::Wrong)
}
