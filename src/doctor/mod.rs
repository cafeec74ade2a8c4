//! Whether a server is as the cluster needs it: line by line, with what mends it.
//!
//! In: a SQL session. Out: [`Finding`]s, each good, wrong with the statements that mend it,
//! impossible, or worth knowing. Three users of one table (`settings`): `plimsoll doctor`, the source's
//! agent before each reign ([`quick`]), and its guard each second ([`unprotected`]).
//!
//! Shape: `probe` asks (SQL, read-only) and gives [`Facts`] (plain data); `checks` makes findings of
//! them (pure); `fix` runs statements, where a person has said so.
//!
//! Invariants: a probe changes nothing and never waits behind COMMITs that wait for an ACK. No statement
//! here makes a source read-only, switches semi-sync off or restarts anything (I3). A server's own
//! files are read, never written.
//!
//! Does not: decide what an agent does about a finding.

mod checks;
mod error;
mod facts;
mod finding;
mod fix;
mod probe;
mod settings;

#[cfg(test)]
mod tests;

pub use checks::{Examined, all, members, quick};
pub use error::Error;
pub use facts::{Account, AfterRestart, Facts, Inventory, Listing, Reader, Role};
pub use finding::{Finding, Mend, Verdict, sound};
pub use fix::{option_file, run, statements};
pub use probe::{facts, inventory};

use crate::explain::{Code, Coded};
use crate::server::{Family, Variables};

/// Why the COMMITs of a source that runs do not depend on our quorum alone (I3): one sentence each,
/// with the way out; empty if they do. From its global variables and semi-sync counters.
pub fn unprotected(family: Family, variables: &Variables, status: &Variables) -> Vec<Coded> {
    let mut found = checks::demanded(family, variables);
    found.extend(checks::semi_sync(variables, status, 1));
    let wrong = found.iter().filter(|finding| finding.verdict <= Verdict::Wrong);
    let code = |finding: &Finding| finding.code.unwrap_or(Code::UNPROTECTED_SETTING);
    wrong.map(|finding| Coded::new(code(finding), finding.sentence())).collect()
}
