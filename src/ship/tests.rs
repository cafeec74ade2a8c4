//! Members over real sockets: catch-up, live frames, fencing, adoption.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wal::{LogPoint, Lsn};

use super::fence::Fencing;
use super::message::Standing;
use super::sender::{self, PeerEvent, SenderContext};
use super::{Window, fetch, serve};
use crate::cluster::{
    AckWhen, Grant, MemberAddress, MemberName, QuorumConfig, Rule, Shipper, Voter,
};
use crate::config::{ClusterConfig, Secret};
use crate::log::tests::{End, frame, origin, shipper, start};
use crate::log::{Append, LogHandle};
use crate::wire::{Identity, Listener, PeerRole};

const PATIENCE: Duration = Duration::from_secs(10);

fn name(text: &str) -> MemberName {
    MemberName::new(text).unwrap()
}

fn identity(text: &str) -> Identity {
    let secret = Secret::new("a secret of sixteen bytes and more");
    let cluster = ClusterConfig { name: "test".to_owned(), secrets: vec![secret], tls: None };
    Identity::new(&cluster, PeerRole::Member, text).unwrap()
}

struct Member {
    name: MemberName,
    log: LogHandle,
    address: MemberAddress,
    serving: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn member(text: &str) -> Member {
    let folder = tempfile::tempdir().unwrap();
    let log = start(&folder.path().join("log"));
    let listener = Listener::bind("127.0.0.1:0", identity(text)).await.unwrap();
    let listen = listener.local_addr().to_string();
    let address = MemberAddress { member: name(text), listen, has_server: false };
    let (served, me) = (log.clone(), name(text));
    let serving = tokio::spawn(async move {
        let applied = watch::Sender::new(None);
        let mut open = tokio::task::JoinSet::new();
        loop {
            let incoming = listener.accept().await.unwrap();
            let (log, me, applied) = (served.clone(), me.clone(), applied.subscribe());
            open.spawn(async move {
                let connection = incoming.handshake().await.unwrap();
                let _ = serve::serve(connection, &me, log, applied).await;
            });
        }
    });
    Member { name: name(text), log, address, serving, _folder: folder }
}

fn voter(member: &Member) -> Voter {
    Voter { member: member.name.clone(), incarnation: member.log.incarnation() }
}

fn grant(by: Shipper, members: &[&Member]) -> Grant {
    let voters = members.iter().map(|member| voter(member)).collect();
    let config = QuorumConfig { generation: 1, rule: Rule::Any { k: 2 }, voters };
    Grant {
        shipper: by,
        commit: vec![config.clone()],
        fence: vec![config],
        members: members.iter().map(|member| member.address.clone()).collect(),
        ack: AckWhen::Flushed,
        reached: Vec::new(),
    }
}

struct Shipping {
    source: LogHandle,
    window: Arc<Window>,
    grant: Arc<Grant>,
    end: End,
    commit: watch::Sender<Option<Lsn>>,
    events: mpsc::Receiver<PeerEvent>,
    stop: CancellationToken,
}

impl Shipping {
    fn to(source: &Member, target: &Member, grant: Grant, end: End) -> Shipping {
        let grant = Arc::new(grant);
        let window = Arc::new(Window::new(end.point));
        let (commit, committed) = watch::channel(None);
        let (sender, events) = mpsc::channel(64);
        let context = SenderContext {
            identity: identity(source.name.as_str()),
            grant: grant.clone(),
            log: source.log.clone(),
            window: window.clone(),
            commit: committed,
            events: sender,
        };
        let stop = CancellationToken::new();
        tokio::spawn(sender::keep(target.address.clone(), context, stop.clone()));
        Shipping { source: source.log.clone(), window, grant, end, commit, events, stop }
    }

    async fn ship(&mut self, count: u64) {
        let before = self.end.point;
        let frame = frame(self.grant.shipper.epoch.get(), &mut self.end, count);
        self.window.push(frame.clone());
        append(&self.source, self.grant.shipper, before, frame).await;
    }

    async fn reported(&mut self, lsn: u64) {
        let wait = async {
            loop {
                match self.events.recv().await.unwrap() {
                    PeerEvent::Reported { reported, .. } if reported.flushed >= Lsn::new(lsn) => {
                        return;
                    }
                    PeerEvent::Fenced { .. } | PeerEvent::Damaged { .. } | PeerEvent::Broken(_) => {
                        panic!("ended")
                    }
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("the report comes");
    }
}

async fn append(log: &LogHandle, by: Shipper, before: Option<LogPoint>, frame: wal::Frame) {
    let (refusals, _refused) = mpsc::channel(1);
    let frames = vec![frame];
    log.append(Append { shipper: by, before, frames, commit: None, refusals }).await.unwrap();
}

async fn fill(log: &LogHandle, by: Shipper, end: &mut End, frames: usize) {
    for _ in 0..frames {
        let before = end.point;
        let frame = frame(by.epoch.get(), end, 3);
        append(log, by, before, frame).await;
    }
    log.standing().await.unwrap();
}

#[tokio::test]
async fn a_member_catches_up_from_disk_and_then_follows_live() {
    let (source, replica) = (member("s1").await, member("s2").await);
    let by = shipper(1);
    let mut end = origin(&source.log).await;
    fill(&source.log, by, &mut end, 40).await;
    let mut shipping = Shipping::to(&source, &replica, grant(by, &[&source, &replica]), end);
    shipping.reported(120).await;
    shipping.ship(5).await;
    shipping.commit.send_replace(Lsn::new(125));
    shipping.reported(125).await;
    let mut progress = replica.log.progress();
    let visible = progress.wait_for(|progress| progress.visible == Lsn::new(125));
    timeout(PATIENCE, visible).await.expect("the commit point arrives").unwrap();
    assert_eq!(
        replica.log.standing().await.unwrap().epochs,
        source.log.standing().await.unwrap().epochs
    );
    shipping.stop.cancel();
}

#[tokio::test]
async fn a_conflicting_tail_is_replaced_and_a_newer_promise_ends_the_shipper() {
    let (source, replica) = (member("s1").await, member("s2").await);
    let mut common = origin(&source.log).await;
    fill(&source.log, shipper(1), &mut common, 2).await;
    let mut same = origin(&replica.log).await;
    // Six records of epoch 1 are in both; the replica has three more that epoch 2 never saw.
    fill(&replica.log, shipper(1), &mut same, 3).await;
    let by = shipper(2);
    let mut end = common;
    fill(&source.log, by, &mut end, 1).await;
    let mut shipping = Shipping::to(&source, &replica, grant(by, &[&source, &replica]), end);
    shipping.reported(9).await;
    let standing = replica.log.standing().await.unwrap();
    assert_eq!(standing.epochs, source.log.standing().await.unwrap().epochs);
    replica.log.promise(shipper(3)).await.unwrap();
    shipping.ship(1).await;
    let fenced = async {
        while !matches!(
            shipping.events.recv().await.unwrap(),
            PeerEvent::Fenced { promised, .. } if promised == shipper(3)
        ) {}
    };
    timeout(PATIENCE, fenced).await.expect("the shipper learns that it is fenced");
    assert_eq!(replica.log.standing().await.unwrap().tail, standing.tail, "nothing was written");
    shipping.stop.cancel();
}

#[tokio::test]
async fn a_new_epoch_adopts_the_greatest_log_of_its_fence() {
    let (source, ahead, dead) = (member("s1").await, member("s2").await, member("s3").await);
    let mut end = origin(&source.log).await;
    fill(&source.log, shipper(1), &mut end, 2).await;
    let mut other = origin(&ahead.log).await;
    fill(&ahead.log, shipper(1), &mut other, 4).await;
    // The source holds a record of its own behind the common six: as after a lost epoch 2.
    fill(&source.log, shipper(2), &mut end, 1).await;
    dead.serving.abort();
    let by = shipper(5);
    let grant = grant(by, &[&source, &ahead, &dead]);
    let own = source.log.promise(by).await.unwrap();
    let own = Standing { voter: voter(&source), tail: own.tail, epochs: own.epochs };
    let mut fencing = Fencing::start(grant.clone(), own, &identity("s1"));
    let chosen = timeout(PATIENCE, fencing.chosen()).await.expect("two of three").unwrap();
    assert_eq!(chosen.voter, voter(&source), "epoch 2 is greater than any length of epoch 1");
    // Had the other one that record, it would be fetched, and this log cut.
    let mut longer = other;
    fill(&ahead.log, shipper(6), &mut longer, 1).await;
    let theirs = ahead.log.standing().await.unwrap();
    let theirs =
        Standing { voter: voter(&ahead), tail: theirs.tail, epochs: theirs.epochs.clone() };
    fetch::adopt(&source.log, shipper(7), &theirs, Some(&ahead.address), &identity("s1"))
        .await
        .unwrap();
    assert_eq!(source.log.standing().await.unwrap().epochs, theirs.epochs);
}
