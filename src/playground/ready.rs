//! The ready file: where everything is, as JSON, replaced whole.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::layout::{Agent, CLUSTER, Layout, USER, local};

/// The file's shape. Addresses are `host:port`; a pid is that of the child's latest process.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Ready {
    cluster: &'static str,
    servers: Vec<ReadyServer>,
    witnesses: Vec<ReadyWitness>,
    coordinators: Vec<ReadyHttp>,
    timestamps: Vec<ReadyTimestamp>,
    /// None in this version.
    routers: Vec<ReadyHttp>,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct ReadyServer {
    name: String,
    role: &'static str,
    host: &'static str,
    port: u16,
    user: &'static str,
    password: String,
    pid: u32,
    agent: ReadyAgent,
}

#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
struct ReadyAgent {
    http: String,
    pid: u32,
    /// Its log folder.
    log: PathBuf,
}

/// A witness is nothing but its agent: the same facts stand beside its name, too.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct ReadyWitness {
    name: String,
    #[serde(flatten)]
    flat: ReadyAgent,
    agent: ReadyAgent,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct ReadyHttp {
    name: String,
    http: String,
    pid: u32,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct ReadyTimestamp {
    name: String,
    addr: String,
    pid: u32,
}

impl Ready {
    /// Describes the cluster with `source` as the member whose server takes writes.
    pub fn new(layout: &Layout, source: &str, pid: impl Fn(&str) -> u32) -> Ready {
        let agent = |agent: &Agent| ReadyAgent {
            http: local(agent.http),
            pid: pid(&agent.process),
            log: agent.log_dir(layout),
        };
        let servers = layout.servers.iter().map(|server| ReadyServer {
            name: server.name.clone(),
            role: if server.agent.member == source { "source" } else { "replica" },
            host: "127.0.0.1",
            port: server.port,
            user: USER,
            password: layout.password.clone(),
            pid: pid(&server.name),
            agent: agent(&server.agent),
        });
        let witnesses = layout.witnesses.iter().map(|witness| ReadyWitness {
            name: witness.process.clone(),
            flat: agent(witness),
            agent: agent(witness),
        });
        let coordinator = &layout.coordinator;
        let timestamps = layout.timestamps.iter().map(|timestamp| ReadyTimestamp {
            name: timestamp.process.clone(),
            addr: local(timestamp.listen),
            pid: pid(&timestamp.process),
        });
        Ready {
            cluster: CLUSTER,
            servers: servers.collect(),
            witnesses: witnesses.collect(),
            coordinators: vec![ReadyHttp {
                name: coordinator.process.clone(),
                http: local(coordinator.http),
                pid: pid(&coordinator.process),
            }],
            timestamps: timestamps.collect(),
            routers: Vec::new(),
        }
    }

    /// Replaces `file`: a reader sees the old text or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let shown = file.display();
        let name = file.file_name().with_context(|| format!("{shown} is no file name"))?;
        let beside = file.with_file_name(format!(".{}.new", name.to_string_lossy()));
        let text = serde_json::to_string_pretty(self).context("the ready file as JSON")?;
        let mut new = super::files::private_file(&beside)?;
        new.write_all(text.as_bytes()).with_context(|| format!("write {}", beside.display()))?;
        new.write_all(b"\n").with_context(|| format!("write {}", beside.display()))?;
        std::fs::rename(&beside, file).with_context(|| format!("replace {shown}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::super::args::Start;
    use super::super::ports::Reserved;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        start: Start,
    }

    #[test]
    fn the_shape_is_the_promised_one() {
        let line = ["x", "--server", "mysql", "--replicas", "1", "--witnesses", "1"];
        let start = Line::parse_from(line).start;
        let layout =
            Layout::plan(&start, Path::new("/d"), &mut Reserved::default()).expect("ports");
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("ready.json");
        let pid = |name: &str| u32::try_from(name.len()).expect("short");
        for source in ["s1", "s2"] {
            Ready::new(&layout, source, pid).write(&file).expect("written");
        }
        let text = std::fs::read_to_string(&file).expect("there");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["servers"][0]["role"], "replica");
        let second = &layout.servers[1];
        let expected = json!({
            "name": "s2", "role": "source", "host": "127.0.0.1", "port": second.port,
            "user": USER, "password": layout.password, "pid": 2,
            "agent": { "http": local(second.agent.http), "pid": 8, "log": "/d/s2-agent/log" },
        });
        assert_eq!(value["servers"][1], expected);
        assert_eq!(value["witnesses"][0]["name"], "witness-1");
        assert_eq!(value["witnesses"][0]["log"], "/d/witness-1/log");
        assert_eq!(value["witnesses"][0]["agent"]["pid"], 9);
        assert_eq!(value["coordinators"][0]["http"], local(layout.coordinator.http));
        assert_eq!(value["timestamps"][0]["addr"], local(layout.timestamps[0].listen));
        assert_eq!(value["routers"], json!([]));
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 1, "nothing left beside");
    }
}
