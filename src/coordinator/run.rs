//! The role: store, engine, agents and HTTP joined together.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::core::{Core, CoreHandle, SharedBoard};
use super::engine::{Member, Settings};
use super::http::{self, Api, BoundedListener};
use super::store::EmbeddedStore;
use super::{agents, core};
use crate::config::CoordinatorConfig;
use crate::wire::{self, Identity, Listener, PeerRole};

/// How long the parts may take to end after the stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Runs a coordinator until `stop`.
///
/// # Errors
/// The store cannot be opened or written, or an address cannot be bound. After a failed write nothing
/// more was answered; the process must end and load the store again.
pub async fn run(config: CoordinatorConfig, stop: CancellationToken) -> anyhow::Result<()> {
    Coordinator::bind(config).await?.run(stop).await
}

/// A coordinator that has its addresses and its store.
pub struct Coordinator {
    name: String,
    agents: Listener,
    http: BoundedListener,
    core: Core<EmbeddedStore>,
    handle: CoreHandle,
    board: SharedBoard,
}

impl Coordinator {
    /// Binds, opens the store, and makes the cluster if the store is new.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn bind(config: CoordinatorConfig) -> anyhow::Result<Coordinator> {
        let settings = settings(&config);
        let identity = Identity::new(&config.cluster, PeerRole::Coordinator, "coordinator")?;
        let store = EmbeddedStore::open(&config.data_dir)?;
        let agents = Listener::bind(&config.listen, identity).await?;
        let http = BoundedListener::bind(&config.http)
            .await
            .map_err(|source| wire::Error::Bind { address: config.http.clone(), source })
            .context("coordinator.http")?;
        let board = SharedBoard::default();
        let (core, handle) = core::Core::start(store, &settings, board.clone()).await?;
        let name = config.cluster.name;
        Ok(Coordinator { name, agents, http, core, handle, board })
    }

    /// Where agents connect.
    pub fn agents_address(&self) -> SocketAddr {
        self.agents.local_addr()
    }

    /// Where HTTP is.
    ///
    /// # Errors
    /// The operating system cannot say.
    pub fn http_address(&self) -> std::io::Result<SocketAddr> {
        self.http.address()
    }

    /// Serves until `stop`, or until a part fails: then all end.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Coordinator { name, agents, http, core, handle, board } = self;
        info!(agents = %agents.local_addr(), http = ?http.address().ok(), "listening");
        let parts = stop.child_token();
        let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
        let api = Api::new(name, handle.clone(), board.clone());
        let token = parts.clone();
        tasks.spawn(async move { Ok(http::serve(http, api, token).await?) });
        let token = parts.clone();
        tasks.spawn(async move { Ok(agents::serve(agents, handle, board, token).await?) });
        let token = parts.clone();
        tasks.spawn(async move { Ok(core.run(token).await?) });
        let first = tasks.join_next().await;
        parts.cancel();
        let rest = async { while tasks.join_next().await.is_some() {} };
        // Whatever is left then holds nothing that must be closed in order.
        let _ = tokio::time::timeout(STOP_WITHIN, rest).await;
        match first {
            Some(ended) => ended.context("a part of the coordinator broke off")?,
            None => Ok(()),
        }
    }
}

fn settings(config: &CoordinatorConfig) -> Settings {
    let member = |member: &crate::config::MemberConfig| Member {
        name: member.name.clone(),
        listen: member.listen.clone(),
        has_server: !member.witness,
    };
    Settings {
        source: config.source.clone(),
        rule: config.rule(),
        ack: config.ack,
        members: config.members.iter().map(member).collect(),
    }
}
