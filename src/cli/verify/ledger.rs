//! What is known after each round. [pure]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wal::Lsn;

use super::member::Failure;
use super::report::{DefinitionReport, Report, TableReport};
use crate::verify::{ObjectDifference, Table, TableName};

/// What is known of a table at a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Equal, at one record.
    Equal { rows: u64, chunks: u64 },
    /// Equal when it was read; the engine has no snapshots.
    EqualLoosely { rows: u64, chunks: u64 },
    /// Different, at one record.
    Different(Found),
    /// Not known.
    Unproven {
        why: String,
        /// Another snapshot may settle it.
        #[serde(skip)]
        again: bool,
    },
}

/// The first difference, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    pub range: String,
    pub source_rows: u64,
    pub replica_rows: u64,
    pub rows: Vec<String>,
    pub more_rows: usize,
}

impl Verdict {
    pub fn of(failure: Failure) -> Verdict {
        Verdict::Unproven { why: failure.error, again: failure.again }
    }

    /// As it counts for a table whose engine may have no snapshots.
    pub fn anchored(self, table: &Table) -> Verdict {
        match self {
            Verdict::Equal { rows, chunks } if !table.transactional => {
                Verdict::EqualLoosely { rows, chunks }
            }
            Verdict::Different(_) if !table.transactional => Verdict::Unproven {
                why:
                    "its engine has no snapshots, and it differed each time it was read; stop the \
                      writes to it and verify again"
                        .to_owned(),
                again: true,
            },
            other => other,
        }
    }
}

/// Everything known of a verification.
pub(super) struct Ledger {
    at: Vec<Lsn>,
    replicas: BTreeMap<String, AtReplica>,
    /// A round that came to nothing, and why.
    broken: Option<String>,
}

#[derive(Default)]
struct AtReplica {
    /// Why nothing more can be known of it.
    lost: Option<String>,
    /// Differences of definition in the last round, and in the one before.
    now: Vec<ObjectDifference>,
    before: Vec<ObjectDifference>,
    tables: BTreeMap<TableName, Verdict>,
}

impl AtReplica {
    fn settled(&self) -> bool {
        let again = |verdict: &Verdict| matches!(verdict, Verdict::Unproven { again: true, .. });
        let same = self.now.iter().all(|difference| self.before.contains(difference));
        self.lost.is_some() || (same && !self.tables.values().any(again))
    }
}

impl Ledger {
    pub fn new<'a>(replicas: impl Iterator<Item = &'a str>) -> Ledger {
        let replicas = replicas.map(|name| (name.to_owned(), AtReplica::default())).collect();
        Ledger { at: Vec::new(), replicas, broken: None }
    }

    /// A round begins with snapshots at `at`.
    pub fn round(&mut self, at: Lsn) {
        self.at.push(at);
        self.broken = None;
    }

    /// The round came to nothing.
    pub fn broken(&mut self, failure: Failure) {
        self.broken = Some(failure.error);
    }

    /// Nothing more can be known of a replica.
    pub fn lost(&mut self, replica: &str, failure: &Failure) {
        if let Some(at) = self.replicas.get_mut(replica) {
            at.lost = Some(failure.error.clone());
        }
    }

    /// What a round found of the definitions; `tables` are all there are now.
    pub fn definitions(
        &mut self,
        replica: &str,
        differences: &[ObjectDifference],
        tables: &[Table],
    ) {
        let there: BTreeSet<&TableName> = tables.iter().map(|table| &table.name).collect();
        let Some(at) = self.replicas.get_mut(replica) else { return };
        at.before = std::mem::replace(&mut at.now, differences.to_vec());
        at.tables.retain(|name, _| there.contains(name));
    }

    pub fn verdict(&mut self, table: &TableName, replica: &str, verdict: Verdict) {
        if let Some(at) = self.replicas.get_mut(replica) {
            at.tables.insert(table.clone(), verdict);
        }
    }

    /// Whether the table is still to be compared there.
    pub fn open(&self, table: &TableName, replica: &str) -> bool {
        let at = self.replicas.get(replica).filter(|at| at.lost.is_none());
        let known = at.map(|at| at.tables.get(table));
        matches!(known, Some(None | Some(Verdict::Unproven { again: true, .. })))
    }

    /// Whether something is still to be known of a replica.
    pub fn wants(&self, replica: &str) -> bool {
        let found = self.replicas.get(replica);
        found.is_some_and(|at| at.lost.is_none() && (self.at.is_empty() || !self.done(at)))
    }

    /// Whether another round can tell nothing more.
    pub fn settled(&self) -> bool {
        self.replicas.values().all(|at| self.done(at))
    }

    fn done(&self, at: &AtReplica) -> bool {
        at.lost.is_some() || (self.broken.is_none() && at.settled())
    }

    pub fn report(&self, source: String) -> Report {
        let mut report = Report {
            source,
            replicas: self.replicas.keys().cloned().collect(),
            records: self.at.clone(),
            outcome: super::report::Outcome::Equal,
            definitions: Vec::new(),
            tables: Vec::new(),
            unproven: Vec::new(),
        };
        let lost = "nothing of it is proven";
        for (replica, at) in &self.replicas {
            if let Some(why) = at.lost.as_ref().or(self.broken.as_ref()) {
                report.unproven.push(format!("{replica}: {lost}: {why}"));
            }
            for difference in &at.now {
                if at.before.contains(difference) {
                    let (replica, difference) = (replica.clone(), difference.clone());
                    report.definitions.push(DefinitionReport { replica, difference });
                } else {
                    let (kind, name) = (difference.kind, &difference.name);
                    let why = "its definition kept changing";
                    report.unproven.push(format!("{replica}: {kind} {name}: {why}"));
                }
            }
            for (table, verdict) in &at.tables {
                let (table, replica) = (table.to_string(), replica.clone());
                report.tables.push(TableReport { table, replica, verdict: verdict.clone() });
            }
        }
        report.settle();
        report
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use crate::explain::Code;
    use crate::verify::{ObjectKind, Presence};

    fn name() -> TableName {
        TableName { schema: "a".into(), name: "t".into() }
    }

    fn table() -> Table {
        Table {
            name: name(),
            estimate: 0,
            key: vec![],
            primary: false,
            columns: vec![],
            transactional: true,
            versioned: false,
        }
    }

    fn missing() -> ObjectDifference {
        let (kind, name) = (ObjectKind::View, "a.v".to_owned());
        ObjectDifference { kind, name, presence: Presence::Missing }
    }

    fn round(ledger: &mut Ledger, differences: &[ObjectDifference], verdict: Verdict) {
        ledger.round(Lsn::FIRST);
        ledger.definitions("s2", differences, &[table()]);
        ledger.verdict(&name(), "s2", verdict);
    }

    const EQUAL: Verdict = Verdict::Equal { rows: 1, chunks: 1 };

    #[test]
    fn a_difference_of_definition_counts_when_it_is_seen_twice() {
        let mut ledger = Ledger::new(["s2"].into_iter());
        round(&mut ledger, &[missing()], EQUAL);
        assert!(!ledger.settled());
        assert_eq!(ledger.report("s1".into()).outcome, Outcome::Unproven);
        round(&mut ledger, &[missing()], EQUAL);
        assert!(ledger.settled());
        assert_eq!(ledger.report("s1".into()).outcome, Outcome::Different);
        round(&mut ledger, &[], EQUAL);
        assert_eq!(ledger.report("s1".into()).outcome, Outcome::Equal);
    }

    #[test]
    fn what_changed_is_read_again_and_never_called_equal() {
        let mut ledger = Ledger::new(["s2"].into_iter());
        assert!(ledger.wants("s2"));
        round(&mut ledger, &[], Verdict::Unproven { why: "x".into(), again: true });
        assert!(ledger.open(&name(), "s2") && ledger.wants("s2") && !ledger.settled());
        assert_eq!(ledger.report("s1".into()).outcome, Outcome::Unproven);
        round(&mut ledger, &[], EQUAL);
        assert!(!ledger.open(&name(), "s2") && ledger.settled() && !ledger.wants("s2"));
        ledger.broken(Failure { error: "x".into(), code: Code::VERIFY_NOT_PROVEN, again: true });
        assert!(!ledger.settled());
        assert_eq!(ledger.report("s1".into()).outcome, Outcome::Unproven);
    }

    #[test]
    fn a_lost_replica_is_not_proven() {
        let mut ledger = Ledger::new(["s2", "s3"].into_iter());
        round(&mut ledger, &[], EQUAL);
        ledger.lost(
            "s3",
            &Failure { error: "it is down".into(), code: Code::PEER_UNREACHABLE, again: false },
        );
        assert!(ledger.settled());
        let report = ledger.report("s1".into());
        assert_eq!(report.outcome, Outcome::Unproven);
        assert!(report.text().contains("s3") && report.text().contains("it is down"));
    }

    #[test]
    fn a_table_without_snapshots_is_equal_loosely_or_not_known() {
        let loose = Table { transactional: false, ..table() };
        assert_eq!(EQUAL.anchored(&table()), EQUAL);
        assert!(matches!(EQUAL.anchored(&loose), Verdict::EqualLoosely { .. }));
        let found = Found {
            range: String::new(),
            source_rows: 1,
            replica_rows: 2,
            rows: vec![],
            more_rows: 0,
        };
        let different = Verdict::Different(found);
        assert!(matches!(different.anchored(&loose), Verdict::Unproven { again: true, .. }));
    }
}
