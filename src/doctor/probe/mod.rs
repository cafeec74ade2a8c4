//! Asks a server. Read-only: no statement here changes anything, and none waits behind COMMITs that
//! wait for an ACK (MariaDB's SHOW MASTER STATUS does, and is not asked).

mod account;
mod files;
mod readers;
mod replication;
mod settings;
mod tables;

use super::facts::{Facts, Inventory, Role};
use crate::config::ServerConfig;
use crate::server::{Error, Session, Variables};

/// What an agent looks at before a reign; quick.
///
/// # Errors
/// As [`Session::rows`].
pub async fn facts(
    session: &mut Session,
    server: &ServerConfig,
    role: Role,
) -> Result<Facts, Error> {
    let variables = Variables::global(session).await?;
    let status = Variables::semi_sync_status(session).await?;
    let after_restart = settings::after_restart(session, server, &variables).await?;
    let readers = readers::readers(session, &server.user).await?;
    let own_clients = u32::from(readers.iter().any(|reader| reader.ours));
    Ok(Facts {
        role,
        family: session.family(),
        version: session.version().to_owned(),
        variables,
        status,
        after_restart,
        readers,
        own_clients,
    })
}

/// What takes time: every table is looked at.
///
/// # Errors
/// As [`Session::rows`].
pub async fn inventory(session: &mut Session, server: &ServerConfig) -> Result<Inventory, Error> {
    let account = account::account(session).await?;
    let writers = account::writers(session, &account.grantee).await?;
    Ok(Inventory {
        fallback_port: server.fallback_port,
        without_key: tables::without_key(session).await?,
        not_transactional: tables::not_transactional(session).await?,
        privileged_events: tables::events(session, &writers, &account.grantee).await?,
        writers: super::facts::Listing::of(writers),
        native_sources: replication::native_sources(session).await?,
        account,
    })
}
