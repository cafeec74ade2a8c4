//! Opens the source for writing, once what its binlog held is committed (design.md section 5).
//!
//! A server that restarts has *committed* its unacknowledged tail before anybody could vouch for it,
//! so it starts read-only. It is opened when the new epoch has committed everything that its binlog
//! held then. A task and a session of its own: MariaDB's SHOW MASTER STATUS waits behind COMMITs that
//! wait for our ACK, so nothing that an ACK depends on may wait for it.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use wal::{BinlogPosition, Epoch, Lsn};

use super::counter::FromStamper;
use super::{Error, Parts};
use crate::apply;
use crate::backoff::Backoff;
use crate::cluster::{ErrorClass, causes};
use crate::config::ServerConfig;
use crate::report::MemberRole;
use crate::server::{self, Session};

/// Where the tail stands, and the record shipped last.
pub(super) type Reached = Option<(BinlogPosition, Lsn)>;

const CONNECT: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Opens the server in the reign that started at `from`; tries until it is done or the reign ends.
///
/// # Errors
/// Of class `Fatal` only.
pub(super) async fn open(
    parts: Parts,
    server: ServerConfig,
    from: (Epoch, BinlogPosition),
    reached: watch::Receiver<Reached>,
    counter: mpsc::Sender<FromStamper>,
) -> Result<(), Error> {
    let mut pause = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        match once(&parts, &server, &from, reached.clone(), &counter).await {
            Ok(()) => break,
            Err(error) if error.class() == ErrorClass::Fatal => return Err(error),
            Err(error) => {
                tracing::info!(error = causes(&error), "the server is not opened yet");
                pause.wait().await;
            }
        }
    }
    parts.shared.change(|state| state.serving = true);
    parts.shared.phase(MemberRole::Source, "shipping");
    Ok(())
}

async fn once(
    parts: &Parts,
    server: &ServerConfig,
    (epoch, from): &(Epoch, BinlogPosition),
    mut reached: watch::Receiver<Reached>,
    counter: &mpsc::Sender<FromStamper>,
) -> Result<(), Error> {
    // While the quorum is away, SHOW MASTER STATUS would only pile up sessions that hang.
    reached.wait_for(Option::is_some).await.map_err(|_| Error::RoleTask)?;
    let mut session = Session::connect(server, CONNECT).await?;
    let last = if server::is_read_only(&mut session).await? {
        let end = server::binlog_end(&mut session).await?;
        let read = |reached: &Reached| reached.as_ref().is_some_and(|(at, _)| *at >= end);
        let found = reached.wait_for(read).await.map_err(|_| Error::RoleTask)?;
        found.as_ref().map(|(_, last)| *last)
    } else {
        // It is open already: a new agent beside a server that went on.
        reached.borrow().as_ref().map(|(_, last)| *last)
    };
    let (done, committed) = oneshot::channel();
    let lsn = last.unwrap_or(Lsn::FIRST);
    let told = counter.send(FromStamper::WhenCommitted(lsn, done)).await;
    told.map_err(|_| Error::RoleTask)?;
    committed.await.map_err(|_| Error::RoleTask)?;
    // I8: before it is opened, its checkpoint says what it is.
    let (cluster, me) = (parts.log.cluster(), &parts.config.name);
    apply::mark_source(&mut session, cluster, me, *epoch, from).await?;
    // Of the time when it was a replica: their XA COMMIT comes from its own clients from now on.
    let prepared = apply::prepare_parked(parts.log.reader(), server).await?;
    if prepared > 0 {
        tracing::info!(prepared, "XA transactions of the former source are prepared here");
    }
    server::set_read_only(&mut session, false).await?;
    Ok(())
}
