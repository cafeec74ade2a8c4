//! Tables as the changes say, and the same from the server, both as texts.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mysql_async::prelude::Queryable;
use serde_json::{Map, Value};

use crate::support::playground::Server;
use crate::support::{Context, Result, bail, ensure, schema, sql};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../schemas/change.schema.json")).expect("JSON")
});

type Row = Map<String, Value>;

/// Rows by `database.table`.
#[derive(Debug, Default)]
pub struct Model {
    tables: HashMap<String, Vec<Row>>,
    pub created: usize,
}

impl Model {
    /// Takes one line of a feed.
    pub fn take(&mut self, line: &str) -> Result<()> {
        let line: Value = serde_json::from_str(line)?;
        if line.get("kind").is_some() {
            return Ok(());
        }
        schema::check(&SCHEMA, &line)?;
        ensure!(line["metadata"].is_null(), "not all metadata");
        if line["op"] == "ddl" {
            let statement = line["statement"].as_str().context("a statement")?;
            self.created += usize::from(statement.starts_with("CREATE TABLE"));
            return Ok(());
        }
        let name = |part: &str| line["table"][part].as_str().unwrap_or_default().to_owned();
        let rows = self.tables.entry(format!("{}.{}", name("database"), name("name"))).or_default();
        let image = |which: &str| line[which].as_object().cloned();
        let known = |rows: &[Row], before: &Row| rows.iter().position(|row| row == before);
        match (line["op"].as_str(), image("before"), image("after")) {
            (Some("insert"), None, Some(after)) => rows.push(after),
            (Some("update"), Some(before), Some(after)) => {
                let at = known(rows, &before).context("no such row before")?;
                rows[at] = after;
            }
            (Some("delete"), Some(before), None) => {
                let at = known(rows, &before).context("no such row before")?;
                rows.remove(at);
            }
            other => bail!("{other:?}"),
        }
        Ok(())
    }

    /// Compares all tables of a database with the server's; how many values they have.
    pub async fn compare(&self, server: &Server, database: &str) -> Result<usize> {
        let mut conn = sql::connect(server).await?;
        conn.query_drop("SET time_zone = '+00:00', sql_mode = ''").await?;
        let tables: Vec<String> = conn
            .query(format!(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = '{database}' \
                 AND table_type = 'BASE TABLE'"
            ))
            .await?;
        let mut values = 0;
        for table in tables {
            let columns: Vec<(String, String, Option<String>)> = conn
                .query(format!(
                    "SELECT column_name, data_type, character_set_name FROM \
                     information_schema.columns WHERE table_schema = '{database}' AND \
                     table_name = '{table}' ORDER BY ordinal_position"
                ))
                .await?;
            let shown: Vec<String> = columns.iter().map(expression).collect();
            let query = format!("SELECT {} FROM {database}.{table}", shown.join(", "));
            let found: Vec<mysql_async::Row> = conn.query(&query).await.context(query)?;
            let mut theirs = Vec::new();
            for row in found {
                let mut texts = BTreeMap::new();
                for ((name, kind, _), value) in columns.iter().zip(row.unwrap()) {
                    texts.insert(name.clone(), of_server(kind, value)?);
                }
                theirs.push(texts);
            }
            let mut ours = Vec::new();
            let name = format!("{database}.{table}");
            for row in self.tables.get(&name).map(Vec::as_slice).unwrap_or_default() {
                let mut texts = BTreeMap::new();
                for (name, kind, charset) in &columns {
                    let value = row.get(name).with_context(|| format!("no column {name}"))?;
                    texts.insert(name.clone(), of_line(kind, charset.as_deref(), value)?);
                }
                ours.push(texts);
            }
            ours.sort();
            theirs.sort();
            ensure!(ours.len() == theirs.len(), "{name}: {} rows, {}", ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                for (column, ours) in ours {
                    let theirs = &theirs[column];
                    let head = |text: &Option<String>| {
                        text.as_ref().map(|text| text.chars().take(300).collect::<String>())
                    };
                    ensure!(
                        ours == theirs,
                        "{name}.{column}: {:?}, the server has {:?}",
                        head(ours),
                        head(theirs)
                    );
                    values += 1;
                }
            }
        }
        conn.disconnect().await?;
        Ok(values)
    }
}

/// Character sets that the feed converts.
fn converted(charset: &str) -> bool {
    matches!(charset, "latin1" | "ascii" | "ucs2" | "utf16" | "utf16le" | "utf32")
        || charset.starts_with("utf8")
}

/// What to ask the server for.
fn expression((name, kind, charset): &(String, String, Option<String>)) -> String {
    match (kind.as_str(), charset.as_deref()) {
        ("float", _) => format!("CAST({name} AS DOUBLE)"),
        ("datetime", _) => format!("REPLACE(CAST({name} AS CHAR), ' ', 'T')"),
        ("timestamp", _) => format!("CONCAT(REPLACE(CAST({name} AS CHAR), ' ', 'T'), 'Z')"),
        ("bit", _) => format!("BIN({name} + 0)"),
        ("geometry" | "point" | "polygon" | "multipoint" | "geomcollection", _)
        | ("geometrycollection", _) => {
            format!("CONCAT(ST_SRID({name}), ' ', HEX(ST_AsBinary({name})))")
        }
        ("json", _) => format!("CAST({name} AS CHAR)"),
        ("uuid" | "inet4" | "inet6", _) => format!("HEX(CAST({name} AS BINARY))"),
        (_, Some(charset)) if !converted(charset) => format!("CAST({name} AS BINARY)"),
        (_, Some(_)) => format!("CONVERT({name} USING utf8mb4)"),
        _ => name.clone(),
    }
}

fn of_server(kind: &str, value: mysql_async::Value) -> Result<Option<String>> {
    let bytes = match value {
        mysql_async::Value::NULL => return Ok(None),
        mysql_async::Value::Bytes(bytes) => bytes,
        other => bail!("{other:?}"),
    };
    let text = || String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some(match kind {
        "float" => format!("{:?}", text().parse::<f64>()? as f32),
        "double" => format!("{:?}", text().parse::<f64>()?),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" => {
            hex(&bytes)
        }
        _ => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => hex(error.as_bytes()),
        },
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The same text from a line, which must have the shape that the page promises.
fn of_line(kind: &str, charset: Option<&str>, value: &Value) -> Result<Option<String>> {
    if value.is_null() {
        return Ok(None);
    }
    let decoded = |name: &str| -> Result<Vec<u8>> {
        let text = value[name].as_str().with_context(|| format!("{value}"))?;
        Ok(STANDARD.decode(text)?)
    };
    let number = || value.as_f64().with_context(|| format!("{kind} {value}"));
    let text = || value.as_str().map(str::to_owned).with_context(|| format!("{kind} {value}"));
    Ok(Some(match kind {
        "tinyint" | "smallint" | "mediumint" | "int" => {
            value.as_i64().with_context(|| format!("{kind} {value}"))?.to_string()
        }
        "year" => format!("{:04}", value.as_i64().with_context(|| format!("{kind} {value}"))?),
        "float" => format!("{:?}", value.to_string().parse::<f32>()?),
        "double" => format!("{:?}", number()?),
        "bit" => {
            let digits = text()?;
            let short = digits.trim_start_matches('0');
            if short.is_empty() { "0".to_owned() } else { short.to_owned() }
        }
        "geometry" | "point" | "polygon" | "multipoint" | "geomcollection"
        | "geometrycollection" => format!("{} {}", value["srid"], hex(&decoded("wkb")?)),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "uuid"
        | "inet4" | "inet6" => hex(&decoded("base64")?),
        "vector" => {
            let numbers = value.as_array().with_context(|| format!("{value}"))?;
            let mut bytes = Vec::new();
            for number in numbers {
                bytes.extend_from_slice(&number.to_string().parse::<f32>()?.to_le_bytes());
            }
            hex(&bytes)
        }
        _ => match charset.filter(|charset| !converted(charset)) {
            Some(charset) => {
                ensure!(value["charset"] == charset, "{value}");
                let bytes = decoded("base64")?;
                String::from_utf8(bytes).unwrap_or_else(|error| hex(error.as_bytes()))
            }
            None => text()?,
        },
    }))
}
