//! Who may come in: tokens and certificates, renewed while the port is open.

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;

use super::Error;
use crate::certificate::{self, Expiry};
use crate::config::{HttpAccess, HttpTls, Secret};

/// What a request must show, as of now. Clones are one door.
#[derive(Clone)]
pub struct Door(Arc<RwLock<Arc<Keys>>>);

/// One state of the door: what was read at the start, or at a renewal.
pub struct Keys {
    tokens: Option<Tokens>,
    tls: Option<Arc<ServerConfig>>,
    expiries: Vec<Expiry>,
}

impl Door {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be used is named; so are certificate and key that do not fit.
    pub fn new(access: &HttpAccess) -> Result<Door, Error> {
        Ok(Door(Arc::new(RwLock::new(Arc::new(Keys::load(access)?)))))
    }

    /// Reads new tokens and certificates, for [`Door::put`].
    ///
    /// # Errors
    /// As [`Door::new`]; HTTPS cannot be switched on or off.
    pub fn prepare(&self, access: &HttpAccess) -> Result<Keys, Error> {
        let keys = Keys::load(access)?;
        let switched = keys.tls.is_some() != self.keys().tls.is_some();
        if switched { Err(Error::TlsSwitched) } else { Ok(keys) }
    }

    /// From now on these. Connections that are there live on, each request is held to the new tokens.
    pub fn put(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Until when its certificates are good; none without HTTPS.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.keys().expiries.clone()
    }

    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.keys().tls.clone()
    }

    /// Whether a request with these headers may be answered. A client's certificate was already
    /// demanded by the TLS handshake.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        match &self.keys().tokens {
            None => true,
            Some(tokens) => shown(headers).is_some_and(|token| tokens.know(&token)),
        }
    }

    fn keys(&self) -> Arc<Keys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Keys {
    fn load(access: &HttpAccess) -> Result<Keys, Error> {
        let tokens =
            (!access.tokens.is_empty()).then(|| Tokens::new(&access.tokens)).transpose()?;
        let Some(tls) = &access.tls else {
            return Ok(Keys { tokens, tls: None, expiries: Vec::new() });
        };
        let mut expiries = vec![certificate::expiry("http.tls.cert", &tls.cert)?];
        if let Some(ca) = &tls.client_ca {
            expiries.push(certificate::expiry("http.tls.client_ca", ca)?);
        }
        Ok(Keys { tokens, tls: Some(Arc::new(server_config(tls)?)), expiries })
    }
}

fn server_config(tls: &HttpTls) -> Result<ServerConfig, Error> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(certificate::authorities(ca)?);
            let clients = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(Error::ClientAuthority)?;
            builder.with_client_cert_verifier(clients)
        }
    };
    let (chain, key) = (certificate::chain(&tls.cert)?, certificate::key(&tls.key)?);
    let mut config = builder.with_single_cert(chain, key).map_err(Error::Tls)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The accepted tokens, each as its HMAC under a key of this process: comparing two HMACs is in
/// constant time whatever the lengths are.
struct Tokens {
    key: hmac::Key,
    tags: Vec<hmac::Tag>,
}

impl Tokens {
    fn new(tokens: &[Secret]) -> Result<Tokens, Error> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| Error::Random)?;
        let tag = |token: &Secret| hmac::sign(&key, token.reveal().as_bytes());
        let tags = tokens.iter().map(tag).collect();
        Ok(Tokens { key, tags })
    }

    fn know(&self, token: &[u8]) -> bool {
        let holds = |tag: &hmac::Tag| hmac::verify(&self.key, token, tag.as_ref()).is_ok();
        // All of them, so that the time does not tell which one it was.
        self.tags.iter().fold(false, |known, tag| known | holds(tag))
    }
}

/// The token as bearer (RFC 6750), or as password of any user (RFC 7617): gh-ost and load balancers can
/// be given a URL with a password, but no header.
fn shown(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    let pair = scheme.eq_ignore_ascii_case(b"basic").then(|| STANDARD.decode(rest).ok())??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}
