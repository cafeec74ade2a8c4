//! Who may use the HTTP API of agent and coordinator.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Secret;
use super::error::Problem;
use super::load::{Fault, Files, at};
use super::raw::RawHttp;

/// What a request must show. Where tokens and `client_ca` are set, both; where neither is, nothing:
/// only the playground does that, on loopback.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpAccess {
    /// Bearer tokens: the first is ours as a client, each is accepted. Printable ASCII.
    pub tokens: Vec<Secret>,
    /// HTTPS. Default: none, plain HTTP.
    pub tls: Option<HttpTls>,
}

/// PEM files of HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTls {
    /// This process's certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authority of clients' certificates; with it, one is demanded.
    pub client_ca: Option<PathBuf>,
    /// Authority of servers' certificates, for clients. Default: `client_ca`.
    pub ca: Option<PathBuf>,
}

impl HttpAccess {
    fn is_open(&self) -> bool {
        let mutual = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        self.tokens.is_empty() && !mutual
    }
}

pub(super) fn validate(raw: RawHttp, files: &Files) -> Result<HttpAccess, Fault> {
    let tls = raw.tls.map(|tls| HttpTls {
        cert: files.path(tls.cert),
        key: files.path(tls.key),
        client_ca: tls.client_ca.clone().map(|ca| files.path(ca)),
        ca: tls.ca.or(tls.client_ca).map(|ca| files.path(ca)),
    });
    let key = if raw.token_env.is_some() { "http.token_env" } else { "http.token_file" };
    let tokens = match (raw.token_file, raw.token_env) {
        (None, None) => Vec::new(),
        (file, env) => at(key, files.secrets(file, env, ("token_file", "token_env")))?,
    };
    let legal = |token: &Secret| token.reveal().bytes().all(|byte| byte.is_ascii_graphic());
    if !tokens.iter().all(legal) {
        return at(key, Err(Problem::TokenLetters));
    }
    let access = HttpAccess { tokens, tls };
    match (access.is_open(), raw.open) {
        (true, false) => at("http", Err(Problem::NoCredential)),
        (false, true) => at("http.open", Err(Problem::OpenWithCredential)),
        _ => Ok(access),
    }
}

/// A role with an HTTP port needs the table, and an open one a loopback address.
pub(super) fn required(
    access: Option<HttpAccess>,
    key: &'static str,
    address: &str,
) -> Result<HttpAccess, Fault> {
    let Some(access) = access else { return at("http", Err(Problem::NoCredential)) };
    if access.is_open() && !is_loopback(address) {
        return at(key, Err(Problem::OpenAddress(address.to_owned())));
    }
    Ok(access)
}

/// By its text: a name other than `localhost` may mean anything tomorrow.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
