//! The roles' HTTP, as a client sees it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Longer than any answer in the tests is asked to take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Status and body.
pub async fn get(at: &str, path: &str) -> Result<(u16, String)> {
    get_with(at, path, None).await
}

/// As [`get`], with a bearer token.
pub async fn get_with(at: &str, path: &str, token: Option<&str>) -> Result<(u16, String)> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let url = format!("http://{at}{path}");
    tokio::task::spawn_blocking(move || {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut request = agent.get(&url);
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        let mut answer = request.call().with_context(|| format!("GET {url}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.body_mut().read_to_string()?))
    })
    .await?
}

/// Status of a HEAD.
pub async fn head(at: &str, path: &str) -> Result<u16> {
    let url = format!("http://{at}{path}");
    tokio::task::spawn_blocking(move || {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .http_status_as_error(false)
            .build()
            .new_agent();
        let answer = agent.head(&url).call().with_context(|| format!("HEAD {url}"))?;
        Ok(answer.status().as_u16())
    })
    .await?
}

/// The body of a 200.
pub async fn json(at: &str, path: &str) -> Result<Value> {
    let (status, body) = get(at, path).await?;
    ensure!(status == 200, "GET http://{at}{path}: {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("GET http://{at}{path}: {body}"))
}

/// A token of the source that covers everything acknowledged so far.
pub async fn token(agent: &str) -> Result<String> {
    let answer = json(agent, "/v1/token").await?;
    Ok(answer["token"].as_str().context("no token in the answer")?.to_owned())
}

/// Returns when the replica has applied up to the token.
pub async fn applied(agent: &str, token: &str, within: Duration) -> Result<()> {
    let path = format!("/v1/wait?after={token}&timeout={}ms", within.as_millis());
    json(agent, &path).await.map(drop)
}
