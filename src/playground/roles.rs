//! The configuration file of each role, as a person would write it.

use std::path::Path;

use super::layout::{AGENT_USER, Agent, CLUSTER, Layout, Server, local};
use crate::cluster::AckWhen;

/// Files with secrets, beside the configurations.
pub const SECRET_FILE: &str = "secret";
/// The agents' password.
pub const PASSWORD_FILE: &str = "password";

/// A playground is for one machine and one person: its ports are on loopback and ask for nothing.
const OPEN: &str = "[http]\nopen = true\n\n";

/// Configuration of an agent; without a server, of a witness.
pub fn agent(layout: &Layout, agent: &Agent, server: Option<&Server>) -> String {
    let mut text = cluster() + OPEN;
    text += &format!(
        "[agent]\nname = {name}\ndata_dir = {data}\nlisten = {listen}\nhttp = {http}\n\
         coordinators = [{coordinator}]\ntimestamps = [{timestamps}]\n",
        name = quoted(&agent.member),
        data = quoted_path(&agent.data_dir(layout)),
        listen = quoted(&local(agent.listen)),
        http = quoted(&local(agent.http)),
        coordinator = quoted(&local(layout.coordinator.listen)),
        timestamps = timestamps(layout),
    );
    for line in &layout.agent_options {
        text += &format!("{line}\n");
    }
    if let Some(server) = server {
        text += &format!(
            "\n[agent.server]\nhost = \"127.0.0.1\"\nport = {port}\nfallback_port = {fallback}\n\
             user = {user}\npassword_file = \"{PASSWORD_FILE}\"\n",
            port = server.port,
            fallback = server.fallback_port,
            user = quoted(AGENT_USER),
        );
    }
    text
}

/// Configuration of the coordinator.
pub fn coordinator(layout: &Layout) -> String {
    let members = layout.agents().map(|(agent, server)| {
        let witness = if server.is_none() { ", witness = true" } else { "" };
        let (name, listen) = (quoted(&agent.member), quoted(&local(agent.listen)));
        format!("  {{ name = {name}, listen = {listen}{witness} }},\n")
    });
    let ack = match layout.ack {
        AckWhen::Flushed => "flushed",
        AckWhen::Applied => "applied",
    };
    format!(
        "{cluster}{OPEN}[coordinator]\ndata_dir = {data}\nlisten = {listen}\nhttp = {http}\n\
         source = {source}\ntolerate = 1\nack = \"{ack}\"\nmembers = [\n{members}]\n",
        cluster = cluster(),
        data = quoted_path(&layout.home(&layout.coordinator.process)),
        listen = quoted(&local(layout.coordinator.listen)),
        http = quoted(&local(layout.coordinator.http)),
        source = quoted(&layout.servers[0].agent.member),
        members = members.collect::<String>(),
    )
}

/// Configuration of the timestamp server with this index.
pub fn timestamp(layout: &Layout, index: usize) -> String {
    let server = &layout.timestamps[index];
    format!(
        "{cluster}[timestamp]\nid = {id}\ndata_dir = {data}\nlisten = {listen}\n",
        cluster = cluster(),
        id = server.id,
        data = quoted_path(&layout.home(&server.process)),
        listen = quoted(&local(server.listen)),
    )
}

fn cluster() -> String {
    format!("[cluster]\nname = {}\nsecret_file = \"{SECRET_FILE}\"\n\n", quoted(CLUSTER))
}

fn timestamps(layout: &Layout) -> String {
    let all = layout.timestamps.iter().map(|server| quoted(&local(server.listen)));
    all.collect::<Vec<_>>().join(", ")
}

/// A TOML basic string; JSON's escapes are a subset of its.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
