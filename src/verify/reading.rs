//! A session whose snapshot is read.

use std::collections::HashMap;

use super::message::{Catalog, Chunk, RowPrint, Table, TableName};
use super::{Error, Range, catalog, select};
use crate::server::{Family, Row, Session};

/// A table's metadata lock is let go after each statement: a DDL waits for one chunk, not for all.
const LET_GO: &str = "ROLLBACK TO SAVEPOINT plimsoll_verify";

/// An open snapshot.
#[derive(Debug)]
pub struct Reading {
    session: Session,
    tables: HashMap<TableName, Table>,
}

/// Makes what is read the same text at every server, and the session unable to write.
///
/// # Errors
/// The server's.
pub async fn settle(session: &mut Session) -> Result<(), Error> {
    let unlimited = match session.family() {
        Family::Mariadb => "max_statement_time=0",
        Family::Mysql => "max_execution_time=0",
    };
    session
        .execute(format!(
            "SET NAMES utf8mb4; SET SESSION time_zone='+00:00', sql_mode='', {unlimited}, \
             wait_timeout=86400, net_write_timeout=600, lock_wait_timeout=10, \
             sql_quote_show_create=1; \
             SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        ))
        .await?;
    Ok(())
}

impl Reading {
    /// Of a session that is [settled](settle) and has a snapshot open.
    ///
    /// # Errors
    /// The server's.
    pub async fn begin(mut session: Session) -> Result<Reading, Error> {
        session.execute("SAVEPOINT plimsoll_verify").await?;
        Ok(Reading { session, tables: HashMap::new() })
    }

    /// What exists; later requests mean its tables.
    ///
    /// # Errors
    /// [`Error::Changed`]; the server's.
    pub async fn catalog(&mut self) -> Result<Catalog, Error> {
        let found = catalog::read(&mut self.session).await;
        self.let_go().await?;
        let found = found?;
        let named = |table: &Table| (table.name.clone(), table.clone());
        self.tables = found.tables.iter().map(named).collect();
        Ok(found)
    }

    /// The digest of a range, or of its first `rows` rows.
    ///
    /// # Errors
    /// [`Error::Changed`], [`Error::Undigested`], [`Error::BadKey`]; the server's.
    pub async fn chunk(
        &mut self,
        table: &TableName,
        range: &Range,
        rows: Option<u64>,
    ) -> Result<Chunk, Error> {
        let table = self.table(table)?;
        let mut range = range.clone();
        let mut cut = None;
        if let Some(rows) = rows.filter(|_| !table.key.is_empty()) {
            let sql = select::boundary(&table, &range, rows)?;
            if let Some(row) = self.rows_of(&table, sql).await?.into_iter().next() {
                let key: Vec<String> = row.iter().map(text).collect();
                cut = Some(key.clone());
                range.through = Some(key);
            }
        }
        let sql = select::digest(&table, &range)?;
        let answer = self.rows_of(&table, sql).await?.into_iter().next().unwrap_or_default();
        let sum = answer.get(1).filter(|sum| sum.is_some()).map(text);
        let count = answer.first().map(text).unwrap_or_default();
        select::chunk(&table, (&count, sum.as_deref()), cut)
    }

    /// Keys and digests of columns of a range's first rows.
    ///
    /// # Errors
    /// As [`Reading::chunk`].
    pub async fn rows(&mut self, table: &TableName, range: &Range) -> Result<Vec<RowPrint>, Error> {
        let table = self.table(table)?;
        if table.key.is_empty() {
            return Err(Error::BadKey);
        }
        let sql = select::rows(&table, range)?;
        let found = self.rows_of(&table, sql).await?;
        let print = |row: Row| {
            let mut values: Vec<String> = row.iter().map(text).collect();
            let columns = values.split_off(table.key.len().min(values.len()));
            RowPrint { key: values, columns }
        };
        Ok(found.into_iter().map(print).collect())
    }

    fn table(&self, name: &TableName) -> Result<Table, Error> {
        self.tables.get(name).cloned().ok_or_else(|| Error::NoTable(name.clone()))
    }

    async fn rows_of(&mut self, table: &Table, sql: String) -> Result<Vec<Row>, Error> {
        let found = self.session.rows(sql).await;
        self.let_go().await?;
        found.map_err(|error| Error::about(format!("table {}", table.name), error))
    }

    async fn let_go(&mut self) -> Result<(), Error> {
        self.session.execute(LET_GO).await?;
        Ok(())
    }
}

fn text(value: &Option<Vec<u8>>) -> String {
    let bytes = value.as_deref().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}
