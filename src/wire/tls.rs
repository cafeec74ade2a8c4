//! Mutual TLS between the processes of a cluster.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::Error;
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
}

impl TlsMaterial {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be used is named; so are certificate and key that do not fit.
    pub fn load(files: &TlsFiles) -> Result<TlsMaterial, Error> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            roots.add(certificate).map_err(Error::TlsSetup)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| bad_file(&files.key, &error, "a private key"))?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| bad_file(&files.ca, &error, "the cluster's authority"))?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(Error::TlsSetup)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(Error::TlsSetup)?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| bad_file(&files.ca, &error, "the cluster's authority"))?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::TlsSetup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ChainOnly::new(servers)))
            .with_client_auth_cert(chain, key)
            .map_err(Error::TlsSetup)?;
        Ok(TlsMaterial { client: Arc::new(client), server: Arc::new(server) })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wanted = "certificates";
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| bad_file(file, &error, wanted));
    match all {
        Ok(none) if none.is_empty() => Err(bad_file(file, &"no certificate in it", wanted)),
        other => other,
    }
}

fn bad_file(file: &Path, problem: &dyn std::fmt::Display, wanted: &'static str) -> Error {
    Error::TlsFile { file: file.to_owned(), problem: problem.to_string(), wanted }
}
