//! A client that keeps a book of what was acknowledged to it, to be held against the servers.
//!
//! The table has no unique key, so that a transaction that was applied twice shows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::playground::Server;
use super::{sql, wait};

/// COMMITs that wait must come back once the cluster is whole again.
const DRAIN_MAX: Duration = Duration::from_secs(90);

/// One write: which client, and its how-manieth.
pub type Entry = (u32, u64);

/// Clients at work.
pub struct Ledger {
    stop: watch::Sender<bool>,
    acknowledged: Arc<AtomicU64>,
    clients: JoinSet<Book>,
}

/// What the clients know at the end.
#[derive(Debug, Default)]
pub struct Book {
    /// The server said yes.
    pub acknowledged: BTreeSet<Entry>,
    /// It was tried; the answer, if any, was no.
    pub attempted: BTreeSet<Entry>,
}

impl Ledger {
    /// Makes the table and sets `clients` to work at the server.
    pub async fn start(source: &Server, clients: u32) -> Result<Ledger> {
        let table = "CREATE TABLE IF NOT EXISTS ledger.entries \
                     (client INT UNSIGNED NOT NULL, number BIGINT UNSIGNED NOT NULL, \
                      note VARCHAR(64) NOT NULL, KEY (client, number)) ENGINE=InnoDB";
        sql::run(source, &["CREATE DATABASE IF NOT EXISTS ledger", table]).await?;
        let (stop, stopped) = watch::channel(false);
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut set = JoinSet::new();
        for client in 0..clients {
            let (server, stopped) = (source.clone(), stopped.clone());
            let acknowledged = Arc::clone(&acknowledged);
            set.spawn(async move { Client { client, server, acknowledged }.work(stopped).await });
        }
        Ok(Ledger { stop, acknowledged, clients: set })
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Returns when `more` further writes have been acknowledged.
    pub async fn grows(&self, more: u64, within: Duration) -> Result<()> {
        let target = self.acknowledged() + more;
        wait::until("further writes are acknowledged", within, async || {
            let now = self.acknowledged();
            ensure!(now >= target, "{now} of {target}");
            Ok(())
        })
        .await
    }

    /// Ends the clients once their last COMMIT has returned.
    pub async fn stop(mut self) -> Result<Book> {
        self.stop.send_replace(true);
        let mut all = Book::default();
        let drain = async {
            while let Some(book) = self.clients.join_next().await {
                let book = book.context("a client panicked")?;
                all.acknowledged.extend(book.acknowledged);
                all.attempted.extend(book.attempted);
            }
            Ok(())
        };
        match tokio::time::timeout(DRAIN_MAX, drain).await {
            Ok(drained) => drained.map(|()| all),
            Err(_) => bail!("a COMMIT still waits {DRAIN_MAX:?} after the last disturbance"),
        }
    }
}

impl Book {
    /// Every acknowledged write is there once; none is there twice, and none that nobody tried.
    pub async fn check(&self, server: &Server) -> Result<()> {
        let rows: Vec<Entry> =
            sql::rows(server, "SELECT client, number FROM ledger.entries").await?;
        let mut found = BTreeSet::new();
        let twice: Vec<Entry> =
            rows.iter().copied().filter(|entry| !found.insert(*entry)).collect();
        let missing: Vec<_> = self.acknowledged.difference(&found).take(10).collect();
        let unknown: Vec<_> = found.difference(&self.attempted).take(10).collect();
        let name = &server.name;
        ensure!(missing.is_empty(), "{name} lacks acknowledged writes: {missing:?}...");
        ensure!(
            twice.is_empty(),
            "{name} has writes twice: {:?}...",
            &twice[..twice.len().min(10)]
        );
        ensure!(unknown.is_empty(), "{name} has writes that nobody made: {unknown:?}...");
        Ok(())
    }
}

struct Client {
    client: u32,
    server: Server,
    acknowledged: Arc<AtomicU64>,
}

impl Client {
    async fn work(self, stopped: watch::Receiver<bool>) -> Book {
        let mut book = Book::default();
        let mut conn: Option<Conn> = None;
        for number in 0.. {
            if *stopped.borrow() {
                break;
            }
            let Some(mut open) = self.connected(conn.take(), &stopped).await else { break };
            book.attempted.insert((self.client, number));
            if self.write(&mut open, number).await.is_ok() {
                book.acknowledged.insert((self.client, number));
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                conn = Some(open);
            }
        }
        book
    }

    /// Every third write is a transaction of two statements, one of which is undone.
    async fn write(&self, conn: &mut Conn, number: u64) -> Result<()> {
        let (client, note) = (self.client, "x".repeat(usize::try_from(number % 60)?));
        let insert = format!("INSERT INTO ledger.entries VALUES ({client}, {number}, '{note}')");
        if number.is_multiple_of(3) {
            let undone =
                format!("INSERT INTO ledger.entries VALUES ({client}, {}, 'no')", u64::MAX);
            for statement in ["BEGIN", &insert, "SAVEPOINT s", &undone, "ROLLBACK TO s", "COMMIT"] {
                conn.query_drop(statement).await?;
            }
        } else {
            conn.query_drop(insert).await?;
        }
        Ok(())
    }

    async fn connected(&self, conn: Option<Conn>, stopped: &watch::Receiver<bool>) -> Option<Conn> {
        if conn.is_some() {
            return conn;
        }
        while !*stopped.borrow() {
            if let Ok(conn) = sql::connect(&self.server).await {
                return Some(conn);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }
}
