//! The verdicts, as text and as JSON. [pure]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use wal::Lsn;

use super::ledger::Verdict;
use crate::explain::Code;
use crate::verify::{ObjectDifference, Presence};

/// What all of it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Everything is proven equal.
    Equal,
    /// Something differs.
    Different,
    /// Nothing is known to differ, and not everything is known to be equal.
    Unproven,
}

/// A table at a replica.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TableReport {
    pub table: String,
    pub replica: String,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A definition that differs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DefinitionReport {
    pub replica: String,
    #[serde(flatten)]
    pub difference: ObjectDifference,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub outcome: Outcome,
    pub source: String,
    pub replicas: Vec<String>,
    /// Of each round, the record that source and replicas showed.
    pub records: Vec<Lsn>,
    pub definitions: Vec<DefinitionReport>,
    pub tables: Vec<TableReport>,
    pub unproven: Vec<String>,
}

const NOT_COMPARED: &str = "not compared: accounts and grants, the servers' own schemas and plimsoll, \
     AUTO_INCREMENT counters, whether events run, MariaDB's VIRTUAL columns\n";

impl Report {
    /// Fills in the outcome.
    pub fn settle(&mut self) {
        let different = |one: &TableReport| matches!(one.verdict, Verdict::Different(_));
        let unproven = |one: &TableReport| matches!(one.verdict, Verdict::Unproven { .. });
        self.outcome = if !self.definitions.is_empty() || self.tables.iter().any(different) {
            Outcome::Different
        } else if !self.unproven.is_empty() || self.tables.iter().any(unproven) {
            Outcome::Unproven
        } else {
            Outcome::Equal
        };
    }

    /// For a person; the last line begins with the outcome.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        for DefinitionReport { replica, difference } in &self.definitions {
            let ObjectDifference { kind, name, presence } = difference;
            let _ = match presence {
                Presence::Missing => writeln!(out, "DIFFERENT {replica}: {kind} {name} is missing"),
                Presence::Extra => {
                    writeln!(out, "DIFFERENT {replica}: {kind} {name} is at the replica only")
                }
                Presence::Defined { source, replica: there } => {
                    let (here, there) = (cut(source), cut(there));
                    writeln!(
                        out,
                        "DIFFERENT {replica}: {kind} {name} is defined otherwise:\n    \
                                   source  {here}\n    replica {there}"
                    )
                }
            };
        }
        for one in &self.tables {
            self.table(&mut out, one);
        }
        for text in &self.unproven {
            let _ = writeln!(out, "NOT PROVEN {text}");
        }
        out.push_str(NOT_COMPARED);
        self.summary(&mut out);
        out
    }

    fn table(&self, out: &mut String, one: &TableReport) {
        let TableReport { table, replica, verdict } = one;
        let _ = match verdict {
            Verdict::Equal { .. } => Ok(()),
            Verdict::EqualLoosely { .. } => writeln!(
                out,
                "warning {replica}: table {table} is equal, but was not read at one record: its \
                 engine has no snapshots"
            ),
            Verdict::Unproven { why, .. } => {
                writeln!(out, "NOT PROVEN {replica}: table {table}: {why}")
            }
            Verdict::Different(found) => {
                let (here, there) = (found.source_rows, found.replica_rows);
                let rows = found.rows.iter().map(|row| format!("    {row}\n"));
                let mut rows: String = rows.collect();
                if found.more_rows > 0 {
                    let _ = writeln!(rows, "    and {} rows more", found.more_rows);
                }
                write!(
                    out,
                    "DIFFERENT {replica}: table {table}, {}: {here} rows at the source, {there} at \
                     the replica\n{rows}",
                    found.range
                )
            }
        };
    }

    fn summary(&self, out: &mut String) {
        let tables: BTreeSet<&str> = self.tables.iter().map(|one| one.table.as_str()).collect();
        let rows: u64 = self.tables.iter().filter_map(|one| rows(&one.verdict)).sum();
        let (count, replicas, source) = (tables.len(), self.replicas.join(", "), &self.source);
        let records: BTreeSet<String> = self.records.iter().map(Lsn::to_string).collect();
        let records: Vec<String> = records.into_iter().collect();
        let at = records.join(", ");
        let _ = match self.outcome {
            Outcome::Equal => writeln!(
                out,
                "EQUAL: {replicas} and source {source}, {count} tables, {rows} rows compared, at record \
                 {at}"
            ),
            Outcome::Different => {
                writeln!(
                    out,
                    "DIFFERENT ({}): {replicas} and source {source}, {count} tables, at record {at}",
                    Code::VERIFY_DIFFERENT
                )
            }
            Outcome::Unproven => writeln!(
                out,
                "NOT PROVEN ({}): {replicas} and source {source}, {count} tables: nothing was found to \
                 differ, but not everything could be verified",
                Code::VERIFY_NOT_PROVEN
            ),
        };
    }
}

fn rows(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::Equal { rows, .. } | Verdict::EqualLoosely { rows, .. } => Some(*rows),
        _ => None,
    }
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 120;
    text.chars().take(SHOWN).collect()
}
