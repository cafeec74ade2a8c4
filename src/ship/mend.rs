//! A damaged segment of this member's log, written anew from another member's (I13).

use tokio::task::spawn_blocking;
use wal::{Damage, Frame, Mended};

use super::fetch::Fetching;
use super::message::{Fetch, LIMIT, kind};
use super::{Error, fence};
use crate::cluster::{MemberAddress, MemberName};
use crate::log;
use crate::wire::{Connection, Identity};

/// Asks `member` for the records of a damaged segment. What comes back has no name yet.
///
/// # Errors
/// The member cannot be reached, or has not the same records, or is damaged there too.
pub async fn fetch(
    member: &MemberAddress,
    identity: &Identity,
    damage: Damage,
) -> Result<Mended, Error> {
    receive(fence::connect(member, identity).await?, &member.member, damage).await
}

/// As [`fetch`], over a connection to member `name`.
///
/// # Errors
/// Those of [`fetch`].
pub async fn receive(
    connection: Connection,
    name: &MemberName,
    damage: Damage,
) -> Result<Mended, Error> {
    let not_mended = |source| Error::NotMended { member: name.clone(), source };
    let (mut to, from) = connection.split();
    let mut fetching = Fetching::new(from.with_limit(LIMIT), name.clone());
    let (first, last) = damage.records();
    let wanted = Fetch { from: first, to: last };
    let sent = to.send_json(kind::FETCH, &wanted).await;
    sent.map_err(|source| Error::Wire { member: name.clone(), source })?;
    let mut repair = damage.begin().map_err(not_mended)?;
    loop {
        let message = fetching.next().await?;
        match message.kind {
            kind::FRAME => {
                let taken = Frame::decode(message.body).and_then(|frame| repair.take(&frame));
                taken.map_err(not_mended)?;
            }
            kind::FETCHED => break,
            other => {
                let reason = "expected frames".to_owned();
                return Err(Error::BadMessage { member: name.clone(), kind: other, reason });
            }
        }
    }
    // An fsync of a whole segment: not on a thread that others wait for.
    let finished = spawn_blocking(|| repair.finish()).await;
    finished.map_err(|_| log::Error::Stopped)?.map_err(not_mended)
}
