//! What exists at a server: definitions, and the tables with their columns and keys.

use std::collections::{BTreeMap, HashSet};

use super::Error;
use super::column::quoted;
use super::key::{KeyColumn, KeyKind};
use super::message::{Catalog, Column, Object, ObjectKind, Table, TableName};
use crate::server::{Family, Session};

/// Not compared: each server's own.
const SYSTEM: &str = "('mysql','sys','information_schema','performance_schema','plimsoll')";

/// Definitions other than tables': kind, and a query for schema, name and definition. Left out are
/// whether an event runs (a replica's do not) and times of making.
const OTHERS: [(ObjectKind, &str); 6] = [
    (
        ObjectKind::Database,
        "SELECT SCHEMA_NAME,NULL,CONCAT(DEFAULT_CHARACTER_SET_NAME,' ',DEFAULT_COLLATION_NAME) \
         FROM information_schema.SCHEMATA WHERE SCHEMA_NAME",
    ),
    (
        ObjectKind::View,
        "SELECT TABLE_SCHEMA,TABLE_NAME,CONCAT_WS('\\n',VIEW_DEFINITION,CHECK_OPTION,DEFINER,\
         SECURITY_TYPE,CHARACTER_SET_CLIENT,COLLATION_CONNECTION) \
         FROM information_schema.VIEWS WHERE TABLE_SCHEMA",
    ),
    (
        ObjectKind::Routine,
        "SELECT ROUTINE_SCHEMA,CONCAT(ROUTINE_TYPE,' ',ROUTINE_NAME),CONCAT_WS('\\n',\
         IFNULL(DTD_IDENTIFIER,'-'),IFNULL(ROUTINE_DEFINITION,'-'),IS_DETERMINISTIC,\
         SQL_DATA_ACCESS,SECURITY_TYPE,SQL_MODE,DEFINER) \
         FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA",
    ),
    (
        ObjectKind::Routine,
        "SELECT SPECIFIC_SCHEMA,CONCAT('parameter ',ORDINAL_POSITION,' of ',ROUTINE_TYPE,' ',\
         SPECIFIC_NAME),CONCAT_WS('\\n',IFNULL(PARAMETER_MODE,'-'),IFNULL(PARAMETER_NAME,'-'),\
         DTD_IDENTIFIER) FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA",
    ),
    (
        ObjectKind::Trigger,
        "SELECT TRIGGER_SCHEMA,TRIGGER_NAME,CONCAT_WS('\\n',EVENT_OBJECT_TABLE,ACTION_TIMING,\
         EVENT_MANIPULATION,ACTION_ORDER,ACTION_STATEMENT,SQL_MODE,DEFINER) \
         FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA",
    ),
    (
        ObjectKind::Event,
        "SELECT EVENT_SCHEMA,EVENT_NAME,CONCAT_WS('\\n',EVENT_TYPE,IFNULL(EXECUTE_AT,'-'),\
         IFNULL(INTERVAL_VALUE,'-'),IFNULL(INTERVAL_FIELD,'-'),ON_COMPLETION,EVENT_DEFINITION,\
         SQL_MODE,DEFINER) FROM information_schema.EVENTS WHERE EVENT_SCHEMA",
    ),
];

/// A table as `information_schema.TABLES` has it.
struct Listed {
    name: TableName,
    sequence: bool,
    versioned: bool,
    engine: String,
    estimate: u64,
}

/// Reads everything, in the session's snapshot as far as the server gives definitions by it.
pub(super) async fn read(session: &mut Session) -> Result<Catalog, Error> {
    let mut objects = Vec::new();
    for (kind, query) in OTHERS {
        for row in texts(session, &format!("{query} NOT IN {SYSTEM}")).await? {
            let [schema, name, definition] = fields(row);
            let name = if name.is_empty() { schema } else { format!("{schema}.{name}") };
            objects.push(Object { kind, name, definition });
        }
    }
    let listed = listed(session).await?;
    let transactional: HashSet<String> =
        texts(session, "SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS='YES'")
            .await?
            .into_iter()
            .flatten()
            .collect();
    let mut columns = columns(session).await?;
    let mut keys = keys(session).await?;
    let mut tables = Vec::new();
    for listed in listed {
        let what = if listed.sequence { ObjectKind::Sequence } else { ObjectKind::Table };
        let definition = definition(session, &listed).await?;
        objects.push(Object { kind: what, name: listed.name.to_string(), definition });
        let typed = columns.remove(&listed.name).unwrap_or_default();
        let key = keys.remove(&listed.name).unwrap_or_default();
        let (key, primary) = chosen(&key, &typed);
        tables.push(Table {
            key,
            primary,
            columns: typed.into_iter().filter(|found| found.digested).map(|c| c.column).collect(),
            // A sequence's numbers are not part of any transaction.
            transactional: !listed.sequence && transactional.contains(&listed.engine),
            versioned: listed.versioned,
            estimate: listed.estimate,
            name: listed.name,
        });
    }
    Ok(Catalog { objects, tables })
}

async fn listed(session: &mut Session) -> Result<Vec<Listed>, Error> {
    let sql = format!(
        "SELECT TABLE_SCHEMA,TABLE_NAME,TABLE_TYPE,ENGINE,TABLE_ROWS FROM information_schema.TABLES \
         WHERE TABLE_TYPE IN ('BASE TABLE','SEQUENCE','SYSTEM VERSIONED') \
         AND TABLE_SCHEMA NOT IN {SYSTEM} ORDER BY BINARY TABLE_SCHEMA, BINARY TABLE_NAME"
    );
    let one = |row| {
        let [schema, name, kind, engine, rows] = fields(row);
        Listed {
            name: TableName { schema, name },
            sequence: kind == "SEQUENCE",
            versioned: kind == "SYSTEM VERSIONED",
            engine,
            estimate: rows.parse().unwrap_or(0),
        }
    };
    Ok(texts(session, &sql).await?.into_iter().map(one).collect())
}

async fn definition(session: &mut Session, listed: &Listed) -> Result<String, Error> {
    let name = &listed.name;
    let verb = if listed.sequence { "SEQUENCE" } else { "TABLE" };
    let sql = format!("SHOW CREATE {verb} {}.{}", quoted(&name.schema), quoted(&name.name));
    let found = session.row(sql).await;
    // Metadata locks are let go one by one, as for rows.
    session.execute("ROLLBACK TO SAVEPOINT plimsoll_verify").await?;
    let row = found.map_err(|error| Error::about(format!("table {name}"), error))?;
    let text = row.into_iter().nth(1).flatten().ok_or(Error::Answer("SHOW CREATE"))?;
    Ok(without_counter(&String::from_utf8_lossy(&text)))
}

/// A definition without `AUTO_INCREMENT=n` among the table's options: the counter of a replica stands
/// where the rows left it. [pure]
fn without_counter(definition: &str) -> String {
    let options = definition.rfind("\n)").unwrap_or(0);
    let (body, options) = definition.split_at(options);
    let Some((before, after)) = options.split_once(" AUTO_INCREMENT=") else {
        return definition.to_owned();
    };
    format!("{body}{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

struct Typed {
    column: Column,
    kind: Option<KeyKind>,
    digested: bool,
}

async fn columns(session: &mut Session) -> Result<BTreeMap<TableName, Vec<Typed>>, Error> {
    let family = session.family();
    let sql = format!(
        "SELECT TABLE_SCHEMA,TABLE_NAME,COLUMN_NAME,DATA_TYPE,CHARACTER_OCTET_LENGTH,\
         CHARACTER_SET_NAME,EXTRA FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA NOT IN {SYSTEM} ORDER BY TABLE_SCHEMA,TABLE_NAME,ORDINAL_POSITION"
    );
    let mut tables: BTreeMap<TableName, Vec<Typed>> = BTreeMap::new();
    for row in texts(session, &sql).await? {
        let [schema, name, column, data_type, octets, charset, extra] = fields(row);
        let data_type = data_type.to_ascii_lowercase();
        let kind = KeyKind::of(&data_type, Some(charset.as_str()).filter(|name| !name.is_empty()));
        // MariaDB's may be of functions that give something else each time; its value follows from
        // the definition and the other columns, which are compared.
        let digested = family == Family::Mysql || !extra.contains("VIRTUAL");
        let column = Column { name: column, data_type, octets: octets.parse().ok() };
        let typed = Typed { column, kind, digested };
        tables.entry(TableName { schema, name }).or_default().push(typed);
    }
    Ok(tables)
}

/// Unique indexes by name, each with its columns in order; `None` for a column that gives no chunks.
type Indexes = BTreeMap<String, Vec<Option<String>>>;

async fn keys(session: &mut Session) -> Result<BTreeMap<TableName, Indexes>, Error> {
    let sql = format!(
        "SELECT TABLE_SCHEMA,TABLE_NAME,INDEX_NAME,COLUMN_NAME,SUB_PART,NULLABLE \
         FROM information_schema.STATISTICS WHERE NON_UNIQUE=0 AND TABLE_SCHEMA NOT IN {SYSTEM} \
         ORDER BY TABLE_SCHEMA,TABLE_NAME,INDEX_NAME,SEQ_IN_INDEX"
    );
    let mut tables: BTreeMap<TableName, Indexes> = BTreeMap::new();
    for row in texts(session, &sql).await? {
        let [schema, name, index, column, part, nullable] = fields(row);
        let usable = part.is_empty() && nullable != "YES" && !column.is_empty();
        let indexes = tables.entry(TableName { schema, name }).or_default();
        indexes.entry(index).or_default().push(usable.then_some(column));
    }
    Ok(tables)
}

/// The primary key if it gives chunks, else the first unique key that does. [pure]
fn chosen(indexes: &Indexes, columns: &[Typed]) -> (Vec<KeyColumn>, bool) {
    let kind = |name: &String| {
        let found = columns.iter().find(|typed| typed.column.name == *name && typed.digested)?;
        Some(KeyColumn { name: name.clone(), kind: found.kind.clone()? })
    };
    let whole = |index: &Vec<Option<String>>| -> Option<Vec<KeyColumn>> {
        index.iter().map(|column| kind(column.as_ref()?)).collect()
    };
    if let Some(primary) = indexes.get("PRIMARY").and_then(whole) {
        return (primary, true);
    }
    (indexes.values().find_map(whole).unwrap_or_default(), false)
}

async fn texts(session: &mut Session, sql: &str) -> Result<Vec<Vec<String>>, Error> {
    let found = session.rows(sql).await.map_err(|error| Error::about("the catalog", error))?;
    let text =
        |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    Ok(found.into_iter().map(|row| row.into_iter().map(text).collect()).collect())
}

/// The first fields of a row; NULL and missing ones are empty.
fn fields<const N: usize>(row: Vec<String>) -> [String; N] {
    let mut values = row.into_iter();
    std::array::from_fn(|_| values.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_no_difference_and_everything_else_is() {
        let with = "CREATE TABLE `t` (\n  `c` varchar(9) DEFAULT ' AUTO_INCREMENT=7'\n) \
                    ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4";
        let without = "CREATE TABLE `t` (\n  `c` varchar(9) DEFAULT ' AUTO_INCREMENT=7'\n) \
                       ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";
        assert_eq!(without_counter(with), without);
        assert_eq!(without_counter(without), without);
    }

    #[test]
    fn a_key_gives_chunks_only_if_each_of_its_columns_does() {
        let typed = |name: &str, data_type: &str| Typed {
            column: Column { name: name.into(), data_type: data_type.into(), octets: None },
            kind: KeyKind::of(data_type, Some("utf8mb4")),
            digested: true,
        };
        let columns = [typed("f", "float"), typed("a", "int"), typed("b", "varchar")];
        let index = |names: &[&str]| names.iter().map(|name| Some((*name).to_owned())).collect();
        let mut indexes = Indexes::from([("PRIMARY".to_owned(), index(&["f"]))]);
        assert_eq!(chosen(&indexes, &columns), (vec![], false));
        indexes.insert("u".to_owned(), index(&["a", "b"]));
        let (key, primary) = chosen(&indexes, &columns);
        assert_eq!((key.len(), primary), (2, false));
        indexes.insert("PRIMARY".to_owned(), index(&["a"]));
        assert!(chosen(&indexes, &columns).1);
        indexes.insert("PRIMARY".to_owned(), vec![None]);
        assert!(!chosen(&indexes, &columns).1, "a part of a column orders nothing");
    }
}
