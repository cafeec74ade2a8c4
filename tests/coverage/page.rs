//! `docs/coverage.md`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use super::case::Outcome;
use super::columns::COLUMNS;
use super::events::{Fate, ROWS};
use super::{TOPICS, cases};
use crate::support::Family;

const HEAD: &str = "# What is replicated, and what stops

Every event of a source's binlog is *applied*, *passed whole*, or *stops* the stream with its position and the reason; nothing is
skipped (I9). This page is rendered from the table in `tests/coverage/` from which the tests on real servers run: each case writes to
a source, the source's binlog is checked for the event and column types that the case names, and each replica is compared with the
source, row by row and by the server's own `CHECKSUM TABLE`. Do not edit it: `PLIMSOLL_COVERAGE=write cargo test coverage`.

| word | meaning |
|---|---|
| applied | the replicas have it, exactly |
| passed whole | it is in the log as it came (and in what reads the log); a replica's server needs nothing of it |
| checked | it steers the stream and changes no data; its content and checksum are verified |
| stops | the replicas' appliers stop with this code (`plimsoll explain CODE`) or server error in their alarm; nothing of it and nothing after it is applied; the source's COMMITs go on |
| stops the stream | the source's agent stops with this in its alarm, and COMMITs wait |
| – | a server of this family does not write it |
| refused | no supported server writes it; the stream, or the replicas, would stop with its position and name |

Whether a session has switched something is told from its events, never from global variables.
";

const KNOWN: &str = "
## Known differences

Native replication has them too; they are the servers' own.

- MySQL 9.7.4: `REPLACE` of a row that other rows reference with `ON DELETE CASCADE` leaves those rows at the source, and a replica
  (ours and a native one) deletes them. Seen with `innodb_native_foreign_keys=OFF`, its default.
- MariaDB 10.11 does not log a `GRANT` that fails at one of several accounts, but has done it for those before. (What a failing
  `DROP USER` or `DROP TABLE` of several has done is logged, and applied.)
- MariaDB: cascades of foreign keys are not in the binlog; each replica carries them out itself.
- `CHECKSUM TABLE` differs between servers with the same rows where a table has a VIRTUAL column (MariaDB 10.11) or an index on an
  expression (MySQL 9.7).
- What no binlog holds is no one's to replicate: temporary tables, `SET GLOBAL`, `INSTALL PLUGIN`, `sql_log_bin=0`.
";

const VERSIONS: &str = "tests/coverage/ran_on.txt";
const PAGE: &str = "docs/coverage.md";

fn project(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Notes the version that the cases have run on. Says so where the page does not name it.
pub fn ran_on(family: Family, version: &str) -> anyhow::Result<()> {
    let line = format!("{family} {version}");
    let text = std::fs::read_to_string(project(VERSIONS)).unwrap_or_default();
    if text.lines().any(|known| known == line) {
        return Ok(());
    }
    if !super::writes() {
        println!(
            "{VERSIONS} does not name {line} yet: PLIMSOLL_COVERAGE=write cargo test coverage"
        );
        return Ok(());
    }
    let lines: BTreeSet<&str> = text.lines().chain([line.as_str()]).collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(std::fs::write(project(VERSIONS), text)?)
}

fn versions(family: Family) -> String {
    let text = std::fs::read_to_string(project(VERSIONS)).unwrap_or_default();
    let own = format!("{family} ");
    text.lines().filter_map(|line| line.strip_prefix(&own)).collect::<Vec<_>>().join(", ")
}

fn word(fate: Fate, foreign: bool) -> String {
    match fate {
        Fate::Applied => "applied".to_owned(),
        Fate::Whole => "passed whole".to_owned(),
        Fate::Checked => "checked".to_owned(),
        Fate::Stops(alarm) => format!("stops: {alarm}"),
        Fate::StopsStream(alarm) => format!("stops the stream: PLM301, “{alarm}”"),
        Fate::Never if foreign => "refused".to_owned(),
        Fate::Never => "–".to_owned(),
    }
}

fn shown_by(names: impl Fn(&super::Case) -> bool, elsewhere: &str) -> String {
    let found: BTreeSet<&str> =
        cases().filter(|case| names(case)).map(|case| case.name.trim()).collect();
    let mut found: Vec<String> = found.iter().map(|name| (*name).to_owned()).collect();
    if !elsewhere.is_empty() {
        found.push(format!("`{elsewhere}`"));
    }
    // A common one is named by many.
    found.truncate(2);
    found.join("; ")
}

fn render() -> String {
    let (mariadb, mysql) = (versions(Family::Mariadb), versions(Family::Mysql));
    let columns = format!("MariaDB {mariadb} | MySQL {mysql}");
    let mut page = String::from(HEAD);
    let mut line = |text: String| writeln!(page, "{text}").expect("a String");
    line(format!(
        "\n## Event types\n\n| event | number | {columns} | shown by |\n|---|---|---|---|---|"
    ));
    for row in ROWS {
        let foreign = row.elsewhere == "refused_by_name";
        let shown = shown_by(|case| case.events.contains(&row.kind), row.elsewhere);
        line(format!(
            "| {} | {} | {} | {} | {shown} |",
            row.kind.name().unwrap_or_default(),
            row.kind.0,
            word(row.mariadb, foreign),
            word(row.mysql, foreign),
        ));
    }
    line(
        "\nAn event of a type without a name here stops the stream, unless its own flag says that who does not \
         know it may pass over it; between transactions it then is, and inside of one it stops the replicas."
            .to_owned(),
    );
    line(format!(
        "\n## Column types\n\n| type | code | {columns} | shown by |\n|---|---|---|---|---|"
    ));
    for column in COLUMNS {
        let shown = shown_by(|case| case.columns.contains(&column.code), "");
        let word = |applied| if applied { "applied" } else { "–" };
        let shown = if shown.is_empty() { column.remark.to_owned() } else { shown };
        let (mariadb, mysql) = (word(column.mariadb), word(column.mysql));
        line(format!("| {} | {} | {mariadb} | {mysql} | {shown} |", column.name, column.code));
    }
    for (topic, cases) in TOPICS {
        line(format!("\n## {topic}\n\n| case | servers | outcome | |\n|---|---|---|---|"));
        for case in *cases {
            let on: Vec<&str> = case.on.iter().map(|family| name_of(*family)).collect();
            let outcome = match case.outcome {
                Outcome::Applied => "applied".to_owned(),
                Outcome::Stops(alarm) => format!("stops: {alarm}"),
            };
            let name = case.name.trim();
            line(format!("| {name} | {} | {outcome} | {} |", on.join(", "), case.remark));
        }
    }
    page + KNOWN
}

fn name_of(family: Family) -> &'static str {
    match family {
        Family::Mariadb => "MariaDB",
        Family::Mysql => "MySQL",
    }
}

#[test]
fn the_page_is_the_table() {
    let rendered = render();
    if super::writes() {
        std::fs::write(project(PAGE), &rendered).expect("the page can be written");
    }
    let page = std::fs::read_to_string(project(PAGE)).unwrap_or_default();
    assert!(
        page == rendered,
        "{PAGE} is not what the table says: PLIMSOLL_COVERAGE=write cargo test coverage"
    );
}
