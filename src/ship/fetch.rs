//! Adoption: this member's log becomes the chosen one (I7, I13).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
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
    let mut fetching = Fetching::new(from.with_limit(LIMIT), name.clone());
    let wanted = Fetch { from: Lsn::after(common.map(|point| point.lsn)), to: tail.lsn };
    to.send_json(kind::FETCH, &wanted).await.map_err(wire)?;
    let (refusals, mut refused) = mpsc::channel(1);
    let mut before = common;
    loop {
        let message = fetching.next().await?;
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

/// What a member sends, and how long that was waited for.
pub(super) struct Fetching {
    from: Receiver,
    member: MemberName,
    /// Of all messages so far.
    bytes: usize,
    /// Without the time that this member's own log took.
    waited: Duration,
    silence: Duration,
}

impl Fetching {
    pub fn new(from: Receiver, member: MemberName) -> Fetching {
        Fetching { from, member, bytes: 0, waited: Duration::ZERO, silence: SILENCE }
    }

    /// The next message. Who sends nothing for [`SILENCE`] is lost, and who is slower over all than
    /// 1 MB/s beyond that (the least everywhere between members) too: else one that sends a byte now
    /// and then would hold up a new epoch for ever. What has arrived is kept, and the next attempt begins there.
    pub async fn next(&mut self) -> Result<Message, Error> {
        loop {
            let arriving = self.from.received();
            let bytes = self.bytes + arriving;
            let allowed = self.silence + Duration::from_micros(bytes as u64);
            let Some(left) = allowed.checked_sub(self.waited) else {
                let (member, seconds) = (self.member.clone(), self.waited.as_secs());
                return Err(Error::Slow { member, bytes, seconds });
            };
            let began = Instant::now();
            let next = timeout(left.min(self.silence), self.from.next()).await;
            self.waited += began.elapsed();
            let member = || self.member.clone();
            match next {
                Ok(Ok(Some(message))) => {
                    self.bytes += message.body.len();
                    return Ok(message);
                }
                Ok(Ok(None)) => return Err(Error::Closed { member: member() }),
                Ok(Err(source)) => return Err(Error::Wire { member: member(), source }),
                // Something came, or its time was over earlier than a silence's.
                Err(_) if self.from.received() > arriving || left < self.silence => {}
                Err(_) => {
                    let seconds = began.elapsed().as_secs();
                    return Err(Error::Silent { member: member(), seconds });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    /// A message of 2 MiB, `chunk` bytes of it each tenth of a second, and then nothing.
    fn fed(chunk: usize) -> Fetching {
        let (mut to, from) = duplex(2 << 20);
        tokio::spawn(async move {
            let rest = vec![kind::FRAME; 2 << 20];
            to.write_all(&(2_u32 << 20).to_le_bytes()).await.unwrap();
            for sent in rest.chunks(chunk) {
                tokio::time::sleep(SHORT / 2).await;
                if to.write_all(sent).await.is_err() {
                    return;
                }
            }
            to.write_all(&[1]).await.unwrap();
            std::future::pending::<()>().await;
        });
        let from = Receiver::new(Box::new(from), "s2".to_owned()).with_limit(LIMIT);
        Fetching { silence: SHORT, ..Fetching::new(from, MemberName::new("s2").unwrap()) }
    }

    #[tokio::test]
    async fn a_large_message_on_a_slow_link_arrives() {
        let mut fetching = fed(256 << 10);
        assert_eq!(fetching.next().await.unwrap().body.len(), (2 << 20) - 1);
        assert!(fetching.waited > 3 * SHORT, "{:?}", fetching.waited);
    }

    #[tokio::test]
    async fn a_member_that_sends_a_byte_now_and_then_is_lost() {
        let mut fetching = fed(1);
        let lost = timeout(20 * SHORT, fetching.next()).await.expect("within its deadline");
        assert!(matches!(lost, Err(Error::Slow { bytes, .. }) if bytes < 100), "{lost:?}");
    }

    #[tokio::test]
    async fn a_member_that_falls_silent_is_lost() {
        let mut fetching = fed(2 << 20);
        fetching.next().await.unwrap();
        let lost = timeout(20 * SHORT, fetching.next()).await.expect("within its deadline");
        assert!(matches!(lost, Err(Error::Silent { .. })), "{lost:?}");
    }
}
