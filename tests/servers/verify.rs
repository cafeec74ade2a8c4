//! `plimsoll verify`: equal is proven under writes, every kind of difference is found and named, and
//! nobody is left held.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::path;
use crate::support::playground::Server;
use crate::support::{
    Context, Family, Playground, Result, bail, compare, ensure, http, on_both_families, sql,
    verify, wait,
};

on_both_families!(equal_under_writes, differences_are_named, nobody_stays_held);

const SOON: Duration = Duration::from_secs(30);

/// One more while a snapshot is open.
const AGENTS_SESSIONS: &str =
    "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'plimsoll'";

/// Tables that need care, beside those of the mixed workload.
const ODD: &[&str] = &[
    "CREATE DATABASE odd",
    "CREATE TABLE odd.floats (f FLOAT PRIMARY KEY, d DOUBLE) ENGINE=InnoDB",
    "INSERT INTO odd.floats VALUES (0.1, -0e0), (16777217, 0.1e0+0.2e0), (-1e-45, 1.7976931348623157e308)",
    "CREATE TABLE odd.words (w VARCHAR(20) CHARACTER SET latin1, n DECIMAL(9,3), at DATETIME(3), \
     b VARBINARY(9), v INT, PRIMARY KEY (w, n, at, b)) ENGINE=InnoDB",
    "INSERT INTO odd.words VALUES (X'E9', -1.5, '2024-02-29 12:00:00.001', X'00FF', 1), \
     ('it''s\\\\', 0, '1000-01-01', '', NULL), ('', 1, '9999-12-31', 'a', 2)",
    "CREATE TABLE odd.plain (id INT PRIMARY KEY, v VARCHAR(9)) ENGINE=MyISAM",
    "INSERT INTO odd.plain VALUES (1, 'x'), (2, NULL)",
    "CREATE TABLE odd.empty_one (id INT PRIMARY KEY)",
    "CREATE PROCEDURE odd.nothing(IN a INT) SELECT a",
    "CREATE EVENT odd.tick ON SCHEDULE EVERY 1 YEAR DO SELECT 1",
];

const ODD_MARIADB: &[&str] = &[
    "CREATE SEQUENCE odd.numbers",
    "SELECT NEXTVAL(odd.numbers)",
    "CREATE TABLE odd.kept (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
    "INSERT INTO odd.kept VALUES (1, 1), (2, 2)",
    "UPDATE odd.kept SET v = 3",
    "CREATE TABLE odd.ids (u UUID PRIMARY KEY, a INET6, h INT INVISIBLE DEFAULT 5, \
     who VARCHAR(99) AS (CURRENT_USER()) VIRTUAL)",
    "INSERT INTO odd.ids (u, a) VALUES (UUID(), '::1'), (UUID(), '1:2::')",
];

const ODD_MYSQL: &[&str] = &[
    "CREATE TABLE odd.ids (id INT PRIMARY KEY, v VECTOR(3), h INT INVISIBLE DEFAULT 5, \
     twice INT AS (id * 2) VIRTUAL, KEY ((id + 1)))",
    "INSERT INTO odd.ids (id, v) VALUES (1, TO_VECTOR('[1,2,3]')), (2, NULL)",
];

/// Writes until told to stop: each transaction touches two tables, so that a snapshot that is not of
/// one moment shows.
async fn keep_writing(source: Server, writer: u32, stop: CancellationToken) -> Result<u64> {
    let mut conn = sql::connect(&source).await?;
    let mut done = 0;
    while !stop.is_cancelled() {
        let id = (u64::from(writer) * 37 + done * 13) % 500;
        for statement in [
            "BEGIN".to_owned(),
            format!("UPDATE busy.a SET v = v + 1 WHERE id = {id}"),
            format!("INSERT INTO busy.b (a, word) VALUES ({id}, 'w{writer}')"),
            "COMMIT".to_owned(),
            format!("DELETE FROM busy.keyless WHERE n = {id} LIMIT 1"),
            format!("INSERT INTO busy.keyless VALUES ({id}, 'k{writer}')"),
        ] {
            conn.query_drop(statement).await?;
        }
        done += 1;
    }
    conn.disconnect().await?;
    Ok(done)
}

/// The same as two-phase transactions: prepared, they are in the log and in no snapshot.
async fn keep_writing_xa(source: Server, writer: u32, stop: CancellationToken) -> Result<u64> {
    let mut conn = sql::connect(&source).await?;
    let mut done = 0;
    while !stop.is_cancelled() {
        let id = (u64::from(writer) * 37 + done * 13) % 500;
        let xid = format!("'verify-{writer}-{done}'");
        // Some are rolled back behind their XA PREPARE: a replica must not show them either.
        let end = if done % 5 == 4 { "ROLLBACK" } else { "COMMIT" };
        for statement in [
            format!("XA START {xid}"),
            format!("UPDATE busy.a SET v = v + 1 WHERE id = {id}"),
            format!("INSERT INTO busy.b (a, word) VALUES ({id}, 'x{writer}')"),
            format!("XA END {xid}"),
            format!("XA PREPARE {xid}"),
            format!("XA {end} {xid}"),
        ] {
            conn.query_drop(statement).await?;
        }
        done += 1;
    }
    conn.disconnect().await?;
    Ok(done)
}

async fn equal_under_writes(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    path::mix(&source).await?;
    sql::run(&source, ODD).await?;
    let more = if family == Family::Mariadb { ODD_MARIADB } else { ODD_MYSQL };
    sql::run(&source, more).await?;
    let rows: Vec<String> = (0..500).map(|id| format!("({id}, 0)")).collect();
    sql::run(
        &source,
        &[
            "CREATE DATABASE busy",
            "CREATE TABLE busy.a (id INT PRIMARY KEY, v INT)",
            "CREATE TABLE busy.b (id INT AUTO_INCREMENT PRIMARY KEY, a INT, word VARCHAR(9))",
            "CREATE TABLE busy.keyless (n INT, word VARCHAR(9))",
            &format!("INSERT INTO busy.a VALUES {}", rows.join(",")),
        ],
    )
    .await?;
    let stop = CancellationToken::new();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6 {
        writers.spawn(keep_writing(source.clone(), writer, stop.clone()));
    }
    for writer in 6..8 {
        writers.spawn(keep_writing_xa(source.clone(), writer, stop.clone()));
    }
    // All of it once, in small chunks; then again and again what is written to.
    let first = verify::verify(&play, &["--chunk", "7"]).await?;
    ensure!(first.code == Some(0) && first.report["outcome"] == "equal", "{first:#?}");
    ensure!(first.table("odd.plain")["verdict"] == "equal_loosely", "{first:#?}");
    ensure!(first.table("shop.kinds")["rows"] == 4, "{first:#?}");
    ensure!(first.table("odd.words")["chunks"] == 1, "{first:#?}");
    let mut records = vec![first.report["records"][0].clone()];
    for _ in 0..4 {
        let tables = ["--table", "busy.a", "--table", "busy.b", "--table", "busy.keyless"];
        let again = verify::verify(&play, &tables).await?;
        ensure!(again.code == Some(0) && again.report["outcome"] == "equal", "{again:#?}");
        records.push(again.report["records"][0].clone());
    }
    stop.cancel();
    let mut written = 0;
    while let Some(writer) = writers.join_next().await {
        written += writer??;
    }
    let moved = records.windows(2).all(|pair| pair[0].as_u64() < pair[1].as_u64());
    ensure!(moved && written > 50, "{written} written, at {records:?}: nothing was proven");
    println!("{written} rounds were written meanwhile; snapshots at {records:?}");
    compare::all_equal(&play).await?;
    play.end().await
}

/// A table, what is done to it at the replica, and what verify must say.
struct Planted {
    table: &'static str,
    columns: &'static str,
    row: &'static str,
    there: &'static str,
    says: &'static str,
}

/// Row 77 of 1000 differs, in each in another way.
const PLANTED: &[Planted] = &[
    planted("value", "v INT", "1", "UPDATE d.value SET v = 2 WHERE id = 77", "row 77 differs in v"),
    planted("gone", "v INT", "1", "DELETE FROM d.gone WHERE id = 77", "row 77 is missing"),
    planted(
        "more",
        "v INT",
        "1",
        "INSERT INTO d.more VALUES (2000, 1)",
        "row 2000 is at the replica",
    ),
    planted(
        "letter",
        "v VARCHAR(300)",
        "'abc'",
        "UPDATE d.letter SET v = 'aBc' WHERE id = 77",
        "row 77 differs in v",
    ),
    planted(
        "blank",
        "v VARCHAR(9)",
        "'abc'",
        "UPDATE d.blank SET v = 'abc ' WHERE id = 77",
        "row 77 differs in v",
    ),
    planted(
        "nothing",
        "v VARCHAR(9)",
        "NULL",
        "UPDATE d.nothing SET v = '' WHERE id = 77",
        "row 77 differs in v",
    ),
    planted(
        "real_one",
        "v FLOAT",
        "0.1",
        "UPDATE d.real_one SET v = 0.10000000894069672 WHERE id = 77",
        "row 77 differs in v",
    ),
    planted(
        "twofold",
        "v DOUBLE",
        "0.3e0",
        "UPDATE d.twofold SET v = 0.1e0 + 0.2e0 WHERE id = 77",
        "row 77 differs in v",
    ),
    planted(
        "doc",
        "v JSON",
        "'{\"a\": 1}'",
        "UPDATE d.doc SET v = '{\"b\": 1}' WHERE id = 77",
        "row 77 differs in v",
    ),
    planted(
        "hidden",
        "w INT, v INT INVISIBLE DEFAULT 1",
        "1",
        "UPDATE d.hidden SET v = 2 WHERE id = 77",
        "row 77 differs in v",
    ),
];

const fn planted(
    table: &'static str,
    columns: &'static str,
    row: &'static str,
    there: &'static str,
    says: &'static str,
) -> Planted {
    Planted { table, columns, row, there, says }
}

async fn differences_are_named(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    plant_at_source(&source).await?;
    verify::equal(&play).await?;
    let mut there = vec![
        "SET SESSION sql_log_bin = 0",
        // The same rows, one of them twice instead of another.
        "DELETE FROM d.keyless WHERE n = 1 LIMIT 1",
        "INSERT INTO d.keyless VALUES (2)",
        "UPDATE d.names SET word = 'ANNA' WHERE word = 'anna'",
        "DROP TABLE d.lost",
        "ALTER TABLE d.wider ADD COLUMN more INT",
        "CREATE VIEW d.seen AS SELECT 1 AS one",
        "DROP TRIGGER d.pulled",
    ];
    there.extend(PLANTED.iter().map(|planted| planted.there));
    sql::run(&play.server("s2")?, &there).await?;
    let found = verify::verify(&play, &["--replica", "s2", "--chunk", "300"]).await?;
    ensure!(found.code == Some(1) && found.report["outcome"] == "different", "{found:#?}");
    for planted in PLANTED {
        let table = found.table(&format!("d.{}", planted.table));
        let rows = table["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named =
            rows.len() == 1 && rows[0].as_str().is_some_and(|row| row.contains(planted.says));
        ensure!(table["verdict"] == "different" && named, "{}: {table:#}", planted.table);
        ensure!(table["range"].as_str().is_some_and(|range| range.starts_with("keys ")), "{table}");
    }
    let keyless = found.table("d.keyless");
    ensure!(keyless["verdict"] == "different" && keyless["range"] == "whole table", "{keyless:#}");
    let names = found.table("d.names")["rows"].to_string();
    ensure!(names.contains("'anna' is missing") && names.contains("'ANNA' is at"), "{names}");
    ensure!(found.table("d.same")["verdict"] == "equal", "{found:#?}");
    defined(&found.report)?;
    // The other replica is what it was, and what is said for people says the same.
    let other = verify::verify(&play, &["--replica", "s3"]).await?;
    ensure!(other.code == Some(0), "{other:#?}");
    let output = verify::command(&play, &["--table", "d.value"])?.output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(1) && text.contains("DIFFERENT s2: table d.value"),
        "{text}"
    );
    ensure!(text.contains("row 77 differs in v") && !text.contains("DIFFERENT s3"), "{text}");
    refusals(&play).await?;
    play.end().await
}

async fn plant_at_source(source: &Server) -> Result<()> {
    let mut statements = vec![
        "CREATE DATABASE d".to_owned(),
        "CREATE TABLE d.same (id INT PRIMARY KEY)".to_owned(),
        "INSERT INTO d.same VALUES (1), (2)".to_owned(),
        "CREATE TABLE d.keyless (n INT)".to_owned(),
        "INSERT INTO d.keyless VALUES (1), (1), (2)".to_owned(),
        "CREATE TABLE d.names (word VARCHAR(20) PRIMARY KEY)".to_owned(),
        "INSERT INTO d.names VALUES ('anna'), ('berta')".to_owned(),
        "CREATE TABLE d.lost (id INT PRIMARY KEY)".to_owned(),
        "CREATE TABLE d.wider (id INT PRIMARY KEY)".to_owned(),
        "CREATE TRIGGER d.pulled BEFORE INSERT ON d.same FOR EACH ROW SET NEW.id = NEW.id"
            .to_owned(),
    ];
    for Planted { table, columns, row, .. } in PLANTED {
        statements.push(format!("CREATE TABLE d.{table} (id INT PRIMARY KEY, {columns})"));
        let rows: Vec<String> = (1..=1000).map(|id| format!("({id}, {row})")).collect();
        statements.push(format!("INSERT INTO d.{table} VALUES {}", rows.join(",")));
    }
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    sql::run(source, &statements).await
}

fn defined(report: &Value) -> Result<()> {
    let found: Vec<String> = report["definitions"]
        .as_array()
        .context("no definitions")?
        .iter()
        .map(|one| {
            format!("{} {} {}", one["kind"], one["name"], one["difference"]).replace('"', "")
        })
        .collect();
    let expected = [
        "table d.lost missing",
        "table d.wider defined",
        "view d.seen extra",
        "trigger d.pulled missing",
    ];
    ensure!(found == expected, "{found:?}");
    Ok(())
}

async fn refusals(play: &Playground) -> Result<()> {
    for (arguments, code, says) in [
        (&["--table", "d.nowhere"][..], 1, "there is no table d.nowhere"),
        (&["--table", "nowhere"], 2, "DATABASE.TABLE"),
        (&["--replica", "s9"], 1, "no member is called s9"),
        (&["--replica", "s1"], 1, "s1 is the source"),
        (&["--chunk", "0"], 2, "--chunk"),
    ] {
        let found = verify::verify(play, arguments).await?;
        let told = found.code == Some(code) && found.said.contains(says);
        ensure!(told && found.report.is_null(), "{arguments:?}: {found:#?}");
    }
    Ok(())
}

async fn nobody_stays_held(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let (source, replica) = (play.source()?, play.server("s2")?);
    let rows: Vec<String> = (0..2000).map(|id| format!("({id}, 0)")).collect();
    let insert = format!("INSERT INTO held.t VALUES {}", rows.join(","));
    let make = "CREATE TABLE held.t (id INT PRIMARY KEY, v INT)";
    sql::run(&source, &["CREATE DATABASE held", make, &insert]).await?;
    compare::caught_up(&play).await?;

    // Killed in the middle of its reading: the appliers go on at once.
    let before = sql::number(&replica, AGENTS_SESSIONS).await?;
    let mut killed = verify::command(&play, &["--chunk", "10", "--pause", "50"])?.spawn()?;
    wait::until("a verification reads", SOON, async || {
        let now = sql::number(&replica, AGENTS_SESSIONS).await?;
        ensure!(now > before, "{now} sessions of the agent, as before");
        Ok(())
    })
    .await?;
    let (status, text) = ask(&replica, "other", &json!({ "do": "hold" })).await?;
    ensure!(status == 503 && text.contains("another verification"), "{status} {text}");
    killed.kill().await?;
    sql::run(&source, &["UPDATE held.t SET v = 1 WHERE id = 1"]).await?;
    seen(&replica, 1, 1).await?;

    // A hold that nobody renews ends with its lease.
    wait::until("the killed one's lease is over", SOON, async || {
        let (status, text) = ask(&replica, "mine", &json!({ "do": "hold" })).await?;
        ensure!(status == 200, "{status} {text}");
        Ok(())
    })
    .await?;
    sql::run(&source, &["UPDATE held.t SET v = 2 WHERE id = 2"]).await?;
    let token = http::token(&source.agent.http).await?;
    let other = play.server("s3")?;
    http::applied(&other.agent.http, &token, SOON).await?;
    ensure!(value(&replica, 2).await? == 0, "a held applier has applied");
    let refused = verify::verify(&play, &[]).await?;
    ensure!(refused.code == Some(1) && refused.report["outcome"] == "unproven", "{refused:#?}");
    ensure!(
        refused.report["unproven"].to_string().contains("another verification"),
        "{refused:#?}"
    );
    seen(&replica, 2, 2).await?;
    let (status, text) = ask(&replica, "mine", &json!({ "do": "renew" })).await?;
    ensure!(status == 503 && text.contains("lease"), "{status} {text}");
    verify::equal(&play).await?;
    stopped_is_not_equal(&play).await?;
    play.end().await
}

/// A replica whose agent is away is not proven, and the other one is.
async fn stopped_is_not_equal(play: &Playground) -> Result<()> {
    play.signal("s3-agent", crate::support::Signal::Kill).await?;
    let found = verify::verify(play, &[]).await?;
    ensure!(found.code == Some(1) && found.report["outcome"] == "unproven", "{found:#?}");
    ensure!(found.table("held.t")["verdict"] == "equal", "{found:#?}");
    ensure!(found.report["unproven"].to_string().contains("s3"), "{found:#?}");
    play.restart("s3-agent").await?;
    wait::until("the replica is verified again", SOON, async || verify::equal(play).await.map(drop))
        .await
}

async fn seen(replica: &Server, id: u32, expected: u64) -> Result<()> {
    wait::until("the replica applies", SOON, async || {
        let found = value(replica, id).await?;
        ensure!(found == expected, "row {id} is {found}");
        Ok(())
    })
    .await
}

async fn value(replica: &Server, id: u32) -> Result<u64> {
    sql::number(replica, &format!("SELECT v FROM held.t WHERE id = {id}")).await
}

async fn ask(server: &Server, id: &str, ask: &Value) -> Result<(u16, String)> {
    let Value::Object(mut body) = ask.clone() else { bail!("no object") };
    body.insert("id".to_owned(), json!(id));
    http::post(&server.agent.http, "/v1/verify", Value::Object(body)).await
}
