//! Attaches as the semi-synchronous replica, and not a moment too early (I3).
//!
//! A task of its own: it waits until everything before is released, which may need what the reign does
//! meanwhile (heartbeats, a change of members).

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::tailing::{From, Reader};
use crate::backoff::Backoff;
use crate::cluster::{ErrorClass, causes};
use crate::server::Session;
use crate::tail::{AckSender, Tail};

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The session comes back whatever became of the tail.
pub(super) type Opening = (Session, Result<(Tail, AckSender), Error>);

/// The end of the task that opens the tail; waits for ever while there is none. Cancel-safe.
pub(super) async fn opened(opening: &mut Option<JoinHandle<Opening>>) -> Result<Opening, Error> {
    match opening {
        Some(task) => task.await.map_err(|_| Error::RoleTask),
        None => std::future::pending().await,
    }
}

/// Opens the tail when it may be opened, and tries until it is. A restarted server is a new shipper
/// start (I17): that the session of before still answers proves that this one is the same process.
pub(super) async fn open_tail(
    mut control: Session,
    mut reader: Reader,
    from: From,
    released: oneshot::Receiver<()>,
    term: CancellationToken,
) -> Opening {
    let mut pause = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    tokio::select! {
        () = term.cancelled() => return (control, Err(Error::RoleTask)),
        released = released => if released.is_err() {
            return (control, Err(Error::RoleTask));
        },
    }
    loop {
        if control.ping().await.is_err() {
            return (control, Err(Error::Restarted));
        }
        let opened = tokio::select! {
            () = term.cancelled() => return (control, Err(Error::RoleTask)),
            opened = reader.open(&from) => opened,
        };
        match opened {
            Err(error) if error.class() != ErrorClass::Fatal => {
                tracing::warn!(code = %error.code(), error = causes(&error), "the tail is not open yet");
                pause.wait().await;
            }
            done => return (control, done),
        }
    }
}
