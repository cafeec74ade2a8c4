//! The changes that the log holds, against what the servers say.

mod consumers;
mod model;

use tokio::process::Command;

use self::model::Model;
use super::coverage::run;
use crate::coverage::types;
use crate::support::playground::PLIMSOLL;
use crate::support::{Context, Family, Playground, Result, compare, ensure, on_both_families, sql};

on_both_families!(values_are_those_of_the_server, collations_are_known);

/// MariaDB 5.3's fractions: nothing in the binlog says how long they are.
const NOT_ON_THE_WIRE: &str = "TIME, DATETIME, TIMESTAMP of MariaDB 5.3";

/// Every column type: the rows that the changes add up to are those that the server has.
async fn values_are_those_of_the_server(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let told = |case: &&crate::coverage::Case| case.name != NOT_ON_THE_WIRE;
    let cases: Vec<_> =
        types::CASES.iter().filter(|case| case.runs_on(family)).filter(told).collect();
    for case in &cases {
        run::written(&play, family, case).await.with_context(|| case.name.to_owned())?;
    }
    compare::caught_up(&play).await?;
    let mut model = Model::default();
    for line in dumped(&play).await?.lines() {
        model.take(line).with_context(|| line.chars().take(2000).collect::<String>())?;
    }
    ensure!(model.created >= cases.len(), "{} CREATE TABLE", model.created);
    let source = play.source()?;
    for case in cases {
        let compared = model.compare(&source, &case.database()).await;
        let values = compared.with_context(|| format!("case {:?}", case.name))?;
        ensure!(values > 0, "case {:?}: nothing was compared", case.name);
    }
    play.end().await
}

async fn dumped(play: &Playground) -> Result<String> {
    let log = play.dir().join("s1-agent").join("log");
    let done = Command::new(PLIMSOLL).args(["log", "dump", "--json"]).arg(log).output().await?;
    ensure!(done.status.success(), "log dump: {}", String::from_utf8_lossy(&done.stdout));
    Ok(String::from_utf8(done.stdout)?)
}

/// The numbers that stand for character sets are those of the server.
async fn collations_are_known(family: Family) -> Result<()> {
    let play = Playground::start_with(family, &["--bare"]).await?;
    let query = match family {
        Family::Mariadb => {
            "SELECT id, character_set_name FROM \
             information_schema.collation_character_set_applicability WHERE id IS NOT NULL"
        }
        Family::Mysql => "SELECT id, character_set_name FROM information_schema.collations",
    };
    let collations: Vec<(u64, String)> = sql::rows(&play.source()?, query).await?;
    ensure!(collations.len() > 200, "{} collations", collations.len());
    for (id, name) in collations {
        let known = plimsoll::changes::charset_of_collation(id);
        ensure!(known == Some(name.as_str()), "{id} is {name}, here {known:?}");
    }
    play.end().await
}
