//! The ends and beginnings of a binlog's files: STOP, and on MariaDB an encrypted file.

use std::time::Duration;

use plimsoll::binlog::EventKind;

use super::observe::Seen;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families, sql, wait,
};

on_both_families!(an_orderly_restart);

const SOON: Duration = Duration::from_secs(40);

async fn an_orderly_restart(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(
        &source,
        &[
            "CREATE DATABASE r",
            "CREATE TABLE r.t (id INT PRIMARY KEY)",
            "INSERT INTO r.t VALUES (1)",
        ],
    )
    .await?;
    let end = sql::binlog_end(&source, family).await?;
    if family == Family::Mariadb {
        encrypt(&play)?;
    }
    let pid = source.pid;
    play.signal("s1", Signal::Terminate).await?;
    wait::until("the server ends", SOON, async || {
        ensure!(!crate::support::playground::exists(pid), "it still runs");
        Ok(())
    })
    .await?;
    play.restart("s1").await?;
    let source = play.source()?;
    wait::until("the source takes writes again", SOON, async || {
        sql::run(&source, &["INSERT IGNORE INTO r.t VALUES (2)"]).await
    })
    .await?;
    compare::all_equal(&play).await?;
    // What is encrypted in the file cannot be read from it: the first events are not.
    let kinds = match family {
        Family::Mysql => Seen::since(&play, &end)?.events,
        Family::Mariadb => {
            let mut seen = Seen::default();
            // It ends with an error where the encrypted part begins.
            drop(seen.add_from(&play, &end));
            ensure!(seen.events.contains(&EventKind::START_ENCRYPTION), "{:?}", seen.events);
            seen.events
        }
    };
    ensure!(kinds.contains(&EventKind::STOP), "no STOP: {kinds:?}");
    play.end().await
}

/// Binlog encryption with a key in a file, from the next start on.
fn encrypt(play: &Playground) -> Result<()> {
    let keys = play.dir().join("conf").join("keys");
    std::fs::write(&keys, "1;770A8A65DA156D24EE2A093277530142770A8A65DA156D24EE2A093277530142\n")?;
    let file = play.dir().join("conf").join("s1.cnf");
    let options = std::fs::read_to_string(&file).context("read s1.cnf")?;
    let keys = keys.display();
    let more = format!(
        "plugin-load-add=file_key_management\nfile_key_management_filename={keys}\nencrypt_binlog=ON\n"
    );
    std::fs::write(&file, options + &more).context("write s1.cnf")
}
