//! The quorum rule, evaluated: pure, and the same code in the shipper and in the coordinator.
//!
//! Every set of voters that commits meets every set that fences (I6); the tests enumerate it for all
//! rules up to seven voters. During a joint change both the old and the new rule have to hold, which
//! is what the `_all` forms say.

use std::collections::BTreeSet;

use wal::Lsn;

use crate::cluster::{ErrorClass, MemberName, QuorumConfig, Rule, Voter};
use crate::explain::Code;

/// A rule that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody would have to flush, or more than there are.
    #[error("{k} of {voters} members cannot be a quorum: set tolerate from 0 to {most}")]
    Impossible {
        /// What the rule asks for.
        k: usize,
        /// Who is there.
        voters: usize,
        /// The greatest `tolerate` that works.
        most: usize,
    },
    /// One name counted twice.
    #[error("member {0} is named twice among the voters")]
    Twice(MemberName),
}

impl Error {
    /// A person has to change the configuration.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Fatal
    }

    /// Its page.
    pub fn code(&self) -> Code {
        match self {
            Error::Impossible { .. } | Error::Twice(_) => Code::CONFIG_QUORUM,
        }
    }
}

/// Refuses a rule that could never commit, or would commit with nobody.
///
/// # Errors
/// [`Error::Impossible`], [`Error::Twice`].
pub fn check(config: &QuorumConfig) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    if let Some(twice) = config.voters.iter().find(|voter| !names.insert(&voter.member)) {
        return Err(Error::Twice(twice.member.clone()));
    }
    let voters = config.voters.len();
    match config.rule {
        Rule::Any { k } if k == 0 || k > voters => {
            Err(Error::Impossible { k, voters, most: voters.saturating_sub(1) })
        }
        Rule::Any { .. } => Ok(()),
    }
}

/// The greatest LSN for which the rule holds; `None` while it holds for no record.
///
/// `flushed` says up to where a voter's log is fsynced *and matched* with this shipper (I15); `None`
/// for one that has nothing, is unreachable, or does not count (I16). Whether a record of the current
/// epoch is among them (I2) is the caller's to check.
pub fn committed(config: &QuorumConfig, flushed: impl Fn(&Voter) -> Option<Lsn>) -> Option<Lsn> {
    match config.rule {
        Rule::Any { k } => {
            let mut points: Vec<Lsn> = config.voters.iter().filter_map(flushed).collect();
            points.sort_unstable_by(|a, b| b.cmp(a));
            points.get(k.checked_sub(1)?).copied()
        }
    }
}

/// As [`committed`], where every one of `configs` must hold; `None` for an empty list.
pub fn committed_all(
    configs: &[QuorumConfig],
    flushed: impl Fn(&Voter) -> Option<Lsn>,
) -> Option<Lsn> {
    let mut lowest = None;
    for config in configs {
        let here = committed(config, &flushed)?;
        lowest = Some(lowest.map_or(here, |lowest: Lsn| lowest.min(here)));
    }
    lowest
}

/// Whether these promises keep every commit quorum of `config` from forming: n - k + 1 voters.
pub fn fenced(config: &QuorumConfig, promised: &BTreeSet<Voter>) -> bool {
    let count = config.voters.iter().filter(|voter| promised.contains(voter)).count();
    count >= fence_size(config)
}

/// As [`fenced`], under every one of `configs`; `false` for an empty list.
pub fn fenced_all(configs: &[QuorumConfig], promised: &BTreeSet<Voter>) -> bool {
    !configs.is_empty() && configs.iter().all(|config| fenced(config, promised))
}

/// How many voters must flush.
pub fn commit_size(config: &QuorumConfig) -> usize {
    match config.rule {
        Rule::Any { k } => k,
    }
}

/// How many voters must promise: n - k + 1, and never none.
pub fn fence_size(config: &QuorumConfig) -> usize {
    match config.rule {
        Rule::Any { k } => (config.voters.len() + 1).saturating_sub(k).max(1),
    }
}

/// For whom a quorum waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// So many more of `of` are needed.
    pub more: usize,
    /// Those who are not there, in the order of the voters.
    pub of: Vec<Voter>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.more < self.of.len() {
            write!(f, "{} of ", self.more)?;
        }
        for (index, voter) in self.of.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", voter.member)?;
        }
        if self.more > self.of.len() {
            write!(f, " (and {} more than there are)", self.more - self.of.len())?;
        }
        Ok(())
    }
}

/// For whom a commit waits, if only those have flushed for whom `there` says so; `None`: for nobody.
pub fn missing_for_commit(
    config: &QuorumConfig,
    there: impl Fn(&Voter) -> bool,
) -> Option<Missing> {
    missing(config, commit_size(config), there)
}

/// For whom a fence waits, if only those have promised for whom `there` says so; `None`: for nobody.
pub fn missing_for_fence(config: &QuorumConfig, there: impl Fn(&Voter) -> bool) -> Option<Missing> {
    missing(config, fence_size(config), there)
}

fn missing(config: &QuorumConfig, need: usize, there: impl Fn(&Voter) -> bool) -> Option<Missing> {
    let of: Vec<Voter> = config.voters.iter().filter(|voter| !there(voter)).cloned().collect();
    let present = config.voters.len() - of.len();
    (present < need).then(|| Missing { more: need - present, of })
}

/// The rule in words: `2 of s1, s2, s3 (1 may be lost)`.
pub fn in_words(config: &QuorumConfig) -> String {
    let names: Vec<&str> = config.voters.iter().map(|voter| voter.member.as_str()).collect();
    let k = commit_size(config);
    let spare = config.voters.len().saturating_sub(k);
    // Up to k - 1 logs may be lost for good without losing a commit; n - k may be away meanwhile.
    format!(
        "{k} of {} flushed ({} may be lost, {spare} may be away)",
        names.join(", "),
        k.saturating_sub(1)
    )
}

#[cfg(test)]
mod tests;
