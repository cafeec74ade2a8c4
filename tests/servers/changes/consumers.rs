//! Named consumers: `plimsoll tail`, its crashes, its acknowledgements.

use std::collections::HashSet;
use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::support::playground::PLIMSOLL;
use crate::support::random::Choices;
use crate::support::{
    Context, Family, Playground, Result, ensure, http, on_both_families, sql, wait,
};

on_both_families!(
    a_killed_consumer_gets_every_change_once_and_in_order,
    what_is_fed,
    a_consumer_belongs_to_no_agent,
);

const SOON: Duration = Duration::from_secs(40);
/// Between two transactions, so that there are still some to come when a consumer is killed.
const BETWEEN: Duration = Duration::from_millis(10);
/// A consumer that never gets on is a defect.
const RUNS_MAX: usize = 60;

/// `plimsoll tail` into a file.
struct Tail {
    child: Child,
    file: std::path::PathBuf,
}

impl Tail {
    fn start(play: &Playground, name: &str, agent: &str, arguments: &[&str]) -> Result<Tail> {
        let file = play.dir().join(format!("{name}.tail"));
        let said = File::create(play.dir().join(format!("{name}.said")))?;
        let mut command = Command::new(PLIMSOLL);
        command.args(["tail", "--agent", agent]).args(arguments);
        command.stdin(Stdio::null()).stdout(File::create(&file)?).stderr(said).kill_on_drop(true);
        Ok(Tail { child: command.spawn()?, file })
    }

    /// Whole lines so far.
    fn lines(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.file)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).context("a line")).collect()
    }

    /// SIGKILL.
    async fn kill(mut self) -> Result<Vec<Value>> {
        self.child.kill().await?;
        self.lines()
    }

    async fn until(&self, what: &str, enough: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        wait::until(what, SOON, async || {
            let lines = self.lines()?;
            ensure!(enough(&lines), "{} lines: {:?}", lines.len(), lines.last());
            Ok(lines)
        })
        .await
    }
}

fn place(line: &Value) -> (u64, u64) {
    (line["lsn"].as_u64().unwrap_or(0), line["index"].as_u64().unwrap_or(0))
}

async fn acknowledged(play: &Playground, consumer: &str) -> Result<u64> {
    let agent = play.source()?.agent.http;
    let all = http::json(&agent, "/v1/consumers").await?;
    let all = all["consumers"].as_array().context("consumers")?.clone();
    let one = all.iter().find(|one| one["name"] == consumer);
    Ok(one.and_then(|one| one["acknowledged"].as_u64()).unwrap_or(0))
}

/// Each run begins right behind what was acknowledged; together they are every change.
async fn a_killed_consumer_gets_every_change_once_and_in_order(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    let table = "CREATE TABLE k.t (id INT PRIMARY KEY, v INT)";
    sql::run(&source, &["CREATE DATABASE k", table]).await?;
    let writing = tokio::spawn({
        let source = source.clone();
        async move {
            let mut conn = sql::connect(&source).await?;
            for id in (0..400).step_by(2) {
                let (one, two) = (id, id + 1);
                let insert = format!("INSERT INTO k.t VALUES ({one}, 0), ({two}, 0)");
                mysql_async::prelude::Queryable::query_drop(&mut conn, insert).await?;
                tokio::time::sleep(BETWEEN).await;
            }
            anyhow::Ok(conn.disconnect().await?)
        }
    });
    let mut choices = Choices::new("killed consumers");
    let agents: Vec<String> =
        play.ready()?.servers.iter().map(|server| server.agent.http.clone()).collect();
    let arguments = ["--consumer", "killed", "--from", "earliest", "--tables", "k.t"];
    let (mut ids, mut seen, mut last, mut fed) = (Vec::new(), HashSet::new(), (0, 0), 0);
    for run in 0.. {
        let before = acknowledged(&play, "killed").await?;
        let agent = &agents[run % agents.len()];
        let tail = Tail::start(&play, &format!("run-{run}"), agent, &arguments)?;
        tokio::time::sleep(Duration::from_millis(choices.pick(150..700))).await;
        let lines = tail.kill().await?;
        fed += usize::from(!lines.is_empty());
        let mut previous = (0, 0);
        for line in &lines {
            let at = place(line);
            ensure!(at.0 > before, "run {run}: {line} was acknowledged up to {before}");
            ensure!(at > previous, "run {run}: {line} is out of order");
            previous = at;
            if at <= last {
                ensure!(seen.contains(&at), "run {run}: {line} was left out before");
                continue;
            }
            (last, _) = (at, seen.insert(at));
            if line["op"] == "insert" {
                ids.push(line["after"]["id"].as_u64().context("an id")?);
            }
        }
        ensure!(run < RUNS_MAX, "{} rows in {run} runs", ids.len());
        if ids.last() == Some(&399) {
            break;
        }
    }
    writing.await??;
    ensure!(fed >= 3, "killed too early or too late: {fed} runs were fed");
    ensure!(ids == (0..400).collect::<Vec<u64>>(), "{ids:?}");
    play.end().await
}

/// Before and after images, statements, XA at its commit, tables that were asked for.
async fn what_is_fed(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    let all = Tail::start(&play, "all", &source.agent.http, &["--from", "latest"])?;
    let replica = play.server("s2")?.agent.http;
    let some = ["--from", "earliest", "--tables", "f.wanted"];
    let some = Tail::start(&play, "some", &replica, &some)?;
    // `latest` is where it is when the feed begins.
    wait::until("the feed is open", SOON, async || {
        sql::run(&source, &["CREATE DATABASE IF NOT EXISTS f"]).await?;
        ensure!(!all.lines()?.is_empty(), "nothing yet");
        Ok(())
    })
    .await?;
    sql::run(
        &source,
        &[
            "CREATE TABLE f.wanted (id INT PRIMARY KEY, word VARCHAR(20))",
            "CREATE TABLE f.other (id INT PRIMARY KEY)",
            "INSERT INTO f.other VALUES (1)",
            "INSERT INTO f.wanted VALUES (1, 'one'), (2, 'two')",
            "UPDATE f.wanted SET word = CONCAT(word, '!')",
            "DELETE FROM f.wanted WHERE id = 1",
            "XA START 'x'",
            "INSERT INTO f.wanted VALUES (3, 'prepared')",
            "XA END 'x'",
            "XA PREPARE 'x'",
        ],
    )
    .await?;
    // A feed that begins between the two phases looks for the first in the log.
    let late = Tail::start(&play, "late", &source.agent.http, &["--from", "latest"])?;
    wait::until("the late feed is open", SOON, async || {
        sql::run(&source, &["CREATE DATABASE IF NOT EXISTS f"]).await?;
        ensure!(!late.lines()?.is_empty(), "nothing yet");
        Ok(())
    })
    .await?;
    wait::until("XA COMMIT from another session", SOON, async || {
        sql::run(&source, &["XA COMMIT 'x'", "INSERT INTO f.wanted VALUES (4, 'end')"]).await
    })
    .await?;
    let ended = |lines: &[Value]| lines.last().is_some_and(|line| line["after"]["id"] == 4);
    let lines = all.until("the last insert", ended).await?;
    as_expected(&lines)?;
    let lines = late.until("the prepared row too", ended).await?;
    ensure!(
        lines.iter().any(|line| line["after"] == json!({ "id": 3, "word": "prepared" })),
        "{lines:#?}"
    );
    let lines = some.until("the same of one table", ended).await?;
    let rows: Vec<&Value> = lines.iter().filter(|line| line["op"] != "ddl").collect();
    ensure!(rows.len() == 7, "{}", rows.len());
    ensure!(rows.iter().all(|line| line["table"]["name"] == "wanted"), "{rows:?}");
    play.end().await
}

/// Everything, from the source.
fn as_expected(lines: &[Value]) -> Result<()> {
    let rows: Vec<&Value> = lines.iter().filter(|line| line["op"] != "ddl").collect();
    let told: Vec<Value> = rows
        .iter()
        .map(|line| json!([line["op"], line["before"], line["after"], line["index"], line["last"]]))
        .collect();
    let row = |id: u32, word: &str| json!({ "id": id, "word": word });
    let expected = [
        json!(["insert", null, { "id": 1 }, 0, true]),
        json!(["insert", null, row(1, "one"), 0, false]),
        json!(["insert", null, row(2, "two"), 1, true]),
        json!(["update", row(1, "one"), row(1, "one!"), 0, false]),
        json!(["update", row(2, "two"), row(2, "two!"), 1, true]),
        json!(["delete", row(1, "one!"), null, 0, true]),
        json!(["insert", null, row(3, "prepared"), 0, true]),
        json!(["insert", null, row(4, "end"), 0, true]),
    ];
    ensure!(told == expected, "{told:#?}");
    ensure!(rows[1]["key"] == json!(["id"]) && rows[1]["table"]["name"] == "wanted", "{}", rows[1]);
    ensure!(
        lines.iter().any(|line| line["statement"] == "CREATE TABLE f.other (id INT PRIMARY KEY)")
    );
    Ok(())
}

/// Its place outlives its agent, moves with its acknowledgements, and is what logs must keep.
async fn a_consumer_belongs_to_no_agent(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    let (one, two) = (play.server("s2")?.agent.http, play.server("s3")?.agent.http);
    let arguments = ["--consumer", "orders", "--from", "earliest", "--no-ack"];
    let tail = Tail::start(&play, "one", &one, &arguments)?;
    sql::run(&source, &["CREATE DATABASE b", "CREATE TABLE b.t (id INT PRIMARY KEY)"]).await?;
    sql::run(&source, &["INSERT INTO b.t VALUES (1)", "INSERT INTO b.t VALUES (2)"]).await?;
    let inserted = |lines: &[Value]| lines.iter().filter(|line| line["op"] == "insert").count();
    let lines = tail.until("two inserts", |lines| inserted(lines) == 2).await?;
    ensure!(acknowledged(&play, "orders").await? == 0, "nobody acknowledged");
    let needs = |status: &Value| status["consumers_need"].as_u64();
    wait::until("the log is held from its beginning", SOON, async || {
        let status = http::json(&two, "/v1/status").await?;
        ensure!(needs(&status) == Some(1), "{status}");
        Ok(())
    })
    .await?;
    let first = lines.iter().find(|line| line["op"] == "insert").context("an insert")?;
    let body = json!({ "token": first["token"] });
    let (status, said) = http::post(&two, "/v1/consumers/orders", body.clone()).await?;
    ensure!(status == 200, "{status} {said}");
    let (status, said) = http::post(&two, "/v1/consumers/nobody", body).await?;
    ensure!(status == 409 && said.contains("PLM722"), "{status} {said}");
    let at = first["lsn"].as_u64().context("an LSN")?;
    wait::until("the log is needed from there", SOON, async || {
        let status = http::json(&source.agent.http, "/v1/status").await?;
        ensure!(needs(&status) == Some(at + 1), "{status}");
        Ok(())
    })
    .await?;
    let status = http::json(&play.coordinator()?, "/v1/status").await?;
    ensure!(status["consumers"][0]["name"] == "orders", "{status}");
    ensure!(status["consumers"][0]["acknowledged_lsn"] == at, "{status}");
    // Another member goes on behind it; also after the coordinator was killed.
    tail.kill().await?;
    play.signal("s2-agent", crate::support::Signal::Kill).await?;
    play.signal("coordinator-1", crate::support::Signal::Kill).await?;
    play.restart("coordinator-1").await?;
    let tail = Tail::start(&play, "two", &two, &["--consumer", "orders"])?;
    let lines = tail.until("the second insert", |lines| inserted(lines) >= 1).await?;
    ensure!(lines[0]["after"]["id"] == 2 && inserted(&lines) == 1, "{lines:?}");
    wait::until("it is acknowledged", SOON, async || {
        ensure!(acknowledged(&play, "orders").await? >= place(&lines[0]).0, "not yet");
        Ok(())
    })
    .await?;
    drop(tail);
    ensure!(delete(&two, "/v1/consumers/orders").await? == 204, "not removed");
    wait::until("nothing is held", SOON, async || {
        let status = http::json(&source.agent.http, "/v1/status").await?;
        ensure!(needs(&status).is_none(), "{status}");
        Ok(())
    })
    .await?;
    play.end().await
}

async fn delete(at: &str, path: &str) -> Result<u16> {
    let url = format!("http://{at}{path}");
    let request = move || ureq::delete(&url).call().map(|answer| answer.status().as_u16());
    Ok(tokio::task::spawn_blocking(request).await??)
}
