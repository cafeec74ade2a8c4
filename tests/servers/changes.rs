//! The changes that the log holds, against what the servers say.

mod consumers;
mod model;

use tokio::process::Command;

use self::model::Model;
use super::coverage::run;
use plimsoll::binlog::EventKind;

use crate::coverage::case::MYSQL;
use crate::coverage::{Case, changes, switches, types};
use crate::support::playground::PLIMSOLL;
use crate::support::{Context, Family, Playground, Result, compare, ensure, on_both_families, sql};

on_both_families!(values_are_those_of_the_server, collations_are_known);

/// MariaDB 5.3's fractions: nothing in the binlog says how long they are.
const NOT_ON_THE_WIRE: &str = "TIME, DATETIME, TIMESTAMP of MariaDB 5.3";

/// Forms in which rows come, beside the usual one.
const FORMS: &[&str] = &[
    "log_bin_compress",
    "binlog_transaction_compression",
    "Tables without a primary key",
    "CREATE … SELECT",
];

/// Differences to documents that the images before hold.
const PARTIAL_JSON: Case = Case::applied(
    "JSON differences",
    MYSQL,
    &[
        "SET SESSION binlog_row_value_options = PARTIAL_JSON",
        "CREATE TABLE t (id INT PRIMARY KEY, j JSON, n INT, k JSON)",
        "INSERT INTO t VALUES (1, JSON_OBJECT('a', 1, 'b', JSON_ARRAY(1, 2, 3), 'c d', REPEAT('x', 90)), \
         1, JSON_OBJECT('q', 1, 'w', REPEAT('c', 90))), (2, NULL, 2, '[]')",
        "UPDATE t SET j = JSON_SET(j, '$.a', 7), k = JSON_REMOVE(k, '$.q')",
        "UPDATE t SET j = JSON_REPLACE(j, '$.b[1]', 'zz'), n = 7",
        "UPDATE t SET j = JSON_SET(j, '$.e', CAST('{\"f\": [null, 1.5]}' AS JSON))",
        "UPDATE t SET j = JSON_REMOVE(j, '$.\"c d\"'), k = JSON_SET(k, '$.w', REPEAT('d', 90))",
    ],
)
.events(&[EventKind::PARTIAL_UPDATE_ROWS]);

/// Every column type: the rows that the changes add up to are those that the server has.
async fn values_are_those_of_the_server(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let told = |case: &&Case| case.name != NOT_ON_THE_WIRE;
    let forms = switches::CASES.iter().chain(changes::CASES);
    let forms = forms.filter(|case| FORMS.contains(&case.name));
    let cases: Vec<_> =
        types::CASES.iter().filter(told).chain(forms).chain([&PARTIAL_JSON]).collect();
    ensure!(cases.len() == types::CASES.len() + FORMS.len(), "{} cases", cases.len());
    let cases: Vec<_> = cases.into_iter().filter(|case| case.runs_on(family)).collect();
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

/// What the source's log holds, as JSON lines; every record of it can be told.
pub async fn dumped(play: &Playground) -> Result<String> {
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
