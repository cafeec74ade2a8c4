//! Mutual TLS between the processes of a cluster.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::Error;
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
        let servers = AnyName::new(roots, provider.clone())
            .map_err(|error| bad_file(&files.ca, &error, "the cluster's authority"))?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::TlsSetup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(servers))
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

/// Everything that rustls checks except that the certificate names the host.
#[derive(Debug)]
struct AnyName(Arc<rustls::client::WebPkiServerVerifier>);

impl AnyName {
    fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
    ) -> Result<AnyName, rustls::server::VerifierBuilderError> {
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map(AnyName)
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::Error::InvalidCertificate;
        let verified =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // Looked at last, after chain, dates and usage held.
            Err(InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
