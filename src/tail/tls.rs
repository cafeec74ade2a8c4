//! TLS towards a server: verify-ca and verify-full.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::Error;
use crate::chain_only::ChainOnly;
use crate::config::TlsMode;

/// How to speak TLS as `mode` says; `None` for not at all.
///
/// # Errors
/// [`Error::CertificateFile`].
pub fn connector(mode: &TlsMode) -> Result<Option<TlsConnector>, Error> {
    let (path, check_name) = match mode {
        TlsMode::Disabled => return Ok(None),
        TlsMode::VerifyCa { ca } => (ca, false),
        TlsMode::VerifyFull { ca } => (ca, true),
    };
    let config = config(path, check_name)
        .map_err(|source| Error::CertificateFile { path: path.clone(), source })?;
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn config(path: &Path, check_name: bool) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    // Named, since two providers in the tree would make the default a panic.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()?;
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match check_name {
        true => builder.with_webpki_verifier(verifier),
        false => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(ChainOnly::new(verifier)))
        }
    };
    Ok(builder.with_no_client_auth())
}
