//! What is wrong is said in one clear line, with its code and the way out.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{
    Context, Family, Playground, Result, Signal, ensure, on_both_families, sql, wait,
};

on_both_families!(
    a_wrong_password,
    an_unreachable_server,
    a_missing_privilege,
    semi_sync_not_available,
    a_config_with_an_unknown_key,
);

const SOON: Duration = Duration::from_secs(30);

/// The file of a process's configuration.
fn config(play: &Playground, name: &str) -> PathBuf {
    play.dir().join("conf").join(name)
}

/// Starts the agent again and returns when one line of what it says holds one of each group of words.
async fn says(play: &Playground, agent: &str, groups: &[&[&str]]) -> Result<()> {
    let before = play.words(agent).len();
    // An agent may go on trying, or end: both are ways to say what is wrong.
    let restarted = play.restart(agent).await;
    wait::until("the reason is said", SOON, async || {
        let said = play.words(agent).split_off(before);
        let fits = |line: &str| {
            let line = line.to_lowercase();
            groups.iter().all(|words| words.iter().any(|word| line.contains(word)))
        };
        ensure!(said.lines().any(fits), "no line with {groups:?} in ({restarted:?}):\n{said}");
        Ok(())
    })
    .await
}

async fn a_wrong_password(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    play.signal("s2-agent", Signal::Kill).await?;
    std::fs::write(config(&play, "wrong"), "not the password")?;
    let file = config(&play, "s2-agent.toml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(
        &file,
        text.replace("password_file = \"password\"", "password_file = \"wrong\""),
    )?;
    says(&play, "s2-agent", &[&["password", "access denied"], &["plimsoll"], &["plm202"]]).await?;
    std::fs::write(&file, text)?;
    play.restart("s2-agent").await?;
    crate::support::compare::all_equal(&play).await?;
    play.end().await
}

async fn an_unreachable_server(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let port = play.server("s2")?.port.to_string();
    play.signal("s2", Signal::Kill).await?;
    says(&play, "s2-agent", &[&[port.as_str()], &["refused", "reach", "connect"], &["plm201"]])
        .await?;
    play.restart("s2").await?;
    crate::support::compare::all_equal(&play).await?;
    play.end().await
}

async fn a_missing_privilege(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let revoke = [
        "SET sql_log_bin = 0",
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'plimsoll'@'%'",
        "GRANT SELECT ON *.* TO 'plimsoll'@'%'",
    ];
    sql::run(&play.source()?, &revoke).await?;
    play.signal("s1-agent", Signal::Kill).await?;
    says(&play, "s1-agent", &[&["privilege", "grant", "access denied"], &["plm207"]]).await?;
    play.end().await
}

/// MariaDB has semi-sync built in; MySQL's is a plugin, which may be missing.
async fn semi_sync_not_available(family: Family) -> Result<()> {
    if family == Family::Mariadb {
        return Ok(());
    }
    let play = Playground::start(family).await?;
    for name in ["s1-agent", "s1"] {
        play.signal(name, Signal::Kill).await?;
    }
    let file = config(&play, "s1.cnf");
    let text = std::fs::read_to_string(&file)?;
    let kept = text.lines().filter(|line| !line.contains("semi") && !line.contains("plugin-dir"));
    let without: String = kept.map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, format!("{without}plugin-dir={}\n", play.dir().display()))?;
    play.restart("s1").await.context("the server without its plugin")?;
    says(&play, "s1-agent", &[&["semi-sync", "semisync", "semi_sync"], &["plm208"]]).await?;
    play.end().await
}

async fn a_config_with_an_unknown_key(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--replicas", "1"]).await?;
    play.signal("s2-agent", Signal::Kill).await?;
    let file = config(&play, "s2-agent.toml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace("[agent]", "[agent]\nnonsense = 1"))?;
    says(&play, "s2-agent", &[&["nonsense"], &["plm102"]]).await?;
    play.end().await
}
