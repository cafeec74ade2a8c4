//! Looking at the cluster from outside, as any client would: HTTP of the roles, SQL of the servers.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde_json::Value;

use super::layout::{Layout, Server, USER, local};

/// How long one question may take before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The member whose server takes writes, as the coordinator says.
///
/// # Errors
/// It does not answer, or names nobody.
pub async fn source(layout: &Layout) -> Result<String> {
    let status = status(layout.coordinator.http).await?;
    let source = status["source"].as_str().context("the coordinator names no source")?;
    Ok(source.to_owned())
}

/// Nothing if the cluster can be used; otherwise what is still missing.
pub async fn usable(layout: &Layout) -> Result<String> {
    let coordinator = status(layout.coordinator.http).await.context("the coordinator")?;
    if coordinator["complete"] != Value::Bool(true) {
        bail!("the coordinator knows no complete epoch yet");
    }
    let source = coordinator["source"].as_str().context("the coordinator names no source")?;
    for (agent, _) in layout.agents() {
        status(agent.http).await.with_context(|| agent.process.clone())?;
    }
    let server = layout.servers.iter().find(|server| server.agent.member == source);
    let server = server.with_context(|| format!("the source {source} is no server of ours"))?;
    if !accepts_writes(layout, server).await? {
        bail!("{source} is still read-only");
    }
    replicas_follow(layout, server).await?;
    Ok(source.to_owned())
}

/// A token of the source is reached by every replica: so each of them applies.
async fn replicas_follow(layout: &Layout, source: &Server) -> Result<()> {
    let token = get(source.agent.http, "/v1/token").await?;
    let token = token["token"].as_str().context("the source's agent gives no token")?;
    for replica in layout.servers.iter().filter(|server| server.name != source.name) {
        let wait = format!("/v1/wait?after={token}&timeout=1000ms");
        get(replica.agent.http, &wait)
            .await
            .with_context(|| format!("{} applies", replica.name))?;
    }
    Ok(())
}

/// Whether somebody can log in: the server is up.
///
/// # Errors
/// Why not.
pub async fn log_in(layout: &Layout, server: &Server) -> Result<Conn> {
    let options = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(server.port)
        .prefer_socket(false)
        .user(Some(USER))
        .pass(Some(layout.password.clone()));
    let conn = tokio::time::timeout(PATIENCE, Conn::new(options)).await;
    conn.context("no answer")?.with_context(|| format!("log in at {}", local(server.port)))
}

async fn accepts_writes(layout: &Layout, server: &Server) -> Result<bool> {
    let mut conn = log_in(layout, server).await?;
    let read_only: Option<u8> = conn.query_first("SELECT @@GLOBAL.read_only").await?;
    conn.disconnect().await?;
    Ok(read_only == Some(0))
}

/// `/v1/status` at this port.
///
/// # Errors
/// No answer, or not 200.
pub async fn status(port: u16) -> Result<Value> {
    get(port, "/v1/status").await
}

async fn get(port: u16, path: &str) -> Result<Value> {
    let url = format!("http://{}{path}", local(port));
    let asked = tokio::task::spawn_blocking(move || ask(&url));
    asked.await.context("the asking task ended")?
}

fn ask(url: &str) -> Result<Value> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        // The machine's proxy, if any, is not for the loopback address.
        .proxy(None)
        .http_status_as_error(false)
        .build()
        .new_agent();
    let mut answer = agent.get(url).call().with_context(|| format!("GET {url}"))?;
    let status = answer.status();
    let text = answer.body_mut().read_to_string().with_context(|| format!("GET {url}"))?;
    if !status.is_success() {
        bail!("GET {url}: {status}: {}", text.trim());
    }
    serde_json::from_str(&text).with_context(|| format!("GET {url}: no JSON"))
}
