//! A cluster under test: `plimsoll playground` as a child process.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::{Family, wait};

/// The first start on a machine makes templates.
const START_MAX: Duration = Duration::from_secs(150);
/// What the playground promises for its end.
const END_MAX: Duration = Duration::from_secs(20);

/// The binary under test.
pub const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");

/// The ready file.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    pub servers: Vec<Server>,
    pub witnesses: Vec<Witness>,
    pub coordinators: Vec<Http>,
    pub timestamps: Vec<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    pub name: String,
    pub role: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub pid: u32,
    pub agent: Agent,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Agent {
    pub http: String,
    pub pid: u32,
    pub log: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Witness {
    pub name: String,
    pub agent: Agent,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Http {
    pub http: String,
    pub pid: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Timestamp {
    pub addr: String,
    pub pid: u32,
}

/// What can be sent to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Kill,
    Stop,
    Continue,
    Terminate,
    Hangup,
}

/// A running cluster. Dropped without [`Playground::end`], it shows what its processes said last.
pub struct Playground {
    child: Option<Child>,
    home: TempDir,
}

impl Playground {
    /// A source and two replicas.
    pub async fn start(family: Family) -> Result<Playground> {
        Playground::start_with(family, &[]).await
    }

    /// With more arguments. Returns when the cluster is usable.
    pub async fn start_with(family: Family, arguments: &[&str]) -> Result<Playground> {
        Playground::start_by(Command::new(PLIMSOLL), family, arguments).await
    }

    /// In a mount namespace of its own: what is mounted there goes with it. Needs root.
    pub async fn start_in_own_mounts(family: Family) -> Result<Playground> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", PLIMSOLL]);
        Playground::start_by(command, family, &[]).await
    }

    async fn start_by(
        mut command: Command,
        family: Family,
        arguments: &[&str],
    ) -> Result<Playground> {
        let home = tempfile::tempdir().context("make a folder")?;
        let words = File::create(home.path().join("playground.log"))?;
        command.args(["playground", "--server", &family.to_string()]).args(arguments);
        command.arg("--dir").arg(home.path().join("play"));
        command.arg("--ready-file").arg(home.path().join("ready.json"));
        command.stdin(Stdio::null()).stdout(words.try_clone()?).stderr(words);
        end_with_this_thread(&mut command);
        let child = command.spawn().with_context(|| format!("start {PLIMSOLL}"))?;
        let mut play = Playground { child: Some(child), home };
        let file = play.ready_file();
        let ended = wait::until("the playground is usable", START_MAX, async || {
            let ended = play.child.as_mut().context("just started")?.try_wait()?;
            ensure!(ended.is_some() || file.exists(), "neither ready nor ended");
            Ok(ended)
        });
        if let Some(status) = ended.await? {
            bail!("the playground ended with {status}:\n{}", play.words("../playground"));
        }
        Ok(play)
    }

    /// Where everything is now.
    pub fn ready(&self) -> Result<Ready> {
        let text = std::fs::read_to_string(self.ready_file()).context("read the ready file")?;
        serde_json::from_str(&text).with_context(|| format!("the ready file: {text}"))
    }

    fn ready_file(&self) -> PathBuf {
        self.home.path().join("ready.json")
    }

    /// The playground's folder.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("play")
    }

    /// The playground's own pid.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("it has ended")?.id())
    }

    /// The server that takes writes.
    pub fn source(&self) -> Result<Server> {
        let servers = self.ready()?.servers;
        servers.into_iter().find(|server| server.role == "source").context("no source")
    }

    /// The others.
    pub fn replicas(&self) -> Result<Vec<Server>> {
        let servers = self.ready()?.servers;
        Ok(servers.into_iter().filter(|server| server.role == "replica").collect())
    }

    /// The server of this name.
    pub fn server(&self, name: &str) -> Result<Server> {
        let servers = self.ready()?.servers;
        servers.into_iter().find(|server| server.name == name).with_context(|| format!("no {name}"))
    }

    /// `host:port` of the coordinator's HTTP.
    pub fn coordinator(&self) -> Result<String> {
        Ok(self.ready()?.coordinators.first().context("no coordinator")?.http.clone())
    }

    /// The pid of a process, by the name that `restart` knows it under.
    pub fn pid_of(&self, name: &str) -> Result<u32> {
        let ready = self.ready()?;
        let number = |prefix: &str| -> Option<usize> {
            name.strip_prefix(prefix)?.parse::<usize>().ok()?.checked_sub(1)
        };
        let server = ready.servers.iter().find(|server| name.starts_with(&server.name));
        let pid = match server {
            Some(server) if server.name == name => Some(server.pid),
            Some(server) => Some(server.agent.pid),
            None => None,
        };
        let coordinator =
            || number("coordinator-").and_then(|i| Some(ready.coordinators.get(i)?.pid));
        let timestamp = || number("timestamp-").and_then(|i| Some(ready.timestamps.get(i)?.pid));
        let witness = || number("witness-").and_then(|i| Some(ready.witnesses.get(i)?.agent.pid));
        let pid = pid.or_else(coordinator).or_else(timestamp).or_else(witness);
        pid.with_context(|| format!("no process {name}"))
    }

    /// Sends a signal to a process; after a kill, returns when it is gone.
    pub async fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let pid = self.pid_of(name)?;
        send(pid, signal)?;
        if signal == Signal::Kill {
            wait::until("a killed process is gone", Duration::from_secs(10), async || {
                ensure!(!exists(pid), "{name} ({pid}) still runs");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// `plimsoll playground restart`.
    pub async fn restart(&self, name: &str) -> Result<()> {
        let mut command = tokio::process::Command::new(PLIMSOLL);
        command.args(["playground", "restart", "--dir"]).arg(self.dir()).arg(name);
        let done = command.output().await.context("start playground restart")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "restart {name}: {}: {said}", done.status);
        Ok(())
    }

    /// Everything a process has said so far.
    pub fn words(&self, name: &str) -> String {
        let file = self.dir().join("output").join(format!("{name}.log"));
        let file = match name.strip_prefix("../") {
            Some(own) => self.home.path().join(format!("{own}.log")),
            None => file,
        };
        String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
    }

    /// Ends the cluster, and checks that nothing of it is left.
    pub async fn end(mut self) -> Result<()> {
        let pids = self.pids()?;
        let mut child = self.child.take().context("it has ended")?;
        send(child.id(), Signal::Terminate)?;
        let status = wait::until("the playground ends", END_MAX, async || {
            child.try_wait()?.context("still runs")
        })
        .await?;
        ensure!(
            status.success(),
            "the playground ended with {status}: {}",
            self.words("../playground")
        );
        let left: Vec<u32> = pids.into_iter().filter(|pid| exists(*pid)).collect();
        ensure!(left.is_empty(), "left behind: processes {left:?}");
        ensure!(!self.dir().exists(), "left behind: {}", self.dir().display());
        Ok(())
    }

    /// All children, as the ready file has them.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let ready = self.ready()?;
        let servers = ready.servers.iter().flat_map(|server| [server.pid, server.agent.pid]);
        let witnesses = ready.witnesses.iter().map(|witness| witness.agent.pid);
        let coordinators = ready.coordinators.iter().map(|coordinator| coordinator.pid);
        let timestamps = ready.timestamps.iter().map(|timestamp| timestamp.pid);
        Ok(servers.chain(witnesses).chain(coordinators).chain(timestamps).collect())
    }

    fn tell_last_words(&self) {
        let mut files = vec![self.home.path().join("playground.log")];
        let output = std::fs::read_dir(self.dir().join("output"));
        files.extend(output.into_iter().flatten().flatten().map(|entry| entry.path()));
        files.sort();
        for file in files {
            let text =
                String::from_utf8_lossy(&std::fs::read(&file).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(25)..];
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            eprintln!("---- {name}, last of {} lines\n{}", lines.len(), last.join("\n"));
        }
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        self.tell_last_words();
        // Its children end with it.
        drop(child.kill());
        drop(child.wait());
        if std::env::var_os("PLIMSOLL_TEST_KEEP").is_some() {
            self.home.disable_cleanup(true);
            eprintln!("left behind: {}", self.home.path().display());
        }
    }
}

/// Has the playground end in order when the test's thread is gone: a run of tests that was killed
/// leaves nothing.
#[allow(unsafe_code)]
fn end_with_this_thread(command: &mut Command) {
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

/// Whether a process of this pid is there, as a zombie too.
pub fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Sends a signal by pid.
#[allow(unsafe_code)]
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let number = match signal {
        Signal::Kill => libc::SIGKILL,
        Signal::Stop => libc::SIGSTOP,
        Signal::Continue => libc::SIGCONT,
        Signal::Terminate => libc::SIGTERM,
        Signal::Hangup => libc::SIGHUP,
    };
    let pid = libc::pid_t::try_from(pid)?;
    ensure!(pid > 1, "{pid} is no child of the playground");
    // SAFETY: plain numbers only.
    let done = unsafe { libc::kill(pid, number) };
    if done != 0 {
        bail!("signal {signal:?} to {pid}: {}", std::io::Error::last_os_error());
    }
    Ok(())
}
