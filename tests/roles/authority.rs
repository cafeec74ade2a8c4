//! Certificates made for one test.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::process::Roles;

/// Signs certificates for 127.0.0.1, into the folder of some roles.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Its own certificate is `NAME.pem`.
    pub fn new(roles: &Roles, name: &str) -> Result<Authority> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        roles.write(&format!("{name}.pem"), &params.self_signed(&key)?.pem())?;
        Ok(Authority { issuer: Issuer::new(params, key) })
    }

    /// `NAME.pem` and `NAME.key`, good for so many days from now.
    pub fn sign(&self, roles: &Roles, name: &str, days: u64) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        params.not_after = (SystemTime::now() + Duration::from_secs(days * 86_400)).into();
        let cert = params.signed_by(&key, &self.issuer).context("sign")?;
        roles.write(&format!("{name}.pem"), &cert.pem())?;
        roles.write(&format!("{name}.key"), &key.serialize_pem())
    }
}
