//! The cluster of the story: `plimsoll playground` as a child process, seen through its ready file.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::cargo;

const START_MAX: Duration = Duration::from_secs(150);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Deserialize)]
struct Ready {
    servers: Vec<Server>,
    coordinators: Vec<Coordinator>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    pub name: String,
    pub role: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub agent: Agent,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Agent {
    pub http: String,
    pub pid: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct Coordinator {
    http: String,
}

/// A running playground. Dropping it ends it.
pub struct Cluster {
    child: Child,
    home: PathBuf,
}

impl Cluster {
    /// Starts one and returns when it is usable.
    pub async fn start(family: &str) -> Result<Cluster> {
        let home = std::env::temp_dir().join(format!("plimsoll-demo-{}", std::process::id()));
        std::fs::create_dir(&home).with_context(|| format!("make {}", home.display()))?;
        let log = std::fs::File::create(home.join("playground.log"))?;
        let mut command = Command::new(program());
        command.args(["playground", "--server", family]);
        command.arg("--dir").arg(home.join("play"));
        command.arg("--ready-file").arg(home.join("ready.json"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("start plimsoll playground")?;
        let mut cluster = Cluster { child, home };
        let until = Instant::now() + START_MAX;
        while !cluster.home.join("ready.json").exists() {
            let ended = cluster.child.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let said = std::fs::read_to_string(cluster.home.join("playground.log"))?;
                bail!("the playground does not come up: {}", said.trim());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(cluster)
    }

    fn ready(&self) -> Result<Ready> {
        let text = std::fs::read_to_string(self.home.join("ready.json"))?;
        serde_json::from_str(&text).context("the ready file")
    }

    pub fn servers(&self) -> Result<Vec<Server>> {
        Ok(self.ready()?.servers)
    }

    pub fn server(&self, name: &str) -> Result<Server> {
        let found = self.servers()?.into_iter().find(|server| server.name == name);
        found.with_context(|| format!("there is no {name}"))
    }

    pub fn source(&self) -> Result<Server> {
        let found = self.servers()?.into_iter().find(|server| server.role == "source");
        found.context("there is no source")
    }

    /// The coordinator's view.
    pub async fn status(&self) -> Result<Value> {
        let ready = self.ready()?;
        let coordinator = ready.coordinators.first().context("there is no coordinator")?;
        get(&coordinator.http, "/v1/status").await
    }

    /// A session at a server.
    pub async fn connect(server: &Server) -> Result<Conn> {
        let options = OptsBuilder::default()
            .ip_or_hostname(server.host.clone())
            .tcp_port(server.port)
            .prefer_socket(false)
            .user(Some(server.user.clone()))
            .pass(Some(server.password.clone()));
        Conn::new(options).await.with_context(|| format!("log in at {}", server.name))
    }

    /// Runs one statement.
    pub async fn run(server: &Server, statement: &str) -> Result<()> {
        let mut conn = Cluster::connect(server).await?;
        conn.query_drop(statement).await.with_context(|| statement.to_owned())?;
        Ok(conn.disconnect().await?)
    }

    /// The single number of a query; its last column.
    pub async fn number(server: &Server, query: &str) -> Result<u64> {
        let mut conn = Cluster::connect(server).await?;
        let row: Option<mysql_async::Row> = conn.query_first(query).await?;
        let row = row.with_context(|| format!("{query}: no row"))?;
        let last = row.len().saturating_sub(1);
        let number =
            row.get_opt::<u64, usize>(last).with_context(|| format!("{query}: no column"))?;
        conn.disconnect().await?;
        number.with_context(|| format!("{query}: no number"))
    }

    /// A token that covers everything acknowledged so far.
    pub async fn token(source: &Server) -> Result<String> {
        let answer = get(&source.agent.http, "/v1/token").await?;
        Ok(answer["token"].as_str().context("no token in the answer")?.to_owned())
    }

    /// Returns when the replica has applied up to the token.
    pub async fn applied(replica: &Server, token: &str, within: Duration) -> Result<()> {
        let path = format!("/v1/wait?after={token}&timeout={}ms", within.as_millis());
        get(&replica.agent.http, &path).await.map(drop)
    }

    /// Sends a signal to a server's agent: `STOP`, `CONT`, `KILL`.
    pub fn signal_agent(&self, name: &str, signal: &str) -> Result<()> {
        let pid = self.server(name)?.agent.pid.to_string();
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -\"$0\" \"$1\"", signal, &pid]);
        let status = kill.status().context("start kill")?;
        if !status.success() {
            bail!("kill -{signal} {pid} ended with {status}");
        }
        Ok(())
    }

    /// `plimsoll playground restart`.
    pub async fn restart(&self, name: &str) -> Result<()> {
        let mut command = tokio::process::Command::new(program());
        command.args(["playground", "restart", "--dir"]).arg(self.home.join("play")).arg(name);
        let status = command.status().await.context("start playground restart")?;
        if !status.success() {
            bail!("restart {name} ended with {status}");
        }
        Ok(())
    }

    /// Ends it in order; whether nothing is left.
    pub async fn end(mut self) -> Result<bool> {
        let pid = self.child.id().to_string();
        Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status()?;
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success() && !self.home.join("play").exists());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(false)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its children end with it; nothing happens if it has ended in order.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.home));
    }
}

fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| cargo::workspace().join("target"));
    cargo::workspace().join(target).join("release/plimsoll")
}

async fn get(at: &str, path: &str) -> Result<Value> {
    let url = format!("http://{at}{path}");
    let asked = tokio::task::spawn_blocking(move || {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .proxy(None)
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut answer = agent.get(&url).call().with_context(|| format!("GET {url}"))?;
        let (status, text) = (answer.status(), answer.body_mut().read_to_string()?);
        if !status.is_success() {
            bail!("GET {url}: {status}: {}", text.trim());
        }
        serde_json::from_str(&text).with_context(|| format!("GET {url}: {text}"))
    });
    asked.await.context("the asking task ended")?
}
