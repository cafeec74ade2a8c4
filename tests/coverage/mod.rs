//! What is replicated and what stops (I9): one table, from which the tests on real servers run
//! (`servers::coverage`) and `docs/coverage.md` is rendered.
//!
//! A [`Case`] is SQL for a source, the event and column types that its binlog must then hold, and the
//! outcome at the replicas. [`events`] and [`columns`] say the same of every event and column type;
//! the tests here see to it that none is missing and that each claim is shown by a case.
//!
//! `PLIMSOLL_COVERAGE=write cargo test coverage` writes the page, and the versions of the servers that
//! the cases ran on.

pub mod case;
pub mod changes;
mod claims;
pub mod columns;
pub mod events;
pub mod page;
pub mod stops;
pub mod switches;
pub mod tables;
pub mod types;
pub mod xa;

pub use case::{Case, Outcome};

/// The cases, by heading.
pub const TOPICS: &[(&str, &[Case])] = &[
    ("Column types", types::CASES),
    ("Statements", changes::CASES),
    ("Tables and other objects", tables::CASES),
    ("Switches of one session", switches::CASES),
    ("XA", xa::CASES),
    ("What stops the replicas", stops::CASES),
];

/// All of them.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    TOPICS.iter().flat_map(|(_, cases)| cases.iter())
}

/// Whether the page and the recorded versions are to be written instead of compared.
pub fn writes() -> bool {
    std::env::var("PLIMSOLL_COVERAGE").is_ok_and(|wish| wish == "write")
}
