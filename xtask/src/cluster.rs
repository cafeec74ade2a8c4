//! A cluster to tell of and to measure: `plimsoll playground` as a child process, seen through its
//! ready file, its servers' SQL, and the HTTP of its other processes.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::{cargo, servers};

const START_MAX: Duration = Duration::from_secs(150);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Which servers a cluster consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    Mariadb,
    Mysql,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Family::Mariadb => "mariadb",
            Family::Mysql => "mysql",
        }
    }

    /// Installs its servers and builds our program, in release mode.
    ///
    /// # Errors
    /// What could not be done.
    pub fn prepare(self) -> Result<()> {
        servers::install(match self {
            Family::Mariadb => servers::Mysql::NotNow,
            Family::Mysql => servers::Mysql::Wanted,
        })?;
        println!("building (the first time takes some minutes)");
        cargo::run(&["build", "--release", "--package", "plimsoll"])
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Ready {
    servers: Vec<Server>,
    witnesses: Vec<Witness>,
    coordinators: Vec<Coordinator>,
    timestamps: Vec<Timestamp>,
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
    /// 0 while it has never been started.
    pub pid: u32,
    /// Its log folder.
    pub log: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
struct Witness {
    agent: Agent,
}

#[derive(Debug, Clone, Deserialize)]
struct Coordinator {
    http: String,
    pid: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct Timestamp {
    pid: u32,
}

/// A running playground. Dropping it ends it.
pub struct Cluster {
    child: Child,
    home: PathBuf,
}

impl Cluster {
    /// Starts one with these further arguments and returns when it is usable. Ends with the thread
    /// that calls this, however that ends.
    pub async fn start(family: Family, arguments: &[&str]) -> Result<Cluster> {
        let home = new_folder()?;
        let log = std::fs::File::create(home.join("playground.log"))?;
        let mut command = Command::new(program());
        command.args(["playground", "--server", family.name()]).args(arguments);
        command.arg("--dir").arg(home.join("play"));
        command.arg("--ready-file").arg(home.join("ready.json"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        end_with_this_thread(&mut command);
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

    /// Its folder.
    pub fn dir(&self) -> PathBuf {
        self.home.join("play")
    }

    /// A folder for whatever is done with it; goes with it.
    pub fn beside(&self) -> &Path {
        &self.home
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

    /// The single text of a query.
    pub async fn text(server: &Server, query: &str) -> Result<String> {
        let mut conn = Cluster::connect(server).await?;
        let text: Option<String> = conn.query_first(query).await?;
        conn.disconnect().await?;
        text.with_context(|| format!("{query}: no row"))
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
        kill(self.server(name)?.agent.pid, signal)
    }

    /// Kills every process but the servers and removes what they kept: none was ever started then.
    pub async fn forget_roles(&self) -> Result<()> {
        let ready = self.ready()?;
        let agents = ready.servers.iter().map(|server| &server.agent);
        let agents = agents.chain(ready.witnesses.iter().map(|witness| &witness.agent));
        let pids = agents.clone().map(|agent| agent.pid);
        let pids = pids.chain(ready.coordinators.iter().map(|coordinator| coordinator.pid));
        let pids = pids.chain(ready.timestamps.iter().map(|timestamp| timestamp.pid));
        for pid in pids.filter(|pid| *pid != 0 && Path::new(&format!("/proc/{pid}")).exists()) {
            kill(pid, "KILL")?;
            while Path::new(&format!("/proc/{pid}")).exists() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
        let homes = agents.filter_map(|agent| agent.log.parent().map(Path::to_owned));
        let others = ["coordinator-1", "timestamp-1"].map(|name| self.dir().join(name));
        for home in homes.chain(others).filter(|home| home.exists()) {
            std::fs::remove_dir_all(&home).with_context(|| format!("remove {}", home.display()))?;
        }
        Ok(())
    }

    /// `plimsoll playground restart`: also of what was never started.
    pub async fn restart(&self, name: &str) -> Result<()> {
        let mut command = tokio::process::Command::new(program());
        command.args(["playground", "restart", "--dir"]).arg(self.dir()).arg(name);
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
                return Ok(status.success() && !self.dir().exists());
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

/// A new folder for temporary files.
pub fn new_folder() -> Result<PathBuf> {
    let mut number = 0;
    loop {
        let name = format!("plimsoll-xtask-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error).context(format!("make {}", folder.display())),
        }
    }
}

fn kill(pid: u32, signal: &str) -> Result<()> {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -\"$0\" \"$1\"", signal, &pid.to_string()]);
    let status = kill.status().context("start kill")?;
    if !status.success() {
        bail!("kill -{signal} {pid} ended with {status}");
    }
    Ok(())
}

/// Has the kernel ask the child to end when the thread that starts it is gone, for whatever reason.
#[allow(unsafe_code)]
pub fn end_with_this_thread(command: &mut Command) {
    let ask = || {
        // SAFETY: prctl with these arguments takes plain numbers only.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec `ask` makes one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(ask) };
}

/// Our own program, as `Family::prepare` builds it.
pub fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| cargo::workspace().join("target"));
    cargo::workspace().join(target).join("release/plimsoll")
}

/// `http://at/path`: JSON.
pub async fn get(at: &str, path: &str) -> Result<Value> {
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
