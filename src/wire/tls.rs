//! Mutual TLS between the processes of a cluster.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, ServerConfig};

use super::Error;
use crate::certificate::{self, Expiry};
use crate::chain_only::ChainOnly;
use crate::config::TlsFiles;

/// Both ends' TLS settings, made from the cluster's files. Cheap to clone.
///
/// Each side demands a certificate signed by the cluster's authority. Names in it are not compared
/// with addresses: being in the cluster is what the authority (and the secret) vouch for, and
/// addresses change. So the authority must sign nothing else.
#[derive(Debug, Clone)]
pub struct TlsMaterial {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
    pub(super) expiries: Vec<Expiry>,
}

impl TlsMaterial {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be used is named; so are certificate and key that do not fit.
    pub fn load(files: &TlsFiles) -> Result<TlsMaterial, Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(certificate::authorities(&files.ca)?);
        let (chain, key) = (certificate::chain(&files.cert)?, certificate::key(&files.key)?);
        let authority = |error: VerifierBuilderError| Error::TlsAuthority(error.to_string());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(authority)?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(Error::TlsSetup)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(Error::TlsSetup)?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(authority)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::TlsSetup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ChainOnly::new(servers)))
            .with_client_auth_cert(chain, key)
            .map_err(Error::TlsSetup)?;
        let expiries = vec![
            certificate::expiry("cluster.tls.cert", &files.cert)?,
            certificate::expiry("cluster.tls.ca", &files.ca)?,
        ];
        Ok(TlsMaterial { client: Arc::new(client), server: Arc::new(server), expiries })
    }
}
