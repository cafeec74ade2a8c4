//! What a statement may change, as one number: tells after a crash whether it ran.
//!
//! InnoDB's table ids are in it, because RENAME's swap, TRUNCATE and EXCHANGE PARTITION leave the
//! same definitions behind. Nothing but the applier changes a replica, so more than the statement
//! names does no harm.

use std::collections::BTreeSet;

use ring::digest::{Context, SHA256};

use super::Error;
use super::changes::TableName;
use crate::server::{Family, Row, Session, quote, quote_name};

/// 64 hexadecimal digits.
pub type Fingerprint = String;

/// The tables of accounts and privileges of both families; one that a server has not gives NULL.
const ACCOUNTS: &str = "CHECKSUM TABLE mysql.user,mysql.global_priv,mysql.db,mysql.tables_priv,\
    mysql.columns_priv,mysql.procs_priv,mysql.proxies_priv,mysql.roles_mapping,mysql.role_edges,\
    mysql.default_roles,mysql.global_grants,mysql.servers,mysql.func";

/// Definitions of everything called one of `names`, in any database, and all InnoDB table ids.
///
/// # Errors
/// [`Error::Server`]; the account needs PROCESS.
pub async fn of_catalog(
    session: &mut Session,
    names: &BTreeSet<String>,
) -> Result<Fingerprint, Error> {
    let list = names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(",");
    let list = if list.is_empty() { "''".to_owned() } else { list };
    let mut sum = Sum::new();
    // Tables of an ALTER that a crash interrupted are cleaned up at some time after the restart.
    let ids = match session.family() {
        Family::Mariadb => "INNODB_SYS_TABLES",
        Family::Mysql => "INNODB_TABLES",
    };
    let ids = format!("SELECT * FROM information_schema.{ids} WHERE NAME NOT LIKE '%/#sql%'");
    let ids = session.rows(ids).await;
    sum.add(ids.map_err(|error| error.or_privilege("read InnoDB's table ids", "PROCESS"))?);
    for (columns, table, name) in [
        ("*", "SCHEMATA", "SCHEMA_NAME"),
        (
            "ROUTINE_SCHEMA,ROUTINE_NAME,ROUTINE_TYPE,ROUTINE_DEFINITION,SQL_MODE,DEFINER,LAST_ALTERED",
            "ROUTINES",
            "ROUTINE_NAME",
        ),
        ("*", "PARAMETERS", "SPECIFIC_NAME"),
        ("*", "TRIGGERS", "TRIGGER_NAME"),
        (
            "EVENT_SCHEMA,EVENT_NAME,EVENT_DEFINITION,INTERVAL_VALUE,INTERVAL_FIELD,EXECUTE_AT,STARTS,\
          ENDS,SQL_MODE,DEFINER,EVENT_COMMENT,LAST_ALTERED",
            "EVENTS",
            "EVENT_NAME",
        ),
    ] {
        let sql =
            format!("SELECT {columns} FROM information_schema.{table} WHERE {name} IN ({list})");
        sum.add(session.rows(sql).await?);
    }
    tables(session, &list, &mut sum).await?;
    sum.add(session.rows(ACCOUNTS).await?);
    Ok(sum.finish())
}

/// SHOW CREATE of each table and view of a name in `list`; contents too where no InnoDB id shows
/// that a table is another one.
async fn tables(session: &mut Session, list: &str, sum: &mut Sum) -> Result<(), Error> {
    let found = session
        .rows(format!(
            "SELECT TABLE_SCHEMA,TABLE_NAME,ENGINE FROM information_schema.TABLES \
             WHERE TABLE_NAME IN ({list}) AND TABLE_SCHEMA NOT IN \
             ('information_schema','performance_schema','sys','plimsoll') ORDER BY 1,2"
        ))
        .await?;
    for row in &found {
        let part = |column: usize| row.get(column).cloned().flatten().unwrap_or_default();
        let name = [quote_name(&part(0)), quote_name(&part(1))].join(&b'.');
        sum.add(vec![row.clone()]);
        match session.rows([b"SHOW CREATE TABLE ", &name[..]].concat()).await {
            Ok(mut rows) => {
                rows.iter_mut().flatten().flatten().for_each(without_counter);
                sum.add(rows);
            }
            // A view whose table is gone: that it is so is part of what is.
            Err(error) => match error.number() {
                Some(code) => sum.add(vec![vec![Some(code.to_le_bytes().to_vec())]]),
                None => return Err(error.into()),
            },
        }
        let engine = part(2);
        if !engine.is_empty() && !engine.eq_ignore_ascii_case(b"InnoDB") {
            sum.add(session.rows([b"CHECKSUM TABLE ", &name[..]].concat()).await?);
        }
    }
    Ok(())
}

/// Cuts `AUTO_INCREMENT=n` out: a crash may leave the counter higher or lower than it was, and to
/// set it twice does no harm.
fn without_counter(definition: &mut Vec<u8>) {
    const WORD: &[u8] = b" AUTO_INCREMENT=";
    let Some(at) = definition.windows(WORD.len()).rposition(|window| window == WORD) else {
        return;
    };
    let digits = definition[at + WORD.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let end = at + WORD.len() + digits.count();
    definition.drain(at..end);
}

/// The contents of `tables`, by the server's own CHECKSUM TABLE.
///
/// # Errors
/// [`Error::Server`].
pub async fn of_contents(
    session: &mut Session,
    tables: &[TableName],
) -> Result<Fingerprint, Error> {
    let mut sum = Sum::new();
    for table in tables {
        let name = [quote_name(&table.database), quote_name(&table.table)].join(&b'.');
        sum.add(session.rows([b"CHECKSUM TABLE ", &name[..]].concat()).await?);
    }
    Ok(sum.finish())
}

struct Sum(Context);

impl Sum {
    fn new() -> Sum {
        Sum(Context::new(&SHA256))
    }

    /// Adds rows in an order of their own: the servers promise none.
    fn add(&mut self, mut rows: Vec<Row>) {
        rows.sort();
        self.0.update(&(rows.len() as u64).to_le_bytes());
        for value in rows.iter().flatten() {
            match value {
                None => self.0.update(&[0]),
                Some(bytes) => {
                    self.0.update(&[1]);
                    self.0.update(&(bytes.len() as u64).to_le_bytes());
                    self.0.update(bytes);
                }
            }
        }
    }

    fn finish(self) -> Fingerprint {
        self.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Option<&str>]]) -> Fingerprint {
        let mut sum = Sum::new();
        sum.add(
            rows.iter()
                .map(|row| row.iter().map(|v| v.map(|text| text.as_bytes().to_vec())).collect())
                .collect(),
        );
        sum.finish()
    }

    #[test]
    fn a_counter_is_no_part_of_a_definition() {
        let mut text = b"CREATE TABLE t (a int) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT".to_vec();
        without_counter(&mut text);
        assert_eq!(text, b"CREATE TABLE t (a int) ENGINE=InnoDB DEFAULT");
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        assert_eq!(sum(&[&[Some("a")], &[Some("b")]]), sum(&[&[Some("b")], &[Some("a")]]));
        assert_ne!(sum(&[&[Some("ab"), Some("c")]]), sum(&[&[Some("a"), Some("bc")]]));
        assert_ne!(sum(&[&[None]]), sum(&[&[Some("")]]));
        assert_eq!(sum(&[]).len(), 64);
    }
}
