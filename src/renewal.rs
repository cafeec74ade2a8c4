//! Secrets and certificates, read again at SIGHUP while the process runs.
//!
//! In: the configuration, loaded anew at each signal ([`Renewals`]). Out: the doors of the process
//! (handshakes, HTTP) with the new secrets, tokens and certificates. All are taken over, or none and an
//! ERROR says why; connections that are there live on. Does not: look at any other key of the file;
//! those need a restart.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::certificate::{CertificateStatus, Expiry};
use crate::cluster::causes;
use crate::config::Config;
use crate::explain::{Code, Coded};
use crate::http::{self, Door};
use crate::wire::{self, Identity};

/// The newest configuration that was read after the start.
#[derive(Debug, Clone)]
pub struct Renewals(watch::Receiver<Option<Arc<Config>>>);

/// Where such a configuration is put.
pub type Renewer = watch::Sender<Option<Arc<Config>>>;

impl Renewals {
    /// Both ends.
    pub fn channel() -> (Renewer, Renewals) {
        let (renewer, renewals) = watch::channel(None);
        (renewer, Renewals(renewals))
    }

    /// Never any: for tests, and for roles in another's process.
    pub fn never() -> Renewals {
        Renewals::channel().1
    }
}

/// What of a process can be renewed. Cheap to clone.
#[derive(Clone)]
pub struct Doors {
    /// Towards the cluster's processes.
    pub identity: Identity,
    /// Of its HTTP port; a timestamp server has none.
    pub http: Option<Door>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Wire(#[from] wire::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
}

impl Doors {
    /// Renews at each new configuration, until `stop`.
    pub async fn follow(self, mut renewals: Renewals, stop: CancellationToken) {
        self.tell_expiries();
        while let Some(Ok(())) = stop.run_until_cancelled(renewals.0.changed()).await {
            let config = renewals.0.borrow_and_update().clone();
            let Some(config) = config else { continue };
            match self.renew(&config) {
                Ok(()) => {
                    tracing::info!("secrets and certificates renewed");
                    self.tell_expiries();
                }
                Err(error) => tracing::error!(
                    code = %Code::NOT_RENEWED,
                    error = causes(&error),
                    "secrets and certificates not renewed; what was in force stays"
                ),
            }
        }
        // Nobody renews any more: as long as the process lives, this is no reason to end it.
        stop.cancelled().await;
    }

    /// All, or nothing.
    fn renew(&self, config: &Config) -> Result<(), Error> {
        let keys = self.identity.prepare(&config.cluster)?;
        if let (Some(door), Some(access)) = (&self.http, &config.http) {
            door.put(door.prepare(access)?);
        }
        self.identity.put(keys);
        Ok(())
    }

    fn expiries(&self) -> Vec<Expiry> {
        let mut all = self.identity.expiries();
        all.extend(self.http.iter().flat_map(Door::expiries));
        all
    }

    fn tell_expiries(&self) {
        for Coded { code, text } in self.warnings() {
            tracing::warn!(%code, text, "a certificate ends soon");
        }
    }

    /// For status: until when which certificate is good.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.expiries().iter().map(|expiry| expiry.status(SystemTime::now())).collect()
    }

    /// For alarms: those that end soon, or have.
    pub fn warnings(&self) -> Vec<Coded> {
        self.expiries().iter().filter_map(|expiry| expiry.warning(SystemTime::now())).collect()
    }
}
