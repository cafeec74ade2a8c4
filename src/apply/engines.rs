//! Which tables of this server have no transactions.

use std::collections::BTreeMap;

use super::Error;
use super::changes::TableName;
use crate::server::{Session, quote};

/// Tables remembered. Forgotten as a whole when full: asking again costs one query.
const REMEMBERED_MAX: usize = 20_000;
/// Tables asked for in one query.
const ASKED_MAX: usize = 200;

/// What is known, until the next DDL.
#[derive(Debug, Default)]
pub struct Engines {
    transactional: BTreeMap<TableName, bool>,
}

impl Engines {
    /// Forgets all: a DDL may have changed any.
    pub fn forget(&mut self) {
        self.transactional.clear();
    }

    /// Asks the server about those of `tables` that are not known yet.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub async fn learn<'a>(
        &mut self,
        session: &mut Session,
        tables: impl Iterator<Item = &'a TableName>,
    ) -> Result<(), Error> {
        let mut unknown: Vec<&TableName> =
            tables.filter(|table| !self.transactional.contains_key(*table)).collect();
        unknown.sort();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        if self.transactional.len() + unknown.len() > REMEMBERED_MAX {
            self.forget();
        }
        for some in unknown.chunks(ASKED_MAX) {
            let without = ask(session, some).await?;
            for &table in some {
                self.transactional.insert(table.clone(), !without.contains(table));
            }
        }
        Ok(())
    }

    /// Whether it shares the fate of a server transaction. A table that the server has not does, as
    /// far as we are concerned: the server will say so itself.
    pub fn transactional(&self, table: &TableName) -> bool {
        self.transactional.get(table).copied().unwrap_or(true)
    }
}

async fn ask(session: &mut Session, tables: &[&TableName]) -> Result<Vec<TableName>, Error> {
    let list = |name: fn(&TableName) -> &Vec<u8>| {
        let all: Vec<String> =
            tables.iter().map(|table| quote(&String::from_utf8_lossy(name(table)))).collect();
        all.join(",")
    };
    let rows = session
        .rows(format!(
            "SELECT t.TABLE_SCHEMA, t.TABLE_NAME FROM information_schema.TABLES t \
             JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
             WHERE e.TRANSACTIONS = 'NO' AND t.TABLE_SCHEMA IN ({}) AND t.TABLE_NAME IN ({})",
            list(|table| &table.database),
            list(|table| &table.table)
        ))
        .await?;
    let part = |row: &crate::server::Row, column: usize| {
        row.get(column).cloned().flatten().unwrap_or_default()
    };
    Ok(rows.iter().map(|row| TableName { database: part(row, 0), table: part(row, 1) }).collect())
}
