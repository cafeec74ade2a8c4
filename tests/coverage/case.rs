//! One row of the table.

use plimsoll::binlog::EventKind;

use crate::support::Family;

pub const BOTH: &[Family] = &[Family::Mariadb, Family::Mysql];
pub const MARIADB: &[Family] = &[Family::Mariadb];
pub const MYSQL: &[Family] = &[Family::Mysql];

/// What becomes of it at the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every replica equals the source, by its rows and by the server's CHECKSUM TABLE.
    Applied,
    /// The replicas' appliers stop, nothing of it and after it is applied, and the alarm says this.
    Stops(&'static str),
}

/// SQL for the source and what follows from it.
///
/// The statements run on one session in a database of the case's own. `-- new session` begins
/// another one; `-- fails N: …` must fail with error N; `-- everywhere: …` runs on the replicas'
/// servers too (a global variable that they must share); `-- settle` waits for the replicas.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// For people.
    pub name: &'static str,
    /// Which servers know it.
    pub on: &'static [Family],
    pub sql: &'static [&'static str],
    /// Types that the source's binlog must hold afterwards.
    pub events: &'static [EventKind],
    /// Column types that its table maps must hold, by code.
    pub columns: &'static [u8],
    pub outcome: Outcome,
    /// For people: what to know about it.
    pub remark: &'static str,
}

impl Case {
    pub const fn applied(
        name: &'static str,
        on: &'static [Family],
        sql: &'static [&'static str],
    ) -> Case {
        let outcome = Outcome::Applied;
        Case { name, on, sql, events: &[], columns: &[], outcome, remark: "" }
    }

    pub const fn stops(
        name: &'static str,
        on: &'static [Family],
        alarm: &'static str,
        sql: &'static [&'static str],
    ) -> Case {
        Case { outcome: Outcome::Stops(alarm), ..Case::applied(name, on, sql) }
    }

    pub const fn events(self, events: &'static [EventKind]) -> Case {
        Case { events, ..self }
    }

    pub const fn columns(self, columns: &'static [u8]) -> Case {
        Case { columns, ..self }
    }

    pub const fn remark(self, remark: &'static str) -> Case {
        Case { remark, ..self }
    }

    /// The database it runs in.
    pub fn database(&self) -> String {
        let word = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let name: String = self.name.to_ascii_lowercase().chars().map(word).collect();
        format!("c_{}", &name[..name.len().min(50)])
    }

    pub fn runs_on(&self, family: Family) -> bool {
        self.on.contains(&family)
    }
}
