//! The playground as a whole: its start, its requests, its end.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::args::Start;
use super::control::{self, Request};
use super::folder::Folder;
use super::installation::Installation;
use super::layout::{Layout, Server, local};
use super::ports::Reserved;
use super::process::Process;
use super::ready::Ready;
use super::{files, view};

/// A slow machine needs a while for its first templates; more than this is a fault.
const START_MAX: Duration = Duration::from_secs(120);
/// A child that is not up by then will not come.
const RESTART_MAX: Duration = Duration::from_secs(60);
/// A server with COMMITs that wait may never end when asked; then it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// At the end nothing is kept, so nobody gets long.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// How soon a change of roles is seen.
const ROLE_INTERVAL: Duration = Duration::from_millis(250);
/// Between two looks at something that is expected.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A line for whoever watches; that nobody does any more is no reason to end.
macro_rules! say {
    ($($text:tt)*) => {
        let _ = writeln!(std::io::stdout(), $($text)*);
    };
}

/// Runs a cluster until SIGINT or SIGTERM.
///
/// # Errors
/// It cannot be started.
pub async fn run(start: Start) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let folder = Folder::prepare(start.dir.as_deref(), start.keep)?;
    let mut cluster = Cluster::plan(&start, &folder)?;
    let outcome = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        outcome = cluster.live(&folder) => outcome,
    };
    say!("ending");
    cluster.end().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

struct Cluster {
    layout: Layout,
    installation: Installation,
    /// Our own program, which is every role's.
    program: PathBuf,
    ready_file: Option<PathBuf>,
    reserved: Reserved,
    children: BTreeMap<String, Process>,
    /// As the coordinator last said.
    source: String,
}

impl Cluster {
    fn plan(start: &Start, folder: &Folder) -> Result<Cluster> {
        let installation = Installation::find(start.server())?;
        let mut reserved = Reserved::default();
        let layout = Layout::plan(start, folder.path(), &mut reserved)?;
        let program = std::env::current_exe().context("find our own program")?;
        let ready_file = start.ready_file.as_deref().map(std::path::absolute).transpose()?;
        let source = layout.servers[0].agent.member.clone();
        let children = BTreeMap::new();
        Ok(Cluster { layout, installation, program, ready_file, reserved, children, source })
    }

    async fn live(&mut self, folder: &Folder) -> Result<()> {
        let began = Instant::now();
        say!("{} {}", self.installation.family.name(), self.installation.version);
        tokio::task::block_in_place(|| files::write(&self.layout, &self.installation))?;
        let mut requests = control::listen(folder)?;
        for name in self.layout.names() {
            // An agent finds its server and the services up; none of them would mind otherwise.
            if name == self.layout.timestamps[0].process {
                self.servers_are_up().await?;
                if self.layout.bare {
                    break;
                }
            }
            self.start(&name)?;
        }
        self.becomes_usable(began + START_MAX).await?;
        self.write_ready()?;
        self.announce(began.elapsed());
        self.serve(&mut requests).await
    }

    /// Starts the process of this name, which must not run.
    fn start(&mut self, name: &str) -> Result<()> {
        let command = self.command(name).with_context(|| self.unknown(name))?;
        let ports = self.ports(name);
        self.reserved.release(&ports);
        let process = Process::start(command, &self.layout.log_of(name))?;
        self.children.insert(name.to_owned(), process);
        Ok(())
    }

    fn command(&self, name: &str) -> Option<Command> {
        let layout = &self.layout;
        if let Some(server) = self.server(name) {
            let mut command = self.installation.server();
            let options = layout.conf().join(format!("{}.cnf", server.name));
            command.arg(format!("--defaults-file={}", options.display()));
            if !self.children.contains_key(name) {
                let accounts = layout.conf().join(files::ACCOUNTS);
                command.arg(format!("--init-file={}", accounts.display()));
            }
            return Some(command);
        }
        let role = if layout.agent(name).is_some() {
            "agent"
        } else if layout.coordinator.process == name {
            "coordinator"
        } else if layout.timestamps.iter().any(|timestamp| timestamp.process == name) {
            "timestamp"
        } else {
            return None;
        };
        let mut command = Command::new(&self.program);
        command.arg(role).arg("--config").arg(layout.conf().join(format!("{name}.toml")));
        Some(command)
    }

    fn server(&self, name: &str) -> Option<&Server> {
        self.layout.servers.iter().find(|server| server.name == name)
    }

    fn ports(&self, name: &str) -> Vec<u16> {
        let layout = &self.layout;
        let server = self.server(name).map(|server| vec![server.port, server.fallback_port]);
        let agent = layout.agent(name).map(|(agent, _)| vec![agent.listen, agent.http]);
        let timestamp = layout.timestamps.iter().find(|timestamp| timestamp.process == name);
        let timestamp = timestamp.map(|timestamp| vec![timestamp.listen]);
        let coordinator = || vec![layout.coordinator.listen, layout.coordinator.http];
        server.or(agent).or(timestamp).unwrap_or_else(coordinator)
    }

    fn unknown(&self, name: &str) -> String {
        format!("there is no {name} here; there are: {}", self.layout.names().join(" "))
    }

    async fn servers_are_up(&self) -> Result<()> {
        for server in &self.layout.servers {
            self.is_up(&server.name, Instant::now() + START_MAX).await?;
        }
        Ok(())
    }

    /// Returns when the child answers; an error when it has ended, or time is up.
    async fn is_up(&self, name: &str, until: Instant) -> Result<()> {
        let process = self.children.get(name).with_context(|| self.unknown(name))?;
        loop {
            let Err(reason) = self.answers(name).await else {
                return Ok(());
            };
            if let Some(status) = process.ended() {
                bail!("{name} ended with {status}:\n  {}", process.last_words());
            }
            if Instant::now() > until {
                bail!("{name} does not come up: {reason:#}\n  {}", process.last_words());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn answers(&self, name: &str) -> Result<()> {
        let layout = &self.layout;
        if let Some(server) = self.server(name) {
            return Ok(view::log_in(layout, server).await?.disconnect().await?);
        }
        if let Some((agent, _)) = layout.agent(name) {
            return view::status(agent.http).await.map(drop);
        }
        if layout.coordinator.process == name {
            return view::status(layout.coordinator.http).await.map(drop);
        }
        for timestamp in layout.timestamps.iter().filter(|timestamp| timestamp.process == name) {
            tokio::net::TcpStream::connect(local(timestamp.listen)).await?;
        }
        Ok(())
    }

    async fn becomes_usable(&mut self, until: Instant) -> Result<()> {
        if self.layout.bare {
            return Ok(());
        }
        loop {
            let reason = match view::usable(&self.layout).await {
                Ok(source) => {
                    self.source = source;
                    return Ok(());
                }
                Err(reason) => reason,
            };
            for (name, process) in &self.children {
                if let Some(status) = process.ended() {
                    bail!("{name} ended with {status}:\n  {}", process.last_words());
                }
            }
            if Instant::now() > until {
                bail!("the cluster does not become usable: {reason:#}");
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn serve(&mut self, requests: &mut mpsc::Receiver<Request>) -> Result<()> {
        let mut look = tokio::time::interval(ROLE_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = requests.recv() => {
                    let Request { name, answer } = request.context("the control socket ended")?;
                    // An asker that went away does not want to know.
                    drop(answer.send(self.restart(&name).await));
                }
                _ = look.tick() => self.look_at_roles().await?,
            }
        }
    }

    /// Stops the child if it runs, starts it, and returns when it is up and the file says so.
    async fn restart(&mut self, name: &str) -> Result<()> {
        if let Some(process) = self.children.get(name) {
            process.stop(STOP_PATIENCE).await;
        }
        self.start(name)?;
        say!("{name} started again");
        // Whoever reads the file while this waits sees the pid that is there.
        self.write_ready()?;
        self.is_up(name, Instant::now() + RESTART_MAX).await
    }

    /// While the coordinator is down, the roles stay what they were.
    async fn look_at_roles(&mut self) -> Result<()> {
        if self.layout.bare {
            return Ok(());
        }
        let Ok(source) = view::source(&self.layout).await else {
            return Ok(());
        };
        if source != self.source {
            say!("{source} is source now");
            self.source = source;
            self.write_ready()?;
        }
        Ok(())
    }

    fn write_ready(&self) -> Result<()> {
        let Some(file) = &self.ready_file else {
            return Ok(());
        };
        let pid = |name: &str| self.children.get(name).map_or(0, Process::pid);
        Ready::new(&self.layout, &self.source, pid).write(file)
    }

    fn announce(&self, took: Duration) {
        let layout = &self.layout;
        say!("usable after {:.1} s, in {}", took.as_secs_f64(), layout.dir.display());
        for server in &layout.servers {
            let role = if server.agent.member == self.source { "source " } else { "replica" };
            let (server_at, agent_at) = (local(server.port), local(server.agent.http));
            say!("  {:<10} {role}  {server_at}  agent http://{agent_at}", server.name);
        }
        for witness in &layout.witnesses {
            say!("  {:<10} witness  agent http://{}", witness.process, local(witness.http));
        }
        say!("  {}  http://{}", layout.coordinator.process, local(layout.coordinator.http));
        if layout.bare {
            let waiting = self.layout.names().split_off(self.children.len());
            say!("  not started: {}", waiting.join(" "));
        }
        say!("  user {}, password {}", super::layout::USER, layout.password);
        say!("Ctrl-C ends it and removes everything");
    }

    /// Ends every child. Roles are asked first; servers are killed, because their data goes too, and
    /// one with COMMITs that wait would not end by being asked.
    async fn end(&mut self) {
        let is_server = |name: &str| self.server(name).is_some();
        let roles = self.children.iter().filter(|(name, _)| !is_server(name));
        let mut stopping = Vec::new();
        for (_, process) in roles {
            stopping.push(process.stop(END_PATIENCE));
        }
        join_all(stopping).await;
        for process in self.children.values() {
            process.kill();
            process.wait().await;
        }
        if let Some(file) = &self.ready_file {
            // Not there yet if the start failed.
            drop(std::fs::remove_file(file));
        }
    }
}

/// Drives all to their end at once.
async fn join_all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut pending: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
