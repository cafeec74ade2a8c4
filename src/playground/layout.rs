//! Who is who in a playground: names, folders, ports. Plain data; [`Layout::plan`] is the only
//! function that takes anything (ports).

use std::path::{Path, PathBuf};

use anyhow::Result;
use rand::RngExt;

use super::args::Start;
use super::installation::ServerFamily;
use super::ports::Reserved;
use crate::cluster::AckWhen;

/// Name of the cluster, in its tokens and in the ready file.
pub const CLUSTER: &str = "playground";
/// Account with all privileges, for whoever plays.
pub const USER: &str = "player";
/// Account of the agents.
pub const AGENT_USER: &str = "plimsoll";

/// The whole cluster.
#[derive(Debug)]
pub struct Layout {
    pub dir: PathBuf,
    pub family: ServerFamily,
    pub ack: AckWhen,
    /// Only the servers are started; the other processes find their files, too, and wait for a restart.
    pub bare: bool,
    /// Lines for every server's option file.
    pub server_options: Vec<String>,
    /// Lines for every agent's `[agent]` table.
    pub agent_options: Vec<String>,
    pub servers: Vec<Server>,
    pub witnesses: Vec<Agent>,
    pub coordinator: Coordinator,
    pub timestamps: Vec<Timestamp>,
    pub password: String,
    pub agent_password: String,
    pub secret: String,
}

/// A server and its agent. The first is the source at the start.
#[derive(Debug)]
pub struct Server {
    pub name: String,
    /// From 1, also its `server_id`.
    pub number: usize,
    pub port: u16,
    pub fallback_port: u16,
    pub agent: Agent,
}

/// An agent, beside a server or as a witness.
#[derive(Debug)]
pub struct Agent {
    /// Name of the process: `s1-agent`, `witness-1`.
    pub process: String,
    /// Name of the member: `s1`, `witness-1`.
    pub member: String,
    pub listen: u16,
    pub http: u16,
}

#[derive(Debug)]
pub struct Coordinator {
    pub process: String,
    pub listen: u16,
    pub http: u16,
}

#[derive(Debug)]
pub struct Timestamp {
    pub process: String,
    /// From 0; in every timestamp it issues.
    pub id: usize,
    pub listen: u16,
}

impl Layout {
    /// Names everything and takes the ports.
    ///
    /// # Errors
    /// There are no free ports.
    pub fn plan(start: &Start, dir: &Path, ports: &mut Reserved) -> Result<Layout> {
        let mut servers = Vec::new();
        for number in 1..=1 + start.replicas {
            let name = format!("s{number}");
            let agent = Agent::plan(&format!("{name}-agent"), &name, ports)?;
            let (port, fallback_port) = (ports.take()?, ports.take()?);
            servers.push(Server { name, number, port, fallback_port, agent });
        }
        let mut witnesses = Vec::new();
        for number in 1..=start.witnesses {
            let name = format!("witness-{number}");
            witnesses.push(Agent::plan(&name, &name, ports)?);
        }
        let mut timestamps = Vec::new();
        for id in 0..start.timestamps {
            let process = format!("timestamp-{}", id + 1);
            timestamps.push(Timestamp { process, id, listen: ports.take()? });
        }
        let (listen, http) = (ports.take()?, ports.take()?);
        let coordinator = Coordinator { process: "coordinator-1".to_owned(), listen, http };
        Ok(Layout {
            dir: dir.to_owned(),
            family: start.server(),
            ack: start.ack,
            bare: start.bare,
            server_options: start.server_option.clone(),
            agent_options: start.agent_option.clone(),
            servers,
            witnesses,
            coordinator,
            timestamps,
            password: random_word(),
            agent_password: random_word(),
            secret: random_word() + &random_word(),
        })
    }

    /// Folder of a process's or server's state.
    pub fn home(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A server's folder for temporary tables. Its own: a MariaDB that starts removes what it finds
    /// there, also what is another one's.
    pub fn temporary(&self, server: &Server) -> PathBuf {
        self.dir.join(format!("{}-tmp", server.name))
    }

    /// Where a process's words go.
    pub fn log_of(&self, name: &str) -> PathBuf {
        self.dir.join("output").join(format!("{name}.log"))
    }

    /// Folder of files that are written once at the start.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("conf")
    }

    /// All agents: of servers, then witnesses.
    pub fn agents(&self) -> impl Iterator<Item = (&Agent, Option<&Server>)> {
        let of_servers = self.servers.iter().map(|server| (&server.agent, Some(server)));
        of_servers.chain(self.witnesses.iter().map(|witness| (witness, None)))
    }

    /// The agent whose process has this name.
    pub fn agent(&self, process: &str) -> Option<(&Agent, Option<&Server>)> {
        self.agents().find(|(agent, _)| agent.process == process)
    }

    /// Names of all processes, servers first, in the order in which they are started.
    pub fn names(&self) -> Vec<String> {
        let servers = self.servers.iter().map(|server| server.name.clone());
        let timestamps = self.timestamps.iter().map(|timestamp| timestamp.process.clone());
        let coordinator = std::iter::once(self.coordinator.process.clone());
        let agents = self.agents().map(|(agent, _)| agent.process.clone());
        servers.chain(timestamps).chain(coordinator).chain(agents).collect()
    }
}

impl Agent {
    fn plan(process: &str, member: &str, ports: &mut Reserved) -> Result<Agent> {
        let (listen, http) = (ports.take()?, ports.take()?);
        Ok(Agent { process: process.to_owned(), member: member.to_owned(), listen, http })
    }

    /// Its data folder.
    pub fn data_dir(&self, layout: &Layout) -> PathBuf {
        layout.home(&self.process)
    }

    /// Its log folder: where an agent keeps the log within its data folder.
    pub fn log_dir(&self, layout: &Layout) -> PathBuf {
        self.data_dir(layout).join("log")
    }
}

/// `127.0.0.1:port`.
pub fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// 24 letters and digits: 142 bits.
fn random_word() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let mut random = rand::rng();
    (0..24).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}
