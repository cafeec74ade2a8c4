//! Who we are towards peers, and who they are towards us.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Error, TlsMaterial};
use crate::certificate::Expiry;
use crate::cluster::MemberName;
use crate::config::{ClusterConfig, Secret};

/// What a process is to its peers. The numbers are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PeerRole {
    /// `plimsoll agent`.
    Member = 1,
    /// `plimsoll coordinator`.
    Coordinator = 2,
    /// `plimsoll timestamp`.
    Timestamp = 3,
    /// Only asks: an operator's verb.
    Client = 4,
}

impl PeerRole {
    pub(super) fn from_byte(byte: u8) -> Option<PeerRole> {
        [PeerRole::Member, PeerRole::Coordinator, PeerRole::Timestamp, PeerRole::Client]
            .into_iter()
            .find(|role| *role as u8 == byte)
    }
}

impl fmt::Display for PeerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PeerRole::Member => "member",
            PeerRole::Coordinator => "coordinator",
            PeerRole::Timestamp => "timestamp server",
            PeerRole::Client => "client",
        })
    }
}

/// Who we are, and how we prove it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) cluster: String,
    pub(super) role: PeerRole,
    pub(super) name: String,
    keys: Arc<RwLock<Arc<Keys>>>,
}

/// What is proven and shown in handshakes: one state of it, as of the start or a renewal.
#[derive(Debug)]
pub struct Keys {
    /// At least one. The first is proven, each is accepted.
    pub(super) secrets: Vec<Secret>,
    pub(super) tls: Option<TlsMaterial>,
}

impl Keys {
    fn load(cluster: &ClusterConfig) -> Result<Keys, Error> {
        let tls = cluster.tls.as_ref().map(TlsMaterial::load).transpose()?;
        Ok(Keys { secrets: cluster.secrets.clone(), tls })
    }
}

impl Identity {
    /// `name` tells processes of one role apart: a member's name, `timestamp-0`. Same letters.
    ///
    /// # Errors
    /// A bad name, or TLS files that cannot be used (they are read here, and at each renewal).
    pub fn new(cluster: &ClusterConfig, role: PeerRole, name: &str) -> Result<Identity, Error> {
        for text in [cluster.name.as_str(), name] {
            MemberName::new(text).map_err(|_| Error::Name(text.to_owned()))?;
        }
        Ok(Identity {
            cluster: cluster.name.clone(),
            role,
            name: name.to_owned(),
            keys: Arc::new(RwLock::new(Arc::new(Keys::load(cluster)?))),
        })
    }

    /// Reads new secrets and certificates, for [`Identity::put`].
    ///
    /// # Errors
    /// TLS files that cannot be used; TLS cannot be switched on or off.
    pub fn prepare(&self, cluster: &ClusterConfig) -> Result<Keys, Error> {
        let keys = Keys::load(cluster)?;
        let switched = keys.tls.is_some() != self.keys().tls.is_some();
        if switched { Err(Error::TlsSwitched) } else { Ok(keys) }
    }

    /// From now on these, in every clone and for all handshakes to come; connections that are there
    /// live on.
    pub fn put(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Until when the certificates are good; none without TLS.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.keys().tls.as_ref().map(|tls| tls.expiries.clone()).unwrap_or_default()
    }

    pub(super) fn keys(&self) -> Arc<Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Our role.
    pub fn role(&self) -> PeerRole {
        self.role
    }

    /// Our name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A peer that has proven the cluster's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// As it says; any holder of the secret could say it.
    pub role: PeerRole,
    /// As it says, likewise; legal as a [`MemberName`].
    pub name: String,
    /// Highest version that both sides speak.
    pub version: u16,
    /// Where it connects from, or where we reached it.
    pub address: SocketAddr,
}
