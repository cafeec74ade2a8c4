//! Holding every replica against the source: definitions, rows, and the servers' own checksums.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use super::playground::{Playground, Server};
use super::{http, sql};

/// Schemas that are each server's own.
const OWN: &str = "'mysql','information_schema','performance_schema','sys','plimsoll'";
/// A replica that is not there by then is stuck.
const CATCH_UP_MAX: Duration = Duration::from_secs(25);
/// Attempts of that length: slow machines, long backlogs.
const CATCH_UP_TRIES: usize = 6;

/// Returns when every replica has applied all that was acknowledged so far.
pub async fn caught_up(play: &Playground) -> Result<()> {
    let source = play.source()?;
    let token = http::token(&source.agent.http).await?;
    for replica in play.replicas()? {
        let mut outcome = Ok(());
        for _ in 0..CATCH_UP_TRIES {
            outcome = http::applied(&replica.agent.http, &token, CATCH_UP_MAX).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome.with_context(|| format!("{} catches up", replica.name))?;
    }
    Ok(())
}

/// Every replica equals the source, once it has applied what was acknowledged.
pub async fn all_equal(play: &Playground) -> Result<()> {
    caught_up(play).await?;
    let source = play.source()?;
    let mut at_source = sql::connect(&source).await?;
    let tables = tables(&mut at_source).await?;
    let definitions = definitions(&mut at_source).await?;
    for replica in play.replicas()? {
        let name = &replica.name;
        let mut at_replica = sql::connect(&replica).await?;
        let theirs = self::tables(&mut at_replica).await?;
        ensure!(theirs == tables, "{name} has tables {theirs:?}, the source {tables:?}");
        let theirs = self::definitions(&mut at_replica).await?;
        for (ours, theirs) in definitions.iter().zip(&theirs) {
            ensure!(ours == theirs, "{name} has {theirs:?}, the source {ours:?}");
        }
        ensure!(
            definitions.len() == theirs.len(),
            "{name}: views, routines, triggers differ in number"
        );
        for table in &tables {
            same_table(&mut at_source, &mut at_replica, table, &replica).await?;
        }
    }
    Ok(())
}

async fn tables(conn: &mut Conn) -> Result<Vec<String>> {
    let query = format!(
        "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM information_schema.tables \
         WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ({OWN}) ORDER BY 1"
    );
    Ok(conn.query(query).await?)
}

/// Views, triggers, routines and events: kind, name, text.
async fn definitions(conn: &mut Conn) -> Result<Vec<(String, String, String)>> {
    let mut all = Vec::new();
    for (kind, schema, name, text, table) in [
        ("view", "table_schema", "table_name", "view_definition", "views"),
        ("trigger", "trigger_schema", "trigger_name", "action_statement", "triggers"),
        (
            "routine",
            "routine_schema",
            "routine_name",
            "COALESCE(routine_definition, '')",
            "routines",
        ),
        ("event", "event_schema", "event_name", "event_definition", "events"),
    ] {
        let query = format!(
            "SELECT '{kind}', CONCAT({schema}, '.', {name}), {text} FROM information_schema.{table} \
             WHERE {schema} NOT IN ({OWN}) ORDER BY 2"
        );
        let found: Vec<(String, String, String)> = conn.query(query).await?;
        all.extend(found);
    }
    Ok(all)
}

async fn same_table(source: &mut Conn, replica: &mut Conn, table: &str, at: &Server) -> Result<()> {
    let name = &at.name;
    let create = format!("SHOW CREATE TABLE {table}");
    let ours: Option<(String, String)> = source.query_first(&create).await?;
    let theirs: Option<(String, String)> = replica.query_first(&create).await?;
    let (ours, theirs) = (ours.map(without_counter), theirs.map(without_counter));
    // An index on an expression is a hidden virtual column.
    let index = |line: &str| line.contains("KEY `") && line.contains("((");
    let hidden = ours.as_ref().is_some_and(|text| text.lines().any(index));
    ensure!(ours == theirs, "{name}: {table} is {theirs:?}, at the source {ours:?}");

    let (ours, theirs) = (rows(source, table).await?, rows(replica, table).await?);
    let (count, expected) = (theirs.len(), ours.len());
    ensure!(count == expected, "{name}: {table} has {count} rows, the source {expected}");
    let different = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
    ensure!(different.is_none(), "{name}: {table} differs: {:.500}", format!("{different:?}"));

    let (ours, theirs) =
        (checksum(source, table, hidden).await?, checksum(replica, table, hidden).await?);
    ensure!(ours == theirs, "{name}: CHECKSUM of {table} is {theirs:?}, at the source {ours:?}");
    Ok(())
}

/// The server's own CHECKSUM TABLE. MariaDB 10.11 gives two servers different ones for a table with a
/// VIRTUAL column although every byte of its rows on disk is the same, also after a rebuild, and the
/// same one once that column is dropped (seen): there the stored columns are summed, in a copy. What
/// a VIRTUAL column shows was compared with the rows. MySQL 9.7 does so where a table has a `hidden`
/// virtual column, which is an index on an expression.
async fn checksum(conn: &mut Conn, table: &str, hidden: bool) -> Result<Option<u64>> {
    let stored: Vec<(String, bool)> = conn
        .query(format!(
            "SELECT CONCAT('`', column_name, '`'), extra LIKE '%VIRTUAL%' \
             FROM information_schema.columns \
             WHERE CONCAT('`', table_schema, '`.`', table_name, '`') = '{}' \
             ORDER BY ordinal_position",
            table.replace('\'', "''")
        ))
        .await?;
    let copied = hidden || stored.iter().any(|(_, is_virtual)| *is_virtual);
    let mut name = table.to_owned();
    if copied {
        let columns: Vec<&str> = stored
            .iter()
            .filter(|(_, is_virtual)| !is_virtual)
            .map(|(column, _)| column.as_str())
            .collect();
        let schema = table.split("`.`").next().unwrap_or_default();
        name = format!("{schema}`.`plimsoll_test_copy`");
        let columns = columns.join(", ");
        conn.query_drop(format!("CREATE TEMPORARY TABLE {name} AS SELECT {columns} FROM {table}"))
            .await?;
    }
    let sum: Option<(String, Option<u64>)> =
        conn.query_first(format!("CHECKSUM TABLE {name} EXTENDED")).await?;
    if copied {
        conn.query_drop(format!("DROP TEMPORARY TABLE {name}")).await?;
    }
    Ok(sum.and_then(|(_, sum)| sum))
}

/// The counter of AUTO_INCREMENT counts rolled back rows too, which never leave the source.
fn without_counter((_, text): (String, String)) -> String {
    let kept = text.split(' ').filter(|word| !word.starts_with("AUTO_INCREMENT="));
    kept.collect::<Vec<_>>().join(" ")
}

async fn rows(conn: &mut Conn, table: &str) -> Result<Vec<String>> {
    let rows: Vec<Row> = conn.query(format!("SELECT * FROM {table}")).await?;
    let as_text = |row: Row| {
        let values = row.unwrap();
        values.iter().map(|value: &Value| value.as_sql(true)).collect::<Vec<_>>().join(",")
    };
    let mut rows: Vec<String> = rows.into_iter().map(as_text).collect();
    rows.sort_unstable();
    Ok(rows)
}
