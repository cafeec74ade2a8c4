//! What cannot share a server transaction with the checkpoint: intent, statement, checkpoint.
//!
//! A crash after the intent is recognised at the next start by its row. Whether the statement ran is
//! told by the catalog: as it was before, it runs now; changed, it has run (each statement is atomic
//! in MySQL and, object by object, in MariaDB; a DROP of several objects is said again with IF
//! EXISTS).

use wal::TransactionClass;

use super::batch::named;
use super::feed::Apply;
use super::intent::{self, Intent, Step};
use super::packet;
use super::schedule::Mark;
use super::worker::Worker;
use super::{Error, checkpoint, context, fingerprint, statement};
use crate::binlog::{Event, QueryEvent, StatusVars};
use crate::server::{Family, quote_name};

/// Unknown database.
const NO_SUCH_DATABASE: u16 = 1049;
/// Unknown table, in a DROP.
const NO_SUCH_TABLE: u16 = 1051;
/// Syntax error.
const SYNTAX: u16 = 1064;
/// Flag of a QUERY event: the statement does not depend on the default database.
const SUPPRESS_USE: u16 = 0x8;
/// START, COMMIT and ROLLBACK ALTER of MariaDB's two-phase ALTER.
const TWO_PHASE_ALTER: u16 = 0x2 | 0x4 | 0x8;

/// A statement with all that it ran under.
struct Statement<'a> {
    query: QueryEvent<'a>,
    vars: StatusVars<'a>,
    seconds: u32,
    uses_database: bool,
    text: Vec<u8>,
}

impl Worker<'_> {
    /// Applies one barrier.
    pub async fn barrier(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        let done = self.barrier_at(mark, apply).await;
        // A DDL may have made any table another one.
        self.engines.forget();
        done.map_err(|error| error.at(&apply.place))
    }

    async fn barrier_at(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        let event = apply.changes.statement.as_ref();
        let event = event.ok_or(Error::Malformed { what: "a DDL without its statement" })?;
        let statement = self.read(event)?;
        if apply.class == TransactionClass::CreateSelect {
            return self.create_select(mark, apply, &statement).await;
        }
        if statement::changes_rows(&statement.text) {
            let head = &statement.text[..statement.text.len().min(80)];
            return Err(Error::StatementEvent { what: String::from_utf8_lossy(head).into() });
        }
        if self.enter_ddl(mark, Step::Ddl, &statement).await? {
            self.context(&statement).await?;
            self.execute_as(apply, &statement, &statement.text).await?;
        } else {
            self.context(&statement).await?;
            if let Some(again) = statement::repeatable_drop(&statement.text) {
                self.execute_as(apply, &statement, &again).await?;
            }
        }
        if statement::touches_events(&statement.text) {
            self.disable_events(&statement).await?;
        }
        self.leave(mark, apply, &statement).await
    }

    fn read<'a>(&self, event: &'a Event) -> Result<Statement<'a>, Error> {
        let query = QueryEvent::decode(event.body(self.format.checksum)?)?;
        let vars = query.session()?;
        if vars.mariadb_gtid_flags.is_some_and(|flags| flags & TWO_PHASE_ALTER != 0) {
            let what = "MariaDB's two-phase ALTER (binlog_alter_two_phase)".to_owned();
            return Err(Error::NotApplicable { what });
        }
        let text = statement::with_invoker(query.text, vars.invoker);
        let uses_database = event.header.flags.0 & SUPPRESS_USE == 0 && !query.database.is_empty();
        Ok(Statement { query, vars, seconds: event.header.timestamp, uses_database, text })
    }

    /// Notes the intent; `false` if the catalog shows that the statement ran already.
    async fn enter_ddl(
        &mut self,
        mark: Mark,
        step: Step,
        statement: &Statement<'_>,
    ) -> Result<bool, Error> {
        let mut names = statement::names(&statement.text);
        names.insert(String::from_utf8_lossy(statement.query.database).into_owned());
        let before = fingerprint::of_catalog(&mut self.session, &names).await?;
        self.enter(Intent { lsn: mark.lsn, step, before }).await
    }

    /// Makes the session what the statement's was.
    async fn context(&mut self, statement: &Statement<'_>) -> Result<(), Error> {
        let family = self.session.family();
        if statement.uses_database {
            let name = quote_name(statement.query.database);
            match self.session.execute([b"USE ", &name[..]].concat()).await {
                // The database is gone here as it was there: then nothing in the statement
                // depends on it.
                Err(error) if error.number() == Some(NO_SUCH_DATABASE) => {}
                done => drop(done?),
            }
        }
        let set = context::statement(&statement.vars, statement.seconds, family);
        self.session.execute(set).await?;
        if let Some(after) = context::after_use(&statement.vars).filter(|_| statement.uses_database)
        {
            self.session.execute(after).await?;
        }
        Ok(())
    }

    /// Runs the statement; an error that the source had too is its effect, not a fault.
    async fn execute_as(
        &mut self,
        apply: &Apply,
        statement: &Statement<'_>,
        text: &[u8],
    ) -> Result<(), Error> {
        if self.parts.options.replica_binlog {
            self.session.execute(named(apply.origin.gtid.as_ref()).join(";")).await?;
        } else if self.session.family() == Family::Mysql {
            self.session.execute("SET gtid_next='AUTOMATIC'").await?;
        }
        let done = self.session.execute_unbounded(text).await;
        let expected = statement.query.error_code;
        match done {
            Ok(_) if expected == 0 => {}
            Err(error) if expected != 0 && error.number() == Some(expected) => {}
            // MariaDB logs a DROP that met a missing table as if it had not: its own replicas drop
            // what is there.
            Err(error) if expected == 0 && error.number() == Some(NO_SUCH_TABLE) => {
                let again = statement::repeatable_drop(text).filter(|again| again != text);
                let again = again.filter(|_| self.session.family() == Family::Mariadb);
                let Some(again) = again else { return Err(error.into()) };
                self.session.execute_unbounded(again).await?;
            }
            Ok(_) => {
                return Err(Error::ExpectedError { expected, found: "none".to_owned() });
            }
            Err(error) => return Err(error.into()),
        }
        self.unnamed().await
    }

    /// Back to a session whose work has no name and no binlog.
    async fn unnamed(&mut self) -> Result<(), Error> {
        if self.parts.options.replica_binlog {
            let sql = match self.session.family() {
                Family::Mysql => "SET gtid_next='AUTOMATIC';SET sql_log_bin=0",
                Family::Mariadb => "SET sql_log_bin=0",
            };
            self.session.execute(sql).await?;
        }
        Ok(())
    }

    /// A scheduled event of the source must not run here, whoever switches the scheduler on: it
    /// becomes what native replication makes it, DISABLE ON SLAVE. That it was enabled at the source
    /// can be seen from that. In the statement's own session, which ALTER EVENT takes over.
    async fn disable_events(&mut self, statement: &Statement<'_>) -> Result<(), Error> {
        let names = statement::names(&statement.text);
        let list: Vec<String> = names.iter().map(|name| crate::server::quote(name)).collect();
        let rows = self
            .session
            .rows(format!(
                "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS \
                 WHERE STATUS = 'ENABLED' AND EVENT_NAME IN ({})",
                list.join(",")
            ))
            .await?;
        for row in rows {
            let part = |column: usize| row.get(column).cloned().flatten().unwrap_or_default();
            let definer = part(2);
            let at = definer.iter().rposition(|&byte| byte == b'@').unwrap_or(definer.len());
            let host = definer.get(at + 1..).unwrap_or_default();
            let account = [quote_name(&definer[..at]), quote_name(host)].join(&b'@');
            let event = [quote_name(&part(0)), quote_name(&part(1))].join(&b'.');
            let alter = [b"ALTER DEFINER=", &account[..], b" EVENT ", &event].concat();
            let new = [&alter[..], b" DISABLE ON REPLICA"].concat();
            match self.session.execute(new).await {
                Err(error) if error.number() == Some(SYNTAX) => {
                    self.session.execute([&alter[..], b" DISABLE ON SLAVE"].concat()).await?;
                }
                done => drop(done?),
            }
        }
        Ok(())
    }

    /// The session as it is for rows; then the end of the intent and the checkpoint together.
    async fn leave(
        &mut self,
        mark: Mark,
        apply: &Apply,
        statement: &Statement<'_>,
    ) -> Result<(), Error> {
        let family = self.session.family();
        self.session.execute(context::reset(&statement.vars, family)).await?;
        self.finish(mark, apply).await
    }

    /// The end of the intent and the checkpoint, after what could not share their transaction.
    pub async fn finish(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        let advance = checkpoint::advance(&mark, self.format.lsn, Some(&apply.origin));
        let sql = format!("BEGIN;{};{advance};COMMIT", intent::DELETE);
        let affected = self.session.execute(sql).await?;
        match affected.get(2) {
            Some(1) => Ok(()),
            _ => Err(Error::CheckpointLost),
        }
    }

    /// CREATE TABLE … SELECT: the table, then its rows.
    ///
    /// MySQL has both in one atomic group, in which no other table may be touched (3977): table and
    /// rows appear together, then the checkpoint. MariaDB commits the table first; the rows share
    /// their transaction with the checkpoint, so a table without rows is filled at the next start.
    async fn create_select(
        &mut self,
        mark: Mark,
        apply: &Apply,
        statement: &Statement<'_>,
    ) -> Result<(), Error> {
        let fresh = self.enter_ddl(mark, Step::CreateSelect, statement).await?;
        if fresh {
            self.context(statement).await?;
            if self.session.family() == Family::Mysql {
                self.create_in_group(apply, statement).await?;
            } else {
                self.execute_as(apply, statement, &statement.text).await?;
                let family = self.session.family();
                self.session.execute(context::reset(&statement.vars, family)).await?;
            }
        }
        if self.session.family() == Family::Mysql {
            return self.leave(mark, apply, statement).await;
        }
        let tables = &apply.changes.tables;
        self.engines.forget();
        self.engines.learn(&mut self.session, tables.iter()).await?;
        for table in tables.iter().filter(|table| !fresh && !self.engines.transactional(table)) {
            // Made by this very statement: whatever is in it is a part of its rows.
            let name = [quote_name(&table.database), quote_name(&table.table)].join(&b'.');
            self.session.execute([b"TRUNCATE TABLE ", &name[..]].concat()).await?;
        }
        self.rows_after_intent(mark, apply).await
    }

    async fn create_in_group(
        &mut self,
        apply: &Apply,
        statement: &Statement<'_>,
    ) -> Result<(), Error> {
        let begin = match self.parts.options.replica_binlog {
            true => named(apply.origin.gtid.as_ref()).join(";"),
            false => "SET gtid_next='AUTOMATIC'".to_owned(),
        };
        self.session.execute(begin).await?;
        self.session.execute_unbounded(&statement.text).await?;
        for packet in packet::packets("", apply.changes.parts.iter(), "COMMIT", self.limit) {
            self.session.execute_unbounded(packet).await?;
        }
        self.unnamed().await
    }
}
