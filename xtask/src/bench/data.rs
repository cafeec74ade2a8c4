//! A binlog of varied transactions, the same ones each time: short and long, narrow and wide, numbers,
//! words, JSON and bytes without any pattern. Nothing in it is made for one compressor.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use super::native;
use crate::cluster::{Cluster, Family, Server};

/// The schema it fills.
pub const SCHEMA: &str = "varied";
const SESSIONS: u64 = 8;
/// Rows of `narrow` with which each session begins.
const NARROW: u64 = 2_000;
/// Powers of two of the words that the texts are made of: each doubling of a word's rank is as likely as
/// any other (Zipf's law), so a hundred words make up half of a text, as in every language.
const WORD_OCTAVES: u64 = 12;

const TABLES: [&str; 3] = [
    // sysbench's own.
    "CREATE TABLE varied.narrow (id BIGINT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, \
     pad CHAR(60) NOT NULL, KEY (k))",
    "CREATE TABLE varied.wide (id BIGINT PRIMARY KEY, a1 INT, a2 INT, a3 BIGINT, a4 SMALLINT, \
     a5 TINYINT, p1 DECIMAL(12,2), p2 DECIMAL(12,2), p3 DECIMAL(20,6), f1 DOUBLE, f2 FLOAT, \
     t1 DATETIME(6), t2 DATETIME, t3 DATE, t4 TIMESTAMP NULL, e1 ENUM('new','paid','sent','done'), \
     s1 SET('a','b','c','d'), v1 VARCHAR(40), v2 VARCHAR(40), v3 VARCHAR(80), v4 VARCHAR(200), \
     v5 VARCHAR(64) CHARACTER SET latin1, b1 BIT(12), u1 BINARY(16), n1 INT, n2 VARCHAR(100), \
     n3 DATETIME)",
    "CREATE TABLE varied.documents (id BIGINT PRIMARY KEY, title VARCHAR(200), body MEDIUMTEXT, \
     meta JSON, attachment VARBINARY(4000))",
];

/// Fills the server's binlog with about this many bytes; how many transactions that took.
///
/// # Errors
/// The server refuses something.
pub async fn fill(family: Family, server: &Server, bytes: u64) -> Result<u64> {
    native::flush_commits(server, false).await?;
    Cluster::run(server, &format!("CREATE DATABASE {SCHEMA}")).await?;
    for table in TABLES {
        Cluster::run(server, table).await?;
    }
    let (enough, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut sessions = JoinSet::new();
    for number in 0..SESSIONS {
        let (server, enough, made) = (server.clone(), Arc::clone(&enough), Arc::clone(&made));
        sessions
            .spawn(async move { Session::new(&server, number).await?.work(&enough, &made).await });
    }
    while native::binlog_end(family, server).await?.1 < bytes && sessions.len() == SESSIONS as usize
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(ended) = sessions.try_join_next() {
            ended.context("a session panicked")??;
        }
    }
    enough.store(true, Ordering::Relaxed);
    while let Some(session) = sessions.join_next().await {
        session.context("a session panicked")??;
    }
    native::flush_commits(server, true).await?;
    Ok(made.load(Ordering::Relaxed))
}

/// One client, with keys of its own.
struct Session {
    conn: Conn,
    random: Random,
    /// The next key of each table; keys of the sessions interleave.
    narrow: u64,
    wide: u64,
    documents: u64,
    number: u64,
}

impl Session {
    async fn new(server: &Server, number: u64) -> Result<Session> {
        let mut conn = Cluster::connect(server).await?;
        // Every moment exists there.
        conn.query_drop("SET time_zone = '+00:00'").await?;
        let random = Random(number + 1);
        Ok(Session { conn, random, narrow: 0, wide: 0, documents: 0, number })
    }

    async fn work(mut self, enough: &AtomicBool, made: &AtomicU64) -> Result<()> {
        while self.narrow < NARROW {
            let statement = self.narrow_rows(200);
            self.transaction(&[statement]).await?;
        }
        while !enough.load(Ordering::Relaxed) {
            let statements = self.draw();
            self.transaction(&statements).await?;
            made.fetch_add(1, Ordering::Relaxed);
        }
        Ok(self.conn.disconnect().await?)
    }

    async fn transaction(&mut self, statements: &[String]) -> Result<()> {
        let several = statements.len() > 1;
        if several {
            self.conn.query_drop("BEGIN").await?;
        }
        for statement in statements {
            let done = self.conn.query_drop(statement).await;
            done.with_context(|| statement.chars().take(200).collect::<String>())?;
        }
        if several {
            self.conn.query_drop("COMMIT").await?;
        }
        Ok(())
    }

    /// The next transaction.
    fn draw(&mut self) -> Vec<String> {
        match self.random.below(100) {
            0..45 => vec![self.narrow_update("c")],
            45..65 => {
                let mut all = vec![self.narrow_update("c"), self.narrow_update("pad")];
                all.push(self.narrow_rows(1));
                all.push(self.wide_rows(1));
                all
            }
            65..80 => vec![self.wide_rows(5)],
            80..92 => {
                let rows = 1 + self.random.below(3);
                vec![self.document_rows(rows)]
            }
            92..98 => vec![self.document_update()],
            _ => vec![self.narrow_rows(100)],
        }
    }

    fn key(&self, row: u64) -> u64 {
        row * SESSIONS + self.number + 1
    }

    fn narrow_update(&mut self, column: &str) -> String {
        let row = self.random.below(self.narrow);
        let id = self.key(row);
        let digits = self.random.digits(if column == "c" { 10 } else { 5 });
        format!("UPDATE varied.narrow SET {column} = '{digits}', k = k + 1 WHERE id = {id}")
    }

    fn narrow_rows(&mut self, rows: u64) -> String {
        let mut values = Vec::new();
        for _ in 0..rows {
            let id = self.key(self.narrow);
            self.narrow += 1;
            let (k, c) = (self.random.below(100_000), self.random.digits(10));
            let pad = self.random.digits(5);
            values.push(format!("({id}, {k}, '{c}', '{pad}')"));
        }
        format!("INSERT INTO varied.narrow VALUES {}", values.join(","))
    }

    fn wide_rows(&mut self, rows: u64) -> String {
        let mut values = Vec::new();
        for _ in 0..rows {
            let id = self.key(self.wide);
            self.wide += 1;
            values.push(format!("({id}, {})", self.random.wide()));
        }
        format!("INSERT INTO varied.wide VALUES {}", values.join(","))
    }

    fn document_rows(&mut self, rows: u64) -> String {
        let mut values = Vec::new();
        for _ in 0..rows {
            let id = self.key(self.documents);
            self.documents += 1;
            let random = &mut self.random;
            let (title, length) = (random.text(6), 40 + random.below(800));
            let (body, meta) = (random.text(length), random.json());
            let attachment = match random.below(4) {
                0 => random.bytes(2_000),
                _ => "NULL".to_owned(),
            };
            values.push(format!("({id}, '{title}', '{body}', '{meta}', {attachment})"));
        }
        format!("INSERT INTO varied.documents VALUES {}", values.join(","))
    }

    fn document_update(&mut self) -> String {
        if self.documents == 0 {
            return self.document_rows(1);
        }
        let row = self.random.below(self.documents);
        let (id, meta) = (self.key(row), self.random.json());
        format!("UPDATE varied.documents SET meta = '{meta}' WHERE id = {id}")
    }
}

/// splitmix64: the same numbers from the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// sysbench's kind of text: groups of eleven digits.
    fn digits(&mut self, groups: usize) -> String {
        let group = |random: &mut Random| format!("{:011}", random.below(100_000_000_000));
        (0..groups).map(|_| group(self)).collect::<Vec<_>>().join("-")
    }

    fn word(&mut self) -> String {
        let octave = 1 << self.below(WORD_OCTAVES);
        let mut letters = Random(octave + self.below(octave));
        let length = 2 + letters.below(8);
        (0..length).map(|_| char::from(b'a' + (letters.below(26) as u8))).collect()
    }

    fn text(&mut self, words: u64) -> String {
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    fn bytes(&mut self, length: usize) -> String {
        let mut hex = String::from("x'");
        for _ in 0..length.div_ceil(8) {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{:016x}", self.next());
        }
        hex + "'"
    }

    fn json(&mut self) -> String {
        let tags = (0..self.below(6)).map(|_| format!("\"{}\"", self.word())).collect::<Vec<_>>();
        format!(
            "{{\"id\": {}, \"kind\": \"{}\", \"price\": {}.{:02}, \"active\": {}, \
             \"address\": {{\"street\": \"{}\", \"number\": {}, \"city\": \"{}\"}}, \
             \"tags\": [{}], \"note\": \"{}\"}}",
            self.next() >> 20,
            ["order", "invoice", "return"][self.below(3) as usize],
            self.below(10_000),
            self.below(100),
            self.below(2) == 0,
            self.text(2),
            self.below(300),
            self.word(),
            tags.join(", "),
            self.text(12),
        )
    }

    fn moment(&mut self) -> String {
        let (day, hour) = (1 + self.below(28), self.below(24));
        let (month, minute) = (1 + self.below(12), self.below(60));
        format!("2026-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}", self.below(60))
    }

    /// The columns of `wide` behind its key.
    fn wide(&mut self) -> String {
        let mut all = Vec::new();
        for limit in [1_000_000, 50, 1 << 40, 1_000, 100] {
            all.push(self.below(limit).to_string());
        }
        for (whole, digits) in [(100_000, 2), (1_000, 2), (100_000_000, 6)] {
            let part = self.below(10_u64.pow(digits));
            all.push(format!("{}.{part:0width$}", self.below(whole), width = digits as usize));
        }
        all.push(format!("{}e-5", self.below(1 << 50)));
        all.push(self.below(1_000).to_string());
        all.push(format!("'{}.{:06}'", self.moment(), self.below(1_000_000)));
        all.push(format!("'{}'", self.moment()));
        all.push(format!("'{}'", &self.moment()[..10]));
        all.push(format!("'{}'", self.moment()));
        all.push((1 + self.below(4)).to_string());
        all.push(self.below(16).to_string());
        for (words, longest) in [(2, 40), (3, 40), (8, 80), (20, 200), (3, 64)] {
            let text = self.text(words);
            all.push(format!("'{}'", &text[..text.len().min(longest)]));
        }
        all.push(self.below(4_096).to_string());
        all.push(self.bytes(16));
        all.extend(["NULL".to_owned(), "NULL".to_owned(), "NULL".to_owned()]);
        all.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let (mut one, mut two, mut other) = (Random(7), Random(7), Random(8));
        assert_eq!(one.wide(), two.wide());
        assert_eq!(one.json(), two.json());
        assert_ne!(one.text(5), other.text(5));
        assert_eq!(one.bytes(16).len(), 16 * 2 + 3);
        assert_eq!(one.digits(10).len(), 119);
        assert_eq!(one.wide().matches(", ").count(), 25);
    }
}
