//! HTTP as the verbs speak it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use serde::Serialize;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::Error;
use crate::certificate;
use crate::config::{Config, HttpAccess, Secret};

/// The definitions of many tables are long (`plimsoll verify`); nothing else is.
const ANSWER_MAX: u64 = 256 << 20;

/// What to show to the HTTP ports of the cluster, from files and the environment: never a secret
/// itself. Without any of it: plain HTTP, no token.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Credentials {
    /// File with the HTTP token. Or PLIMSOLL_HTTP_TOKEN, PLIMSOLL_HTTP_TOKEN_FILE in the environment.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Configuration file whose [http] has token and certificates, for whatever is not given here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use HTTPS, and trust this authority.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A client's certificate, for mutual TLS.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// Asks HTTP ports of the cluster.
pub struct Client {
    agent: ureq::Agent,
    token: Option<Secret>,
    scheme: &'static str,
    within: Duration,
}

/// Status and body.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl Client {
    /// Reads the files. Each request may take `within`, connecting included.
    ///
    /// # Errors
    /// A file that cannot be used is named.
    pub fn new(given: &Credentials, within: Duration) -> Result<Client, Error> {
        let config = given.config.as_deref().map(Config::load).transpose()?;
        let access = config.and_then(|config| config.http).unwrap_or_default();
        let token = match environment_token(given)? {
            Some(token) => Some(token),
            None => access.tokens.first().cloned(),
        };
        let tls = tls(given, &access)?;
        let builder = ureq::Agent::config_builder()
            .timeout_global(Some(within))
            .proxy(None)
            .http_status_as_error(false);
        let (builder, scheme) = match tls {
            Some(tls) => (builder.tls_config(tls), "https"),
            None => (builder, "http"),
        };
        Ok(Client { agent: builder.build().into(), token, scheme, within })
    }

    /// `GET` of a path at `host:port`.
    ///
    /// # Errors
    /// No answer; an answer of any status is none.
    pub fn get(&self, at: &str, path: &str) -> Result<Answer, Error> {
        let url = format!("{}://{at}{path}", self.scheme);
        let mut request = self.agent.get(&url);
        if let Some(bearer) = self.bearer() {
            request = request.header("authorization", bearer);
        }
        answer(&url, request.call())
    }

    /// `POST` of a JSON body, or of nothing.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(
        &self,
        at: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, Error> {
        self.post_within(at, path, body, self.within)
    }

    /// The same, with a deadline of its own.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post_within(
        &self,
        at: &str,
        path: &str,
        body: Option<&impl Serialize>,
        within: Duration,
    ) -> Result<Answer, Error> {
        let url = format!("{}://{at}{path}", self.scheme);
        let request = self.agent.post(&url);
        let mut request = request.config().timeout_global(Some(within)).build();
        if let Some(bearer) = self.bearer() {
            request = request.header("authorization", bearer);
        }
        match body {
            Some(body) => answer(&url, request.send_json(body)),
            None => answer(&url, request.send_empty()),
        }
    }

    fn bearer(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {}", token.reveal()))
    }
}

fn answer(
    url: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, Error> {
    let failed = |source| Error::Request { url: url.to_owned(), source: Box::new(source) };
    let mut answer = answer.map_err(failed)?;
    let body = answer.body_mut().with_config().limit(ANSWER_MAX);
    let text = body.read_to_string().map_err(failed)?;
    Ok(Answer { status: answer.status().as_u16(), text })
}

fn environment_token(given: &Credentials) -> Result<Option<Secret>, Error> {
    if let Some(file) = &given.token_file {
        return read_token(file).map(Some);
    }
    if let Ok(text) = std::env::var("PLIMSOLL_HTTP_TOKEN") {
        let token = first_token(&text).ok_or(Error::Token("PLIMSOLL_HTTP_TOKEN".to_owned()))?;
        return Ok(Some(token));
    }
    let file = std::env::var_os("PLIMSOLL_HTTP_TOKEN_FILE");
    file.map(|file| read_token(Path::new(&file))).transpose()
}

fn read_token(file: &Path) -> Result<Secret, Error> {
    let text = std::fs::read_to_string(file).ok();
    let token = text.as_deref().and_then(first_token);
    token.ok_or_else(|| Error::Token(file.display().to_string()))
}

/// The first line: the one that is accepted everywhere while tokens are being changed.
fn first_token(text: &str) -> Option<Secret> {
    let line = text.lines().next()?;
    let legal = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_graphic());
    legal.then(|| Secret::new(line))
}

fn tls(given: &Credentials, access: &HttpAccess) -> Result<Option<TlsConfig>, Error> {
    let configured = access.tls.as_ref();
    if given.ca.is_none() && given.cert.is_none() && configured.is_none() {
        return Ok(None);
    }
    let ca = given.ca.as_ref().or(configured.and_then(|tls| tls.ca.as_ref()));
    let ca = ca.ok_or(Error::NoAuthority)?;
    let roots = certificate::chain(ca)?;
    let roots: Vec<_> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let own = match (&given.cert, &given.key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => {
            configured.filter(|tls| tls.client_ca.is_some()).map(|tls| (&tls.cert, &tls.key))
        }
        _ => return Err(Error::HalfCertificate),
    };
    let own = own.map(|(cert, key)| client_certificate(cert, key)).transpose()?;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(own)
        .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
        .build();
    Ok(Some(tls))
}

fn client_certificate(cert: &Path, key: &Path) -> Result<ClientCert, Error> {
    let chain = certificate::chain(cert)?;
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let unusable = |problem: &dyn std::fmt::Display| certificate::Error {
        file: key.to_owned(),
        problem: problem.to_string(),
        wanted: "a private key",
    };
    let pem = std::fs::read(key).map_err(|error| unusable(&error))?;
    let key = PrivateKey::from_pem(&pem).map_err(|error| unusable(&error))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}
