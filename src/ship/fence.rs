//! Promises from a fence quorum: the first step of a new epoch (I5, I6, I7).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::adopt::{self, Fence};
use super::message::{Ask, Standing, kind};
use super::{Error, sender};
use crate::backoff::Backoff;
use crate::cluster::{Grant, MemberAddress, MemberName, Shipper, causes};
use crate::wire::{self, Connection, Identity, Receiver, Sender};

/// Reaching a member, and its answer: a promise is two fsyncs at most.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);

/// Pauses between attempts to reach a member that has not promised.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A connection to a member's log port, its name checked.
///
/// # Errors
/// It cannot be reached, or somebody else answers there.
pub(super) async fn connect(
    member: &MemberAddress,
    identity: &Identity,
) -> Result<Connection, Error> {
    let connection = wire::connect(&member.listen, identity, sender::PEER, CONNECT)
        .await
        .map_err(|source| Error::Wire { member: member.member.clone(), source })?;
    let answered = &connection.peer().name;
    if answered != member.member.as_str() {
        let answered = answered.clone();
        return Err(Error::WrongMember { member: member.member.clone(), answered });
    }
    Ok(connection)
}

/// One question in the name of `shipper`, answered by the member's standing.
pub(super) async fn ask(
    member: &MemberAddress,
    to: &mut Sender,
    from: &mut Receiver,
    question: u8,
    answer: u8,
    asked: Ask,
) -> Result<Standing, Error> {
    let name = &member.member;
    let wire = |source| Error::Wire { member: name.clone(), source };
    to.send_json(question, &asked).await.map_err(wire)?;
    let silent = |_| Error::Silent { member: name.clone(), seconds: ANSWER.as_secs() };
    let message = timeout(ANSWER, from.next()).await.map_err(silent)?.map_err(wire)?;
    let message = message.ok_or_else(|| Error::Closed { member: name.clone() })?;
    if message.kind == kind::REFUSED {
        return Err(sender::refusal(name, &message));
    }
    let bad = |reason| Error::BadMessage { member: name.clone(), kind: message.kind, reason };
    if message.kind != answer {
        return Err(bad(format!("expected {answer}")));
    }
    let standing: Standing =
        serde_json::from_slice(&message.body).map_err(|error| bad(error.to_string()))?;
    if standing.voter.member != *name {
        return Err(bad(format!("it speaks for {}", standing.voter.member)));
    }
    Ok(standing)
}

async fn promise(
    member: &MemberAddress,
    identity: &Identity,
    shipper: Shipper,
) -> Result<Standing, Error> {
    let (mut to, mut from) = connect(member, identity).await?.split();
    let asked = Ask { shipper, applied_at_once: true };
    ask(member, &mut to, &mut from, kind::PROMISE, kind::PROMISED, asked).await
}

/// Collects promises of one grant; members that cannot be reached are asked again and again.
pub struct Fencing {
    grant: Grant,
    fence: Fence,
    identity: Identity,
    answers: mpsc::Receiver<(MemberName, Result<Standing, Error>)>,
    sender: mpsc::Sender<(MemberName, Result<Standing, Error>)>,
    asking: JoinSet<()>,
    /// Why a member has not promised yet: for status.
    troubles: BTreeMap<MemberName, String>,
}

impl Fencing {
    /// Asks every member of `grant` but this one, whose own promise is `own`.
    pub fn start(grant: Grant, own: Standing, identity: &Identity) -> Fencing {
        let (sender, answers) = mpsc::channel(grant.members.len().max(1));
        let mut fencing = Fencing {
            fence: Fence::default(),
            identity: identity.clone(),
            answers,
            sender,
            asking: JoinSet::new(),
            troubles: BTreeMap::new(),
            grant,
        };
        let me = own.voter.member.clone();
        fencing.take(own);
        let others: Vec<MemberAddress> =
            fencing.grant.members.iter().filter(|member| member.member != me).cloned().collect();
        for member in others {
            fencing.ask_until_promised(member);
        }
        fencing
    }

    fn ask_until_promised(&mut self, member: MemberAddress) {
        let (identity, grant) = (self.identity.clone(), self.grant.clone());
        let answers = self.sender.clone();
        self.asking.spawn(async move {
            let mut pause = Backoff::new(PAUSE_MIN, PAUSE_MAX);
            loop {
                let answer = promise(&member, &identity, grant.shipper).await;
                // A log that does not count may yet be put right: it is asked again.
                let last = match &answer {
                    Ok(standing) => adopt::counts(&grant, standing).is_ok(),
                    Err(error) => matches!(error, Error::Fenced { .. }),
                };
                if answers.send((member.member.clone(), answer)).await.is_err() || last {
                    return;
                }
                pause.wait().await;
            }
        });
    }

    fn take(&mut self, standing: Standing) {
        let member = standing.voter.member.clone();
        match adopt::counts(&self.grant, &standing) {
            Ok(()) => {
                self.troubles.remove(&member);
                self.fence.promised(standing);
            }
            Err(reason) => {
                let (code, reason) = (reason.code(), reason.to_string());
                if self.troubles.insert(member.clone(), reason.clone()).as_ref() != Some(&reason) {
                    tracing::warn!(%code, peer = %member, reason, "a promise does not count");
                }
            }
        }
    }

    /// Waits until the promises make a fence, and gives the log to adopt.
    ///
    /// # Errors
    /// [`Error::Fenced`]: somebody has promised a newer reign.
    pub async fn chosen(&mut self) -> Result<Standing, Error> {
        loop {
            if let Some(chosen) = self.fence.choose(&self.grant) {
                return Ok(chosen.clone());
            }
            // `self.sender` lives as long as this: there is always somebody to wait for.
            let Some((member, answer)) = self.answers.recv().await else { continue };
            match answer {
                Ok(standing) => self.take(standing),
                Err(error @ Error::Fenced { .. }) => return Err(error),
                Err(error) => {
                    let trouble = causes(&error);
                    if self.troubles.insert(member.clone(), trouble.clone()) != Some(trouble) {
                        tracing::info!(peer = %member, error = %causes(&error),
                            "waiting for a promise");
                    }
                }
            }
        }
    }

    /// The chosen member was lost before its log was here: ask it again, and choose anew (I7).
    pub fn lost(&mut self, member: &MemberName) {
        self.fence.lost(member);
        let address = self.grant.members.iter().find(|known| known.member == *member).cloned();
        if let Some(address) = address {
            self.ask_until_promised(address);
        }
    }

    /// Who has not promised, and why.
    pub fn missing(&self) -> Vec<(MemberName, Option<String>)> {
        let missing = self.fence.missing(&self.grant).into_iter();
        missing.map(|member| (member.clone(), self.troubles.get(&member).cloned())).collect()
    }
}
