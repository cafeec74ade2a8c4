//! What is wrong with a server is named and mended, and what lets COMMITs go is told at once.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::playground::{PLIMSOLL, Server};
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, http, on_both_families, sql, wait,
};

on_both_families!(
    a_sound_cluster_is_good,
    each_wrong_setting_is_named_and_mended,
    a_mended_setting_survives_a_restart,
    what_tables_and_accounts_bring_is_told,
    the_least_privileges_are_enough_for_a_source,
    rights_through_roles_are_followed,
    a_source_that_ships_is_not_made_a_replica,
    a_changed_setting_is_unprotected_until_mended,
    a_foreign_acker_is_unprotected_until_it_is_gone,
    a_commit_that_a_kill_let_go_is_told_of,
    a_binlog_that_was_reset_is_told_of,
);

/// An alarm is to be there by then.
const AT_ONCE: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(30);

fn config(play: &Playground, server: &str) -> PathBuf {
    play.dir().join("conf").join(format!("{server}-agent.toml"))
}

/// What doctor says is to be done about the privileges of the source's agent.
async fn missing_privileges(play: &Playground) -> Result<String> {
    let (code, text) = run(play, &["s1"], &["--json", "--role", "source"]).await?;
    ensure!(code == 1, "{text}");
    let report: Value = serde_json::from_str(&text)?;
    let findings = report["servers"][0]["findings"].as_array().context("no findings")?;
    let lacks = findings.iter().find(|finding| finding["topic"] == "privileges");
    let mend = lacks.and_then(|finding| finding["mend"]["by_hand"].as_str());
    Ok(mend.context(text.clone())?.to_owned())
}

/// Exit code, standard output.
async fn run(play: &Playground, servers: &[&str], arguments: &[&str]) -> Result<(i32, String)> {
    let (code, out, _) = ran(play, servers, arguments).await?;
    Ok((code, out))
}

/// Exit code, standard output, standard error.
async fn ran(
    play: &Playground,
    servers: &[&str],
    arguments: &[&str],
) -> Result<(i32, String, String)> {
    let mut command = tokio::process::Command::new(PLIMSOLL);
    command.arg("doctor").args(arguments);
    for server in servers {
        command.arg("--config").arg(config(play, server));
    }
    let done = command.output().await.context("start plimsoll doctor")?;
    let said = String::from_utf8_lossy(&done.stderr);
    let code = done.status.code().context("plimsoll doctor was killed")?;
    ensure!(code != 2, "usage: {said}");
    let said = said.into_owned();
    Ok((code, String::from_utf8(done.stdout).context(said.clone())?, said))
}

/// Every finding that is not good at one server: topic, verdict, and the sentence with its mend.
async fn found(play: &Playground, server: &str) -> Result<(i32, Vec<(String, String, String)>)> {
    let (code, text) = run(play, &[server], &["--json"]).await?;
    let report: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let findings = report["servers"][0]["findings"].as_array().context("no findings")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = findings.iter().map(|finding| {
        let sentence = format!("{} {}", finding["what"], finding["mend"]);
        (text(&finding["topic"]), text(&finding["verdict"]), sentence)
    });
    Ok((code, all.filter(|(_, verdict, _)| !["good", "note"].contains(&&**verdict)).collect()))
}

async fn a_sound_cluster_is_good(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    for server in ["s1", "s2"] {
        let (code, wrong) = found(&play, server).await?;
        ensure!(code == 0 && wrong.is_empty(), "{server}: {wrong:#?}");
    }
    let (code, text) = run(&play, &["s1", "s2", "s3"], &[]).await?;
    ensure!(code == 0, "{text}");
    for line in ["s1, source", "s2, replica", "every server has a server_id of its own"] {
        ensure!(text.contains(line), "no {line:?} in\n{text}");
    }
    // The playground's replicas take packets as large as the source's.
    ensure!(text.contains("less than 1.4 times"), "{text}");
    play.end().await
}

/// Variable, a wrong value, verdict.
fn wrong_settings(family: Family) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut all = vec![
        ("binlog_format", "MIXED", "wrong"),
        ("binlog_row_image", "MINIMAL", "warning"),
        ("binlog_row_metadata", "MINIMAL", "warning"),
        ("binlog_checksum", "NONE", "wrong"),
        ("sync_binlog", "0", "wrong"),
        ("innodb_flush_log_at_trx_commit", "2", "wrong"),
        ("read_only", "OFF", "wrong"),
        ("event_scheduler", "ON", "wrong"),
        ("binlog_expire_logs_seconds", "60", "warning"),
    ];
    all.extend(match family {
        Family::Mariadb => [
            ("rpl_semi_sync_master_timeout", "10000", "wrong"),
            ("rpl_semi_sync_master_wait_point", "AFTER_COMMIT", "wrong"),
            ("rpl_semi_sync_master_wait_no_slave", "OFF", "wrong"),
        ],
        Family::Mysql => [
            ("rpl_semi_sync_source_timeout", "10000", "wrong"),
            ("rpl_semi_sync_source_wait_no_replica", "OFF", "wrong"),
            ("rpl_semi_sync_source_wait_for_replica_count", "2", "wrong"),
        ],
    });
    all
}

/// At a replica, where nothing waits and its agent looks only when it starts.
async fn each_wrong_setting_is_named_and_mended(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let server = play.server("s2")?;
    let wrong = wrong_settings(family);
    for (name, value, _) in &wrong {
        sql::run(&server, &[&format!("SET GLOBAL {name}={value}")]).await?;
    }
    let (code, named) = run(&play, &["s2"], &["--role", "replica", "--json"]).await?;
    ensure!(code == 1, "exit {code}");
    let report: Value = serde_json::from_str(&named)?;
    let findings = report["servers"][0]["findings"].as_array().context("no findings")?;
    for (name, value, verdict) in &wrong {
        let topic = if *name == "binlog_expire_logs_seconds" { "binlog_expiry" } else { name };
        let one = findings.iter().find(|finding| finding["topic"] == topic);
        let one = one.with_context(|| format!("{name}={value} is not named: {named}"))?;
        ensure!(one["verdict"] == *verdict, "{name}={value}: {one}");
        let statement = one["mend"]["run"][0].as_str().with_context(|| format!("{one}"))?;
        ensure!(statement.starts_with("SET ") && statement.contains(name), "{one}");
    }
    // Nothing was changed by looking.
    let (code, _) = run(&play, &["s2"], &["--role", "replica"]).await?;
    ensure!(code == 1, "it was mended by looking");
    let (code, text) = run(&play, &["s2"], &["--role", "replica", "--fix", "--yes"]).await?;
    ensure!(code == 0, "not mended:\n{text}");
    compare::all_equal(&play).await?;
    play.end().await
}

/// A replica whose option file opens it and does not sync its binlog.
async fn a_mended_setting_survives_a_restart(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let file = play.dir().join("conf/s2.cnf");
    let text = std::fs::read_to_string(&file)?;
    let wrong = text.replace("sync_binlog=1", "sync_binlog=0").replace("read_only=ON\n", "");
    std::fs::write(&file, wrong)?;
    play.signal("s2", Signal::Kill).await?;
    play.restart("s2").await?;
    let server = play.server("s2")?;
    // Right now, and wrong again after the next start.
    sql::run(&server, &["SET GLOBAL sync_binlog=1", "SET GLOBAL read_only=1"]).await?;
    let (code, named) = found(&play, "s2").await?;
    for topic in ["sync_binlog", "read_only"] {
        let after = |finding: &&(String, String, String)| {
            finding.0 == topic && finding.1 == "wrong" && finding.2.contains("after a restart")
        };
        ensure!(named.iter().any(|finding| after(&finding)), "{topic}: {named:#?}");
    }
    ensure!(code == 1, "exit {code}");
    let (code, said) = run(&play, &["s2"], &["--fix", "--yes"]).await?;
    match family {
        // Persisted by the server itself.
        Family::Mysql => ensure!(code == 0, "{said}"),
        // The server has nothing but its option file, which is the operator's.
        Family::Mariadb => {
            ensure!(code == 1, "{said}");
            let snippet = play.dir().join("conf/plimsoll-s2.cnf");
            let text = std::fs::read_to_string(&file)?;
            std::fs::write(&file, format!("{text}\n!include {}\n", snippet.display()))?;
        }
    }
    play.signal("s2", Signal::Kill).await?;
    play.restart("s2").await?;
    let found = sql::number(&play.server("s2")?, "SELECT @@sync_binlog + @@read_only").await?;
    ensure!(found == 2, "after the restart: {found}");
    let (code, text) = run(&play, &["s2"], &[]).await?;
    ensure!(code == 0, "{text}");
    compare::all_equal(&play).await?;
    play.end().await
}

async fn what_tables_and_accounts_bring_is_told(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    let statements = [
        "CREATE DATABASE d",
        "CREATE TABLE d.nokey (a INT)",
        "CREATE TABLE d.old (a INT PRIMARY KEY) ENGINE=MyISAM",
        "CREATE EVENT d.e ON SCHEDULE EVERY 1 DAY DO DELETE FROM d.nokey",
    ];
    sql::run(&source, &statements).await?;
    let (code, told) = found(&play, "s1").await?;
    ensure!(code == 0, "exit {code}: {told:#?}");
    for (topic, name) in
        [("primary_keys", "d.nokey"), ("engines", "d.old"), ("privileged_events", "d.e")]
    {
        let names =
            |(found, _, what): &(String, String, String)| found == topic && what.contains(name);
        ensure!(told.iter().any(names), "{topic} {name}: {told:#?}");
    }
    let (_, text) = run(&play, &["s2"], &[]).await?;
    ensure!(text.contains("accounts that may write") && text.contains("'player'@'%'"), "{text}");
    play.end().await
}

/// What doctor says is missing is all that is missing.
async fn the_least_privileges_are_enough_for_a_source(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    play.signal("s1-agent", Signal::Kill).await?;
    let revoke = [
        "SET sql_log_bin=0",
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'plimsoll'@'%'",
        "GRANT SELECT ON *.* TO 'plimsoll'@'%'",
    ];
    sql::run(&source, &revoke).await?;
    let mend = missing_privileges(&play).await?;
    let statements = mend.strip_prefix("as an administrator: ").context("no statements")?;
    sql::run(&source, &statements.split("; ").collect::<Vec<_>>()).await?;
    let (code, text) = run(&play, &["s1"], &["--role", "source"]).await?;
    ensure!(code == 0 && !text.contains("which a source's agent does not need"), "{text}");
    play.restart("s1-agent").await?;
    protected(&source, SOON).await?;
    sql::run(&source, &["CREATE DATABASE p"]).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// `read_only` would hang behind COMMITs that wait, and refuse those to come.
async fn a_source_that_ships_is_not_made_a_replica(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    protected(&source, SOON).await?;
    let fix = ["--role", "replica", "--fix", "--yes"];
    let (code, _, text) = ran(&play, &["s1"], &fix).await?;
    ensure!(code != 0 && text.contains("an agent ships the binlog of s1 now"), "{code}: {text}");
    let read_only = sql::number(&source, "SELECT @@global.read_only").await?;
    ensure!(read_only == 0, "it was closed all the same");
    sql::run(&source, &["CREATE DATABASE still_open"]).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// A role that has a role has what doctor says is missing; an agent that has only that role ships.
async fn rights_through_roles_are_followed(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let (source, replica) = (play.source()?, play.server("s2")?);
    play.signal("s1-agent", Signal::Kill).await?;
    let default = match family {
        Family::Mariadb => "SET DEFAULT ROLE crew FOR 'plimsoll'@'%'",
        Family::Mysql => "SET DEFAULT ROLE crew TO 'plimsoll'@'%'",
    };
    let roles = [
        "SET sql_log_bin=0",
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'plimsoll'@'%'",
        "CREATE ROLE mate",
        "CREATE ROLE crew",
        "GRANT SELECT ON *.* TO mate",
        "GRANT mate TO crew",
        "GRANT crew TO 'plimsoll'@'%'",
        default,
    ];
    sql::run(&source, &roles).await?;
    let mend = missing_privileges(&play).await?;
    ensure!(!mend.contains("SELECT ON *.*"), "it has that through its role's role: {mend}");
    let statements = mend.strip_prefix("as an administrator: ").context("no statements")?;
    let statements = statements.replace("'plimsoll'@'%'", "mate");
    sql::run(&source, &statements.split("; ").collect::<Vec<_>>()).await?;
    let (code, text) = run(&play, &["s1"], &["--role", "source"]).await?;
    ensure!(code == 0 && !text.contains("which a source's agent does not need"), "{text}");
    play.restart("s1-agent").await?;
    protected(&source, SOON).await?;

    let powers = match family {
        Family::Mariadb => "GRANT READ_ONLY ADMIN ON *.* TO bosun",
        Family::Mysql => "GRANT CONNECTION_ADMIN ON *.* TO bosun",
    };
    let writers = [
        "SET sql_log_bin=0",
        "CREATE ROLE bosun",
        powers,
        "CREATE ROLE deputies",
        "GRANT bosun TO deputies",
        "CREATE USER 'deputy'@'%'",
        "GRANT deputies TO 'deputy'@'%'",
    ];
    sql::run(&replica, &writers).await?;
    let (_, text) = run(&play, &["s2"], &["--role", "replica"]).await?;
    ensure!(text.contains("'deputy'@'%'"), "{text}");
    play.end().await
}

async fn protection(source: &Server) -> Result<(String, String)> {
    let status = http::json(&source.agent.http, "/v1/status").await?;
    let word = status["protection"].as_str().with_context(|| format!("{status}"))?;
    Ok((word.to_owned(), status["reasons"].to_string()))
}

async fn protected(source: &Server, within: Duration) -> Result<()> {
    wait::until("the source is protected", within, async || {
        let (word, reasons) = protection(source).await?;
        ensure!(word == "protected" && reasons == "[]", "{word}: {reasons}");
        Ok(())
    })
    .await
}

async fn unprotected(source: &Server, reason: &str) -> Result<()> {
    wait::until("the source is unprotected", AT_ONCE, async || {
        let (word, reasons) = protection(source).await?;
        ensure!(word == "unprotected" && reasons.contains(reason), "{word}: {reasons}");
        Ok(())
    })
    .await
}

/// The coordinator says what the source's agent says, and so does the metric.
async fn told_everywhere(play: &Playground, protected: bool) -> Result<()> {
    let (source, coordinator) = (play.source()?, play.coordinator()?);
    let word = if protected { "protected" } else { "unprotected" };
    wait::until("the coordinator says so", AT_ONCE, async || {
        let status = http::json(&coordinator, "/v1/status").await?;
        ensure!(status["protection"] == word, "{status}");
        Ok(())
    })
    .await?;
    let (_, metrics) = http::get(&source.agent.http, "/metrics").await?;
    let line = format!("plimsoll_protected {}", u8::from(protected));
    ensure!(metrics.lines().any(|found| found == line), "no {line:?} in\n{metrics}");
    Ok(())
}

async fn a_changed_setting_is_unprotected_until_mended(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    protected(&source, SOON).await?;
    told_everywhere(&play, true).await?;
    let prefix = match family {
        Family::Mariadb => "rpl_semi_sync_master",
        Family::Mysql => "rpl_semi_sync_source",
    };
    let (enabled, timeout) = (format!("{prefix}_enabled"), format!("{prefix}_timeout"));
    for (name, bad, good) in [
        (&*enabled, "0", "1"),
        (&*timeout, "10000", "4294967295"),
        ("sync_binlog", "0", "1"),
        ("innodb_flush_log_at_trx_commit", "0", "1"),
        ("binlog_format", "MIXED", "ROW"),
    ] {
        sql::run(&source, &[&format!("SET GLOBAL {name}={bad}")]).await?;
        let reason = if name == enabled { "semi-sync is off" } else { name };
        unprotected(&source, reason).await.with_context(|| format!("{name}={bad}"))?;
        told_everywhere(&play, false).await?;
        sql::run(&source, &[&format!("SET GLOBAL {name}={good}")]).await?;
        protected(&source, AT_ONCE).await.with_context(|| format!("{name}={good}"))?;
    }
    told_everywhere(&play, true).await?;
    // A killed agent has nobody to protect it, and the coordinator says so.
    play.signal("s1-agent", Signal::Kill).await?;
    wait::until("the coordinator says unprotected", SOON, async || {
        let status = http::json(&play.coordinator()?, "/v1/status").await?;
        ensure!(status["protection"] == "unprotected", "{status}");
        Ok(())
    })
    .await?;
    play.restart("s1-agent").await?;
    protected(&source, SOON).await?;
    play.end().await
}

/// A native replica of the source: the other server of the cluster, whose agent was ended.
async fn a_foreign_acker_is_unprotected_until_it_is_gone(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(&source, &["CREATE DATABASE f"]).await?;
    compare::caught_up(&play).await?;
    play.signal("s3-agent", Signal::Kill).await?;
    let native = play.server("s3")?;
    let (port, user, password) = (source.port, &source.user, &source.password);
    let (start, stop) = match family {
        Family::Mariadb => (
            vec![
                "SET GLOBAL rpl_semi_sync_slave_enabled=1".to_owned(),
                format!(
                    "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, \
                     MASTER_USER='{user}', MASTER_PASSWORD='{password}'"
                ),
                "START SLAVE IO_THREAD".to_owned(),
            ],
            "STOP SLAVE",
        ),
        Family::Mysql => (
            vec![
                "SET sql_log_bin=0".to_owned(),
                "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'".to_owned(),
                "SET GLOBAL rpl_semi_sync_replica_enabled=1".to_owned(),
                format!(
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, \
                     SOURCE_USER='{user}', SOURCE_PASSWORD='{password}', \
                     GET_SOURCE_PUBLIC_KEY=1"
                ),
                "START REPLICA IO_THREAD".to_owned(),
            ],
            "STOP REPLICA",
        ),
    };
    sql::run(&native, &start.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    wait::until("it is attached", SOON, async || {
        let reads = "SELECT COUNT(*) FROM information_schema.processlist \
                     WHERE command LIKE 'Binlog Dump%' AND user = 'player'";
        ensure!(sql::number(&source, reads).await? == 1, "it does not read");
        Ok(())
    })
    .await?;
    unprotected(&source, "2 semi-sync replicas are attached").await?;
    let (code, told) = found(&play, "s1").await?;
    let topics: Vec<&str> = told.iter().map(|(topic, ..)| &**topic).collect();
    ensure!(code == 1 && topics == ["semi_sync", "other_readers"], "exit {code}: {told:#?}");
    sql::run(&native, &[stop]).await?;
    // MySQL notices that it is gone when it has something to send.
    wait::until("the source is protected again", SOON, async || {
        sql::run(&source, &["CREATE DATABASE IF NOT EXISTS g"]).await?;
        protected(&source, Duration::from_secs(1)).await
    })
    .await?;
    play.end().await
}

/// MariaDB tells a COMMIT whose session is killed OK; MySQL keeps it waiting.
async fn a_commit_that_a_kill_let_go_is_told_of(family: Family) -> Result<()> {
    if family == Family::Mysql {
        return Ok(());
    }
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    sql::run(&source, &["CREATE DATABASE k", "CREATE TABLE k.t (id INT PRIMARY KEY)"]).await?;
    protected(&source, SOON).await?;
    play.signal("s2-agent", Signal::Stop).await?;
    let insert = "INSERT INTO k.t VALUES (1)";
    let commit = tokio::spawn({
        let source = source.clone();
        async move { sql::run(&source, &[insert]).await }
    });
    let waits = format!("SELECT id FROM information_schema.processlist WHERE info = '{insert}'");
    let id = wait::until("it waits", SOON, async || sql::number(&source, &waits).await).await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    sql::run(&source, &[&format!("KILL QUERY {id}")]).await?;
    commit.await??;
    unprotected(&source, "1 COMMITs returned without our acknowledgement").await?;
    play.signal("s2-agent", Signal::Continue).await?;
    compare::all_equal(&play).await?;
    play.end().await
}

/// Both families keep our connection open after a RESET and send nothing more.
async fn a_binlog_that_was_reset_is_told_of(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    let source = play.source()?;
    sql::run(&source, &["CREATE DATABASE r"]).await?;
    protected(&source, SOON).await?;
    // The guard has to have seen what is there.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let reset = match family {
        Family::Mariadb => "RESET MASTER",
        Family::Mysql => "RESET BINARY LOGS AND GTIDS",
    };
    sql::run(&source, &[reset]).await?;
    unprotected(&source, "RESET").await?;
    play.end().await
}
