//! Checks of `plimsoll::tail` against one running server; `tests/servers/tail.rs` calls them.
//!
//! Each takes a [`Target`] with an account that has all privileges over TCP, makes what it needs in
//! the schema `tail_check`, and leaves semi-sync off. `server_id`s from 4200 on are used. The server
//! writes row events (`binlog_format=ROW`); on MySQL GTIDs are on. The file of the server's
//! certificate authority is asked from the server, so it runs on this machine.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use plimsoll::binlog::GtidSet;
use plimsoll::config::{Secret, ServerConfig, TlsMode};
use plimsoll::tail::{AckSender, DumpRefusal, Error, StartAt, Tail, TailOptions, Tailed};
use wal::{BinlogPosition, Transaction};

use super::Family;

/// What a check returns.
pub type Outcome = Result<(), Box<dyn StdError + Send + Sync>>;
type Res<T> = Result<T, Box<dyn StdError + Send + Sync>>;

/// A running server.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where.
    pub host: String,
    /// Where.
    pub port: u16,
    /// Account with all privileges.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Whose.
    pub family: Family,
}

impl Target {
    fn config(&self, user: &str, password: &str, tls: TlsMode) -> ServerConfig {
        ServerConfig {
            host: self.host.clone(),
            port: self.port,
            fallback_port: None,
            user: user.into(),
            password: Secret::new(password),
            tls,
        }
    }

    fn options(&self, id: u32, start: StartAt) -> TailOptions {
        let server = self.config(&self.user, &self.password, TlsMode::Disabled);
        let uuid = format!("42000000-0000-0000-0000-{id:012}");
        let mut options = TailOptions::new(server, id, uuid, start);
        options.semi_sync = false;
        options.heartbeat = Duration::from_millis(500);
        options
    }

    async fn sql(&self) -> Res<Conn> {
        let options = OptsBuilder::default()
            .ip_or_hostname(self.host.clone())
            .tcp_port(self.port)
            .user(Some(self.user.clone()))
            .pass(Some(self.password.clone()))
            .prefer_socket(false)
            .max_allowed_packet(Some(64 << 20));
        Ok(Conn::new(options).await?)
    }

    /// A connection with the schema in place.
    async fn prepared(&self) -> Res<Conn> {
        let mut sql = self.sql().await?;
        sql.query_drop("CREATE DATABASE IF NOT EXISTS tail_check").await?;
        let table = "CREATE TABLE IF NOT EXISTS tail_check.t
                     (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)";
        sql.query_drop(table).await?;
        Ok(sql)
    }

    async fn binlog_end(&self, sql: &mut Conn) -> Res<BinlogPosition> {
        let statement = match self.family {
            Family::Mysql => "SHOW BINARY LOG STATUS",
            Family::Mariadb => "SHOW MASTER STATUS",
        };
        let row: Option<mysql_async::Row> = sql.query_first(statement).await?;
        let row = row.ok_or("the binlog is off")?;
        let file: String = row.get(0).ok_or("no file")?;
        Ok(BinlogPosition::new(file, row.get(1).ok_or("no offset")?))
    }

    async fn gtids(&self, sql: &mut Conn) -> Res<GtidSet> {
        let statement = match self.family {
            Family::Mysql => "SELECT @@global.gtid_executed",
            Family::Mariadb => "SELECT @@global.gtid_binlog_pos",
        };
        let text: Option<String> = sql.query_first(statement).await?;
        Ok(text.unwrap_or_default().parse()?)
    }

    async fn semi_sync(&self, sql: &mut Conn, on: bool) -> Outcome {
        let on = u8::from(on);
        let statements = match self.family {
            Family::Mysql => {
                // Already there: an error that does not matter.
                let install = "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'";
                drop(sql.query_drop(install).await);
                vec![
                    "SET GLOBAL rpl_semi_sync_source_timeout=60000".to_owned(),
                    format!("SET GLOBAL rpl_semi_sync_source_enabled={on}"),
                ]
            }
            Family::Mariadb => vec![
                "SET GLOBAL rpl_semi_sync_master_timeout=60000".to_owned(),
                "SET GLOBAL rpl_semi_sync_master_wait_point=AFTER_SYNC".to_owned(),
                format!("SET GLOBAL rpl_semi_sync_master_enabled={on}"),
            ],
        };
        for statement in statements {
            sql.query_drop(statement).await?;
        }
        Ok(())
    }

    /// The server's certificate authority; `None` where it has no TLS.
    async fn authority(&self, sql: &mut Conn) -> Res<Option<PathBuf>> {
        let row: Option<(Option<String>, String)> =
            sql.query_first("SELECT @@global.ssl_ca, @@global.datadir").await?;
        let (ca, datadir) = row.ok_or("no row")?;
        let ca = ca.filter(|ca| !ca.is_empty()).map(|ca| PathBuf::from(datadir).join(ca));
        Ok(ca.filter(|ca| ca.exists()))
    }
}

/// The next transaction, whatever stands before it; put together, if it comes in pieces.
async fn transaction(tail: &mut Tail) -> Res<(Transaction, bool)> {
    let mut pieces = Vec::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), tail.next()).await;
        match next?? {
            Tailed::Piece(events) => pieces.extend_from_slice(&events),
            Tailed::Pieced(mut transaction, wants_ack) => {
                pieces.extend_from_slice(&transaction.events);
                transaction.events = pieces.into();
                return Ok((transaction, wants_ack));
            }
            Tailed::Transaction(transaction, wants_ack) => return Ok((transaction, wants_ack)),
            Tailed::FormatDescription { .. } | Tailed::Heartbeat { .. } | Tailed::Rotated(_) => {}
        }
    }
}

/// All accounts × all modes of TLS that this server has. The caller's own CA file may be any file.
pub async fn accounts_and_tls(target: &Target) -> Outcome {
    let mut sql = target.prepared().await?;
    let accounts = make_accounts(target, &mut sql).await?;
    let authority = target.authority(&mut sql).await?;
    let mut modes = vec![TlsMode::Disabled];
    if let Some(ca) = &authority {
        modes.push(TlsMode::VerifyCa { ca: ca.clone() });
    }
    let end = target.binlog_end(&mut sql).await?;
    for user in accounts {
        // Twice each: caching_sha2_password is full while its cache is empty, and fast afterwards.
        for (empty_cache, tls) in
            [true, false].into_iter().flat_map(|e| modes.iter().map(move |m| (e, m)))
        {
            if empty_cache {
                sql.query_drop("FLUSH PRIVILEGES").await?;
            }
            let mut options = target.options(4201, StartAt::Position(end.clone()));
            options.server = target.config(user, "s3cret ä", tls.clone());
            let connected = Tail::connect(options).await;
            connected.map_err(|error| format!("{user}, {tls:?}: {error:?}"))?;
        }
        let mut options = target.options(4201, StartAt::Position(end.clone()));
        options.server = target.config(user, "wrong", TlsMode::Disabled);
        match Tail::connect(options).await {
            Err(Error::Server { code: 1045 | 1698, .. }) => {}
            other => return Err(format!("{user}, wrong password: {other:?}").into()),
        }
    }
    without_privilege(target, &mut sql, end.clone()).await?;
    if let Some(ca) = authority {
        refuses_certificates(target, end, ca).await?;
    }
    Ok(())
}

async fn without_privilege(target: &Target, sql: &mut Conn, end: BinlogPosition) -> Outcome {
    sql.query_drop("DROP USER IF EXISTS tail_nothing@'%'").await?;
    sql.query_drop("CREATE USER tail_nothing@'%' IDENTIFIED BY 'pw'").await?;
    let mut options = target.options(4201, StartAt::Position(end));
    options.server = target.config("tail_nothing", "pw", TlsMode::Disabled);
    match Tail::connect(options).await {
        Err(Error::MissingPrivilege { .. }) => Ok(()),
        other => Err(format!("without privilege: {other:?}").into()),
    }
}

async fn make_accounts(target: &Target, sql: &mut Conn) -> Res<Vec<&'static str>> {
    let candidates = match target.family {
        Family::Mysql => vec![
            ("tail_sha2", "caching_sha2_password BY"),
            ("tail_native", "mysql_native_password BY"),
            ("tail_sha256", "sha256_password BY"),
        ],
        Family::Mariadb => {
            drop(sql.query_drop("INSTALL SONAME 'auth_ed25519'").await);
            vec![
                ("tail_native", "mysql_native_password USING PASSWORD"),
                ("tail_ed25519", "ed25519 USING PASSWORD"),
            ]
        }
    };
    let mut made = Vec::new();
    for (user, with) in candidates {
        sql.query_drop(format!("DROP USER IF EXISTS {user}@'%'")).await?;
        let password = match target.family {
            Family::Mysql => "'s3cret ä'",
            Family::Mariadb => "('s3cret ä')",
        };
        // A plugin that this server does not have any more.
        if sql
            .query_drop(format!("CREATE USER {user}@'%' IDENTIFIED WITH {with} {password}"))
            .await
            .is_err()
        {
            continue;
        }
        sql.query_drop(format!("GRANT REPLICATION SLAVE ON *.* TO {user}@'%'")).await?;
        made.push(user);
    }
    if made.is_empty() {
        return Err("no account could be made".into());
    }
    Ok(made)
}

/// A server whose certificate is of another authority, or (verify-full) of another name.
async fn refuses_certificates(target: &Target, end: BinlogPosition, ca: PathBuf) -> Outcome {
    let mut options = target.options(4202, StartAt::Position(end));
    let dir = std::env::temp_dir().join(format!("plimsoll-tail-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let other = dir.join("other.pem");
    std::fs::write(&other, OTHER_AUTHORITY)?;
    options.server.tls = TlsMode::VerifyCa { ca: other };
    match Tail::connect(options.clone()).await {
        Err(Error::Tls { .. }) => {}
        unexpected => return Err(format!("another authority: {unexpected:?}").into()),
    }
    options.server.tls = TlsMode::VerifyCa { ca: dir.join("none.pem") };
    match Tail::connect(options.clone()).await {
        Err(Error::CertificateFile { .. }) => {}
        unexpected => return Err(format!("no file: {unexpected:?}").into()),
    }
    // The certificate that MySQL makes for itself names no host; MariaDB's is made by the caller, for
    // the address.
    options.server.tls = TlsMode::VerifyFull { ca };
    match (Tail::connect(options.clone()).await, target.family) {
        (Ok(_), Family::Mariadb) | (Err(Error::Tls { .. }), Family::Mysql) => {}
        (unexpected, _) => return Err(format!("in full: {unexpected:?}").into()),
    }
    options.server.host = "localhost".to_owned();
    match Tail::connect(options).await {
        Err(Error::Tls { .. }) => {}
        unexpected => return Err(format!("another name: {unexpected:?}").into()),
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// A COMMIT waits for our ACK, is not released by one of an earlier place, and returns after ours.
pub async fn semi_sync_holds_and_releases(target: &Target) -> Outcome {
    let mut sql = target.prepared().await?;
    target.semi_sync(&mut sql, true).await?;
    let end = target.binlog_end(&mut sql).await?;
    let mut options = target.options(4203, StartAt::Position(end.clone()));
    options.semi_sync = true;
    let (mut tail, mut acks) = Tail::connect(options).await?;
    let result = hold_and_release(target, &mut tail, &mut acks, &end).await;
    target.semi_sync(&mut sql, false).await?;
    result
}

async fn hold_and_release(
    target: &Target,
    tail: &mut Tail,
    acks: &mut AckSender,
    before: &BinlogPosition,
) -> Outcome {
    let mut writer = target.sql().await?;
    let started = Instant::now();
    let commit = tokio::spawn(async move {
        writer.query_drop("INSERT INTO tail_check.t (v) VALUES ('held')").await?;
        Ok::<_, mysql_async::Error>(started.elapsed())
    });
    let (transaction, wants_ack) = transaction(tail).await?;
    if !wants_ack {
        return Err("the server does not wait".into());
    }
    acks.acknowledge(before).await?;
    tokio::time::sleep(Duration::from_millis(600)).await;
    if commit.is_finished() {
        return Err("COMMIT returned before its ACK".into());
    }
    acks.acknowledge(&transaction.end).await?;
    let waited = tokio::time::timeout(Duration::from_secs(5), commit).await???;
    if waited < Duration::from_millis(600) {
        return Err(format!("COMMIT took only {waited:?}").into());
    }
    Ok(())
}

/// The same transactions by position and by GTID, each with its place, and heartbeats in between.
pub async fn starts_by_position_and_gtid(target: &Target) -> Outcome {
    let mut sql = target.prepared().await?;
    let (end, gtids) = (target.binlog_end(&mut sql).await?, target.gtids(&mut sql).await?);
    sql.query_drop("INSERT INTO tail_check.t (v) VALUES ('one')").await?;
    sql.query_drop("FLUSH BINARY LOGS").await?;
    sql.query_drop("INSERT INTO tail_check.t (v) VALUES ('two'), ('three')").await?;
    sql.query_drop("CREATE OR REPLACE VIEW tail_check.w AS SELECT 1 AS one").await?;
    let last = target.binlog_end(&mut sql).await?;
    let (mut by_position, _) = Tail::connect(target.options(4204, StartAt::Position(end))).await?;
    let (mut by_gtid, _) =
        Tail::connect(target.options(4205, StartAt::Gtid(gtids.clone()))).await?;
    loop {
        let (one, _) = transaction(&mut by_position).await?;
        let (other, _) = transaction(&mut by_gtid).await?;
        if one != other {
            return Err(format!("by position {one:?}, by GTID {other:?}").into());
        }
        let gtid = one.gtid.as_ref().ok_or("no GTID")?;
        if gtids.contains(gtid) {
            return Err(format!("{gtid} was not asked for").into());
        }
        if one.end == last {
            break;
        }
    }
    match by_gtid.next().await? {
        Tailed::Heartbeat { position } if position == last => Ok(()),
        other => Err(format!("no heartbeat at {last}: {other:?}").into()),
    }
}

/// A row of 20 MB: packets over 16 MiB, joined; and a transaction over the limit, refused by name.
pub async fn large_rows(target: &Target) -> Outcome {
    let mut sql = target.prepared().await?;
    sql.query_drop("SET GLOBAL max_allowed_packet=67108864").await?;
    let mut sql2 = target.sql().await?;
    let end = target.binlog_end(&mut sql).await?;
    let insert = "INSERT INTO tail_check.t (v) VALUES (REPEAT('x', 20000000))";
    sql2.query_drop(insert).await?;
    let last = target.binlog_end(&mut sql).await?;
    let (mut tail, _) = Tail::connect(target.options(4206, StartAt::Position(end.clone()))).await?;
    let (large, _) = transaction(&mut tail).await?;
    if large.end != last || large.events.len() < 20_000_000 {
        return Err(format!("{} bytes up to {}", large.events.len(), large.end).into());
    }
    let mut options = target.options(4206, StartAt::Position(end));
    options.max_transaction_bytes = 10_000_000;
    drop(tail);
    let (mut tail, _) = Tail::connect(options).await?;
    match transaction(&mut tail).await {
        Err(error) => match error.downcast_ref::<Error>() {
            Some(Error::Binlog(_) | Error::PacketTooLarge { .. }) => Ok(()),
            _ => Err(error),
        },
        Ok((transaction, _)) => Err(format!("passed: {} bytes", transaction.events.len()).into()),
    }
}

/// After a lost connection the dump goes on behind the last transaction seen; COMMITs that waited are
/// asked for again.
pub async fn resumes_where_it_was(target: &Target) -> Outcome {
    let mut sql = target.prepared().await?;
    target.semi_sync(&mut sql, true).await?;
    let result = resume(target, &mut sql).await;
    target.semi_sync(&mut sql, false).await?;
    result
}

async fn resume(target: &Target, sql: &mut Conn) -> Outcome {
    let end = target.binlog_end(sql).await?;
    let mut options = target.options(4207, StartAt::Position(end.clone()));
    options.semi_sync = true;
    let (mut tail, acks) = Tail::connect(options.clone()).await?;
    let mut writer = target.sql().await?;
    let commit = tokio::spawn(async move {
        writer.query_drop("INSERT INTO tail_check.t (v) VALUES ('kept')").await
    });
    let (first, _) = transaction(&mut tail).await?;
    drop((tail, acks));
    tokio::time::sleep(Duration::from_millis(300)).await;
    if commit.is_finished() {
        return Err("COMMIT returned when the connection was lost".into());
    }
    let (mut tail, mut acks) = Tail::connect(options).await?;
    let (again, wants_ack) = transaction(&mut tail).await?;
    if again != first || !wants_ack {
        return Err(format!("{again:?}, wants ACK: {wants_ack}, instead of {first:?}").into());
    }
    acks.acknowledge(&again.end).await?;
    tokio::time::timeout(Duration::from_secs(5), commit).await???;
    Ok(())
}

/// Starts that a server must refuse, told apart.
pub async fn refuses_with_a_reason(target: &Target) -> Outcome {
    let mut sql = target.prepared().await?;
    let end = target.binlog_end(&mut sql).await?;
    let beyond = BinlogPosition::new(end.file.clone(), end.offset + 100_000);
    let missing = BinlogPosition::new("nothere.999999", 4);
    let cases = [
        (StartAt::Position(missing), DumpRefusal::FileMissing),
        (StartAt::Position(beyond), DumpRefusal::BeyondEnd),
        (StartAt::Gtid(target.gtids_ahead(&mut sql).await?), DumpRefusal::GtidUnknown),
    ];
    for (start, expected) in cases {
        let result = Tail::connect(target.options(4208, start.clone())).await;
        match result {
            Err(error) if error.refusal() == Some(expected) => {}
            other => return Err(format!("{start:?}: {other:?} instead of {expected:?}").into()),
        }
    }
    Ok(())
}

impl Target {
    /// GTIDs that this server has never seen, in its own name.
    async fn gtids_ahead(&self, sql: &mut Conn) -> Res<GtidSet> {
        let mut gtids = self.gtids(sql).await?;
        let ahead = match self.family {
            Family::Mysql => {
                let uuid: Option<String> = sql.query_first("SELECT @@server_uuid").await?;
                format!("{}:900000", uuid.ok_or("no uuid")?)
            }
            Family::Mariadb => {
                let id: Option<u32> = sql.query_first("SELECT @@server_id").await?;
                format!("0-{}-900000", id.ok_or("no server id")?)
            }
        };
        gtids.add(&ahead.parse()?);
        Ok(gtids)
    }
}

/// All checks, one after another; the name of the first that fails is in the error.
pub async fn all(target: &Target) -> Outcome {
    let named = |name: &'static str, outcome: Outcome| {
        outcome.map_err(|error| format!("{name} ({:?}): {error:?}", target.family))
    };
    named("accounts_and_tls", Box::pin(accounts_and_tls(target)).await)?;
    named("semi_sync_holds_and_releases", Box::pin(semi_sync_holds_and_releases(target)).await)?;
    named("starts_by_position_and_gtid", Box::pin(starts_by_position_and_gtid(target)).await)?;
    named("large_rows", Box::pin(large_rows(target)).await)?;
    named("resumes_where_it_was", Box::pin(resumes_where_it_was(target)).await)?;
    named("refuses_with_a_reason", Box::pin(refuses_with_a_reason(target)).await)?;
    Ok(())
}

/// Signs nobody here; its key was never kept.
const OTHER_AUTHORITY: &str = include_str!("../corpus/tls/other-authority.pem");
