//! A coordinator and a witness in a folder.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::support::playground::{PLIMSOLL, Signal, send};
use crate::support::wait;

/// A process says something, or answers, within this.
pub const SOON: Duration = Duration::from_secs(30);

/// Two roles, and the folder with their files. They end with it.
pub struct Roles {
    folder: TempDir,
    /// HTTP of coordinator and agent.
    pub ports: [String; 2],
    children: Vec<Child>,
}

/// Names of the processes, in the order of [`Roles::ports`].
pub const NAMES: [&str; 2] = ["coordinator", "agent"];

impl Roles {
    /// Writes the configuration, with this table `[http]`. `secret` and `http-token` are there.
    pub fn new(http: &str) -> Result<Roles> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let ports: Vec<String> = free_ports(4)?;
        let [agents, coordinator, listen, agent] = ports.as_slice() else {
            anyhow::bail!("four ports");
        };
        let text = format!(
            "[cluster]\nname = \"roles\"\nsecret_file = \"secret\"\n\n{http}\n\
             [agent]\nname = \"w1\"\ndata_dir = \"w1\"\nlisten = \"{listen}\"\nhttp = \"{agent}\"\n\
             coordinators = [\"{agents}\"]\n\n\
             [coordinator]\ndata_dir = \"c\"\nlisten = \"{agents}\"\nhttp = \"{coordinator}\"\n\
             source = \"s1\"\ntolerate = 1\nmembers = [\n\
             {{ name = \"s1\", listen = \"127.0.0.1:1\" }},\n\
             {{ name = \"w1\", listen = \"{listen}\", witness = true }},\n]\n"
        );
        let ports = [coordinator.clone(), agent.clone()];
        let roles = Roles { folder, ports, children: Vec::new() };
        roles.write("plimsoll.toml", &text)?;
        roles.write("secret", "a-secret-of-the-tests\n")?;
        roles.write("http-token", "a-token-of-the-tests\n")?;
        Ok(roles)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.path(name), text).with_context(|| format!("write {name}"))
    }

    /// Starts both, and returns when both answer `/healthz` as `healthy` sees it.
    pub async fn start(&mut self, healthy: impl AsyncFn(&str) -> bool) -> Result<()> {
        for name in NAMES {
            let words = File::create(self.path(&format!("{name}.log")))?;
            let mut command = Command::new(PLIMSOLL);
            command.arg(name).arg("--config").arg(self.path("plimsoll.toml"));
            command.stdin(Stdio::null()).stdout(words.try_clone()?).stderr(words);
            self.children.push(command.spawn().with_context(|| format!("start {name}"))?);
        }
        for (name, port) in NAMES.iter().zip(&self.ports) {
            wait::until("a role answers", SOON, async || {
                ensure!(healthy(port).await, "{name}: {}", self.words(name));
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// What a process has said so far.
    pub fn words(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// SIGHUP to both; returns when both have said `word`.
    pub async fn hang_up(&self, word: &str) -> Result<()> {
        for (name, child) in NAMES.iter().zip(&self.children) {
            let before = self.words(name).matches(word).count();
            send(child.id(), Signal::Hangup)?;
            wait::until("a role has read its files again", SOON, async || {
                let said = self.words(name);
                ensure!(said.matches(word).count() > before, "{name} has not said {word}: {said}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// A verb, as an operator runs it.
    pub fn plimsoll(&self, arguments: &[&str], files: &[(&str, &Path)]) -> Result<Output> {
        let mut command = Command::new(PLIMSOLL);
        command.args(arguments).env_remove("PLIMSOLL_HTTP_TOKEN");
        for (flag, file) in files {
            command.arg(flag).arg(file);
        }
        command.output().context("start plimsoll")
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn free_ports(count: usize) -> Result<Vec<String>> {
    let taken: std::io::Result<Vec<TcpListener>> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    taken?.iter().map(|port| Ok(port.local_addr()?.to_string())).collect()
}
