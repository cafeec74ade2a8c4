//! Adoption: this member's log becomes the chosen one (I7, I13).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use wal::{Frame, LogPoint, Lsn};

use super::message::{Fetch, LIMIT, Standing, kind};
use super::{Error, fence};
use crate::cluster::{MemberAddress, MemberName, Shipper};
use crate::log::{Append, LogHandle, history};
use crate::wire::{Identity, Message, Receiver};

/// A member that has not sent a byte for so long counts as lost.
const SILENCE: Duration = Duration::from_secs(30);

/// Fetches what this log lacks of `chosen`'s and cuts what that lacks. Flushed on return: this log
/// then ends where the chosen one does.
///
/// # Errors
/// The member was lost on the way, or this log refused.
pub async fn adopt(
    log: &LogHandle,
    shipper: Shipper,
    chosen: &Standing,
    from: Option<&MemberAddress>,
    identity: &Identity,
) -> Result<(), Error> {
    let own = log.standing().await?;
    let common = history::last_common(&own.epochs, &chosen.epochs);
    log.cut(shipper, common).await?;
    let Some(tail) = chosen.tail.filter(|&tail| Some(tail) != common) else {
        return Ok(());
    };
    let Some(member) = from else {
        return Err(Error::Incomplete { member: chosen.voter.member.clone(), tail, got: own.tail });
    };
    receive(log, shipper, common, tail, member, identity).await?;
    let got = log.standing().await?.tail;
    if got == Some(tail) {
        return Ok(());
    }
    Err(Error::Incomplete { member: member.member.clone(), tail, got })
}

async fn receive(
    log: &LogHandle,
    shipper: Shipper,
    common: Option<LogPoint>,
    tail: LogPoint,
    member: &MemberAddress,
    identity: &Identity,
) -> Result<(), Error> {
    let name = &member.member;
    let wire = |source| Error::Wire { member: name.clone(), source };
    let (mut to, from) = fence::connect(member, identity).await?.split();
    let mut from = from.with_limit(LIMIT);
    let wanted = Fetch { from: Lsn::after(common.map(|point| point.lsn)), to: tail.lsn };
    to.send_json(kind::FETCH, &wanted).await.map_err(wire)?;
    let (refusals, mut refused) = mpsc::channel(1);
    let mut before = common;
    loop {
        let message = next(&mut from, name).await?;
        match message.kind {
            kind::FRAME => {
                let frame = Frame::decode(message.body)?;
                let end = Some(frame.last());
                let frames = vec![frame];
                let refusals = refusals.clone();
                log.append(Append { shipper, before, frames, commit: None, refusals }).await?;
                before = end;
            }
            kind::FETCHED => break,
            other => {
                let reason = "expected frames".to_owned();
                return Err(Error::BadMessage { member: name.clone(), kind: other, reason });
            }
        }
    }
    // The log takes requests in order: an answer to this one comes after every append was tried.
    log.standing().await?;
    match refused.try_recv() {
        Ok(refusal) => Err(Error::Log(crate::log::Error::Refused(refusal))),
        Err(_) => Ok(()),
    }
}

/// The next message, however long it takes, as long as bytes of it keep coming.
pub(super) async fn next(from: &mut Receiver, name: &MemberName) -> Result<Message, Error> {
    loop {
        let received = from.received();
        match timeout(SILENCE, from.next()).await {
            Ok(Ok(Some(message))) => return Ok(message),
            Ok(Ok(None)) => return Err(Error::Closed { member: name.clone() }),
            Ok(Err(source)) => return Err(Error::Wire { member: name.clone(), source }),
            Err(_) if from.received() > received => {}
            Err(_) => {
                return Err(Error::Silent { member: name.clone(), seconds: SILENCE.as_secs() });
            }
        }
    }
}
