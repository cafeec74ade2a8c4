//! Under backlog a replica's applier joins many transactions, and their statements, into one. What
//! depends on order must come out as at the source, also where the agent is killed in the middle.

use mysql_async::prelude::Queryable;

use crate::support::{
    Context, Family, Playground, Result, Signal, compare, on_both_families, random, sql,
};

on_both_families!(a_backlog_in_which_everything_depends_on_order);

const ROUNDS: u64 = 120;
const KILLS: usize = 3;

const SCHEMA: &[&str] = &[
    "CREATE DATABASE j",
    "CREATE TABLE j.hot (id INT PRIMARY KEY, n INT NOT NULL, u INT, UNIQUE KEY (u))",
    "CREATE TABLE j.word (w VARCHAR(20) PRIMARY KEY, n INT NOT NULL)",
    "CREATE TABLE j.parent (id INT PRIMARY KEY, n INT)",
    "CREATE TABLE j.child (id INT PRIMARY KEY, parent INT, n INT, CONSTRAINT f FOREIGN KEY (parent) \
     REFERENCES j.parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE j.nulled (id INT PRIMARY KEY, parent INT, CONSTRAINT g FOREIGN KEY (parent) \
     REFERENCES j.parent (id) ON DELETE SET NULL ON UPDATE CASCADE)",
    "CREATE TABLE j.keyless (a INT, b INT)",
    "CREATE TABLE j.two (id INT PRIMARY KEY, n INT)",
    "INSERT INTO j.hot VALUES (1, 0, 1), (2, 0, 2), (3, 0, 3)",
    "INSERT INTO j.keyless VALUES (1, 1), (1, 1), (2, 2)",
];

async fn a_backlog_in_which_everything_depends_on_order(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, SCHEMA).await?;
    compare::caught_up(&play).await?;
    play.signal("s2-agent", Signal::Kill).await?;
    let mut conn = sql::connect(&source).await?;
    for round in 0..ROUNDS {
        for statement in statements(round) {
            conn.query_drop(&statement).await.with_context(|| statement.clone())?;
        }
    }
    let mut random = random::Choices::new("joined");
    for _ in 0..KILLS {
        play.restart("s2-agent").await?;
        let pause = std::time::Duration::from_millis(random.pick(50..600));
        tokio::time::sleep(pause).await;
        play.signal("s2-agent", Signal::Kill).await?;
    }
    play.restart("s2-agent").await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// Hot rows, unique keys that change hands, keys equal but for their letters' case, cascades, rows
/// that come and go, equal rows without a key, a table that changes its definition.
fn statements(round: u64) -> Vec<String> {
    let id = round % 7;
    let word = if round.is_multiple_of(2) { "Wort" } else { "wORT" };
    let mut all = vec![
        "UPDATE j.hot SET n = n + 1 WHERE id = 1".to_owned(),
        "UPDATE j.hot SET u = NULL WHERE id = 2".to_owned(),
        "UPDATE j.hot SET u = 2, n = n + 1 WHERE id = 3".to_owned(),
        "UPDATE j.hot SET u = 3 WHERE id = 2".to_owned(),
        "BEGIN".to_owned(),
        "UPDATE j.hot SET u = NULL WHERE id = 2".to_owned(),
        "UPDATE j.hot SET u = 3 WHERE id = 3".to_owned(),
        "UPDATE j.hot SET u = 2 WHERE id = 2".to_owned(),
        "COMMIT".to_owned(),
        format!("REPLACE INTO j.word VALUES ('{word}', {round})"),
        format!("INSERT INTO j.parent VALUES ({id}, {round}) ON DUPLICATE KEY UPDATE n = {round}"),
        format!("INSERT INTO j.child VALUES ({round}, {id}, {round})"),
        format!("INSERT INTO j.nulled VALUES ({round}, {id})"),
        format!("UPDATE j.keyless SET b = {round} WHERE a = 1 LIMIT 1"),
        format!("INSERT INTO j.two (id, n) VALUES ({round}, {round})"),
    ];
    if round % 5 == 1 {
        all.push(format!("UPDATE j.parent SET id = {} WHERE id = {id}", 100 + round));
        all.push(format!("DELETE FROM j.parent WHERE id = {}", 100 + round));
    }
    if round % 7 == 3 {
        all.push("SET foreign_key_checks = 0, unique_checks = 0".to_owned());
        all.push(format!("INSERT INTO j.child VALUES ({}, 999, 0)", 10_000 + round));
        all.push(format!("DELETE FROM j.child WHERE id = {}", 10_000 + round));
        all.push("SET foreign_key_checks = 1, unique_checks = 1".to_owned());
    }
    if round % 100 == 50 {
        all.push(format!("ALTER TABLE j.two ADD COLUMN c{round} INT DEFAULT {round}"));
    }
    if round % 100 == 70 {
        all.push("TRUNCATE TABLE j.two".to_owned());
    }
    all
}
