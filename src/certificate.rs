//! PEM files of certificates and keys, and how long they are good.
//!
//! In: paths. Out: what rustls takes, and an [`Expiry`] for status, metrics and the log. Does not: trust
//! or refuse anybody (rustls does).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::explain::{Code, Coded};

/// Renewed certificates should be in place by then.
pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// A PEM file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: no usable PEM ({problem}); name a readable file with {wanted}", file.display())]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// The parser's or system's words.
    pub problem: String,
    /// What should be in it.
    pub wanted: &'static str,
}

/// Until when the certificates of one file are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What the file is for, as in the configuration: `cluster.tls.cert`.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Seconds since 1970 at which the first certificate in it ends.
    pub not_after: u64,
}

/// An [`Expiry`] as `/v1/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateStatus {
    /// What it is for, as in the configuration: `cluster.tls.cert`.
    pub key: String,
    /// The file.
    pub file: String,
    /// Seconds since 1970 at which the first certificate in it ends.
    pub not_after: u64,
    /// Seconds until then; negative once it is over.
    pub seconds_left: i64,
    /// The same in whole days.
    pub days_left: i64,
}

impl Error {
    /// Its page.
    pub fn code(&self) -> Code {
        Code::TLS_FILES
    }
}

impl Expiry {
    /// As of `now`.
    pub fn status(&self, now: SystemTime) -> CertificateStatus {
        let seconds_left = self.seconds_left(now);
        CertificateStatus {
            key: self.key.to_owned(),
            file: self.file.display().to_string(),
            not_after: self.not_after,
            seconds_left,
            days_left: seconds_left.div_euclid(86_400),
        }
    }

    /// Seconds left; negative once it is over.
    pub fn seconds_left(&self, now: SystemTime) -> i64 {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        signed(self.not_after) - signed(now)
    }

    /// A sentence for a person, from [`WARN_BEFORE`] on.
    pub fn warning(&self, now: SystemTime) -> Option<Coded> {
        self.words(now).map(|text| Coded::new(Code::CERTIFICATE_ENDS, text))
    }

    fn words(&self, now: SystemTime) -> Option<String> {
        let left = self.seconds_left(now);
        let (key, file) = (self.key, self.file.display());
        if left <= 0 {
            return Some(format!("{key}: the certificate in {file} has expired: renew it, SIGHUP"));
        }
        let warn = i64::try_from(WARN_BEFORE.as_secs()).unwrap_or(i64::MAX);
        let days = left / 86_400;
        (left < warn).then(|| format!("{key}: {file} expires in {days} days: renew it, SIGHUP"))
    }
}

/// All certificates of a file, at least one.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wanted = "certificates";
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| bad(file, &error, wanted));
    match all {
        Ok(none) if none.is_empty() => Err(bad(file, &"no certificate in it", wanted)),
        other => other,
    }
}

/// A private key.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| bad(file, &error, "a private key"))
}

/// The authorities of a file; several while one is being replaced.
///
/// # Errors
/// As [`chain`], or one of them is no authority.
pub fn authorities(file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(file)? {
        roots.add(certificate).map_err(|error| bad(file, &error, "the authority's certificate"))?;
    }
    Ok(roots)
}

/// Until when the certificates of `file` are good: the first of them that ends.
///
/// # Errors
/// As [`chain`], or one of them cannot be read.
pub fn expiry(key: &'static str, file: &Path) -> Result<Expiry, Error> {
    let mut first = u64::MAX;
    for certificate in chain(file)? {
        let certificate = Certificate::from_der(&certificate)
            .map_err(|error| bad(file, &error, "X.509 certificates"))?;
        let not_after = certificate.tbs_certificate().validity().not_after;
        first = first.min(not_after.to_unix_duration().as_secs());
    }
    Ok(Expiry { key, file: file.to_owned(), not_after: first })
}

fn bad(file: &Path, problem: &dyn std::fmt::Display, wanted: &'static str) -> Error {
    Error { file: file.to_owned(), problem: problem.to_string(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_and_told_in_time() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/testdata");
        let expiry = expiry("cluster.tls.cert", &folder.join("member.pem")).unwrap();
        let end = UNIX_EPOCH + Duration::from_secs(expiry.not_after);
        assert!(expiry.not_after > 4_700_000_000, "good until the 2120s: {}", expiry.not_after);
        assert_eq!(expiry.warning(end - WARN_BEFORE), None);
        let soon = expiry.warning(end - Duration::from_secs(3 * 86_400 + 1)).unwrap();
        assert!(soon.text.contains("in 3 days") && soon.text.contains("member.pem"), "{soon}");
        assert!(expiry.warning(end).unwrap().text.contains("has expired"));
        assert_eq!(expiry.seconds_left(end + Duration::from_secs(2)), -2);
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/testdata");
        for file in ["member.key", "nowhere.pem"] {
            let error = expiry("http.tls.cert", &folder.join(file)).unwrap_err().to_string();
            assert!(error.contains(file), "{error}");
        }
    }
}
