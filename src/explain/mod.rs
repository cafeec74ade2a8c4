//! Stable codes for what an operator meets, and a page for each. [pure]
//!
//! In: nothing. Out: a [`Code`] for each cause that a person can act on, and its page: cause, risk, way
//! out, and the log lines that carry it. Every `Error` of a folder says its code; the edges (command
//! line, log, HTTP, status) print it, and `plimsoll explain CODE` prints the page.
//! Invariants: a code keeps its meaning for ever; no code without a page, no page without a code, no
//! WARN or ERROR line that no page lists (`tests.rs` reads the source for that).
//!
//! Does not: decide anything. What a supervisor does is an error's class, never its code.

mod code;
mod codes;
mod disk;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use code::{BadCode, Code};
pub use disk::of_log;

/// A text for a person, with its code: an alarm, a refusal, a failure of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{text}")]
pub struct Coded {
    /// `plimsoll explain` has its page.
    pub code: Code,
    /// One sentence: what, where, what to do.
    pub text: String,
}

impl Coded {
    /// `text` under `code`.
    pub fn new(code: Code, text: impl Into<String>) -> Coded {
        Coded { code, text: text.into() }
    }

    /// The same with `who: ` before it.
    #[must_use]
    pub fn of(&self, who: impl fmt::Display) -> Coded {
        Coded { code: self.code, text: format!("{who}: {}", self.text) }
    }
}

/// All codes with their titles, in groups.
pub fn list() -> String {
    let mut text = String::new();
    for (hundred, what) in codes::RANGES {
        text.push_str(&format!("PLM{hundred}xx  {what}\n"));
        for (code, _) in codes::PAGES.iter().filter(|(code, _)| code.hundred() == hundred) {
            text.push_str(&format!("  {code}  {}\n", code.title()));
        }
    }
    text
}

#[cfg(test)]
mod tests;
