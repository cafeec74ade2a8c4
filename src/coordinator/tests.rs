//! Coordinator and links over real sockets on loopback.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wal::{Epoch, Incarnation, LogPoint, Lsn, Timestamp};

use super::store::{EmbeddedStore, Store as _};
use super::*;
use crate::cluster::{AckWhen, LogFormat, LogFormats, MemberName, Shipper};
use crate::config::{ClusterConfig, CoordinatorConfig, HttpAccess, MemberConfig, Secret};
use crate::explain::{Code, Coded};
use crate::renewal::Renewals;
use crate::report::{
    CoordinatorLink, Handle, LinkState, LogIdentity, Mark, MemberRole, Registration, Report,
    ServerAddress, Standing, View,
};
use crate::wire::{Identity, PeerRole};

const SOON: Duration = Duration::from_secs(20);

fn cluster(secret: &str) -> ClusterConfig {
    ClusterConfig { name: "orders".to_owned(), secrets: vec![Secret::new(secret)], tls: None }
}

fn config(folder: &Path, listen: &str, members: usize) -> CoordinatorConfig {
    let member = |index: usize| MemberConfig {
        name: MemberName::new(format!("s{}", index + 1)).unwrap(),
        listen: format!("127.0.0.1:{}", 7001 + index),
        witness: index == 2,
    };
    CoordinatorConfig {
        cluster: cluster("a secret of the tests"),
        data_dir: folder.to_owned(),
        listen: listen.to_owned(),
        http: "127.0.0.1:0".to_owned(),
        access: HttpAccess::default(),
        source: MemberName::new("s1").unwrap(),
        tolerate: 1,
        ack: AckWhen::Flushed,
        members: (0..members).map(member).collect(),
    }
}

/// A coordinator in this process.
struct Running {
    agents: String,
    http: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(config: CoordinatorConfig) -> Running {
        let coordinator = Coordinator::bind(config).await.unwrap();
        let agents = coordinator.agents_address().to_string();
        let http = coordinator.http_address().unwrap().to_string();
        let stop = CancellationToken::new();
        let task = tokio::spawn(coordinator.run(Renewals::never(), stop.clone()));
        Running { agents, http, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Status code and body of one request.
    async fn http(&self, method: &'static str, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.http);
        tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent =
                ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut answer = match method {
                "POST" => agent.post(url).send_empty(),
                _ => agent.get(url).call(),
            }
            .unwrap();
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        })
        .await
        .unwrap()
    }

    async fn status(&self) -> Status {
        let (code, body) = self.http("GET", "/v1/status").await;
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks until the status is as wished.
    async fn until(&self, what: &str, wished: impl Fn(&Status) -> bool) -> Status {
        let asked = async {
            loop {
                let status = self.status().await;
                if wished(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(SOON, asked).await {
            Ok(status) => status,
            Err(_) => panic!("never: {what}: {:#?}", self.status().await),
        }
    }
}

/// One agent's link.
struct Agent {
    handle: Handle,
    view: watch::Receiver<Option<View>>,
    registration: Registration,
}

impl Agent {
    fn start(coordinators: &[&str], member: &str) -> Agent {
        Agent::with_secret(coordinators, member, "a secret of the tests")
    }

    fn with_secret(coordinators: &[&str], member: &str, secret: &str) -> Agent {
        let identity = Identity::new(&cluster(secret), PeerRole::Member, member).unwrap();
        let server =
            ServerAddress { host: member.to_owned(), port: 3306, family: None, uuid: None };
        let registration = Registration {
            member: MemberName::new(member).unwrap(),
            log: None,
            listen: "127.0.0.1:1".to_owned(),
            http: "127.0.0.1:2".to_owned(),
            server: (member != "s3").then_some(server),
            tail: None,
            promised: None,
            log_formats: LogFormats::OURS,
        };
        let coordinators = coordinators.iter().map(|&address| address.to_owned()).collect();
        let (handle, view) = CoordinatorLink::start(coordinators, identity, registration.clone());
        Agent { handle, view, registration }
    }

    async fn view(&mut self, wished: impl FnMut(&Option<View>) -> bool) -> View {
        let view = tokio::time::timeout(SOON, self.view.wait_for(wished)).await;
        view.unwrap().unwrap().clone().unwrap()
    }

    /// Makes its log and registers with it, as an agent does on its first start.
    async fn make_log(&mut self, life: u8) -> Incarnation {
        let cluster = self.view(Option::is_some).await.cluster;
        let incarnation = Incarnation::from_bytes([life; 16]);
        self.registration.log = Some(LogIdentity { cluster, incarnation });
        self.handle.register(self.registration.clone());
        let name = self.registration.member.clone();
        self.view(|view| {
            let entry = view.as_ref().and_then(|view| view.member(&name));
            entry.is_some_and(|entry| entry.incarnation == Some(incarnation))
        })
        .await;
        incarnation
    }

    fn at(&self, role: MemberRole, committed: u64, applied: u64) {
        let point = |lsn| Some(LogPoint { epoch: Epoch::FIRST, lsn: Lsn::new(lsn).unwrap() });
        let mark = |lsn: u64| {
            let timestamp = Timestamp::new(lsn * 100, 0);
            Lsn::new(lsn).map(|lsn| Mark { lsn, timestamp })
        };
        self.handle.report(Report {
            written: point(committed),
            flushed: point(committed),
            matched_committed: point(committed),
            commit: mark(committed),
            applied: mark(applied).filter(|_| role != MemberRole::Witness),
            serving: true,
            state: "well".to_owned(),
            ..Report::starting(role)
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_bootstrap_to_a_replaced_member() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Running::start(config(folder.path(), "127.0.0.1:0", 3)).await;
    let address = [coordinator.agents.as_str()];
    let mut s1 = Agent::start(&address, "s1");
    let mut s2 = Agent::start(&address, "s2");
    let life = s1.make_log(1).await;
    s2.make_log(1).await;
    let refused = s1.handle.grant(life).await.unwrap_err();
    assert!(refused.to_string().contains("first registration of s3"), "{refused}");
    let status = coordinator.until("waits for s3", |status| !status.alarms.is_empty()).await;
    assert_eq!(status.waiting_for, ["s3"]);
    let mut s3 = Agent::start(&address, "s3");
    s3.make_log(1).await;

    let grant = s1.handle.grant(life).await.unwrap();
    assert_eq!((grant.commit.len(), grant.fence.len()), (1, 1));
    let newer = s1.handle.grant(life).await.unwrap();
    let fenced = s1.handle.epoch_complete(grant.shipper, Lsn::FIRST).await.unwrap_err();
    assert_eq!(fenced, crate::report::Error::Fenced);
    s1.handle.epoch_complete(newer.shipper, Lsn::FIRST).await.unwrap();
    assert!(s2.view(|view| view.as_ref().is_some_and(|view| view.complete)).await.epoch.is_some());

    s1.at(MemberRole::Source, 50, 50);
    s2.at(MemberRole::Replica, 50, 20);
    s3.at(MemberRole::Witness, 50, 0);
    let lagging = |status: &Status| {
        let lag = |member: usize| status.members[member].lag_records;
        // Each tells on a connection of its own.
        status.healthy && (lag(1), lag(2)) == (Some(30), Some(0))
    };
    let status = coordinator.until("healthy with a lag", lagging).await;
    assert_eq!(status.alarms, []);
    assert_eq!(status.commit_lsn, Some(50));
    assert_eq!(status.members[2].role, "witness");
    assert_eq!(status.members[2].lag_records, Some(0));

    lose_and_replace_the_log_of(s3, &mut s1, newer.shipper, &coordinator).await;
    coordinator.stop().await;
}

/// It does not count until it is replaced by a joint change, which the shipper commits.
async fn lose_and_replace_the_log_of(
    s3: Agent,
    s1: &mut Agent,
    shipper: Shipper,
    coordinator: &Running,
) {
    drop(s3);
    let mut s3 = Agent::start(&[&coordinator.agents], "s3");
    s3.make_log(2).await;
    let name = s3.registration.member.clone();
    let view = s3.view(Option::is_some).await;
    assert!(matches!(view.member(&name).unwrap().standing, Standing::Excluded { .. }));
    let (code, body) = coordinator.http("POST", "/v1/members/s3/replace").await;
    assert_eq!((code, body.as_str()), (202, r#"{"generation":2,"state":"joining"}"#));
    let view = s1.view(|view| view.as_ref().is_some_and(|view| view.joint().is_some())).await;
    let generation = view.joint().unwrap().generation;
    s1.handle.config_committed(shipper, generation).await.unwrap();
    s3.view(|view| view.as_ref().is_some_and(|view| view.joint().is_none())).await;
    let (code, body) = coordinator.http("POST", "/v1/members/s3/replace").await;
    assert_eq!((code, body.as_str()), (200, r#"{"generation":2,"state":"counts"}"#));
    for (path, expected) in [("/v1/members/s9/replace", 404), ("/v1/members/%20/replace", 400)] {
        assert_eq!(coordinator.http("POST", path).await.0, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_coordinator_is_found_again_with_all_it_promised() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Running::start(config(folder.path(), "127.0.0.1:0", 1)).await;
    let address = coordinator.agents.clone();
    // The first of the list is not there.
    let mut s1 = Agent::start(&["127.0.0.1:1", &address], "s1");
    let life = s1.make_log(1).await;
    s1.handle.grant(life).await.unwrap();
    s1.at(MemberRole::Source, 9, 9);
    coordinator.until("a report", |status| status.commit_lsn == Some(9)).await;
    let first = s1.handle.grant(life).await.unwrap().shipper;
    // Ended in the middle: no goodbye to anybody.
    coordinator.task.abort();
    assert!(coordinator.task.await.unwrap_err().is_cancelled());
    let mut state = s1.handle.watch_state();
    let lost = state.wait_for(|state| matches!(state, LinkState::Connecting { .. }));
    tokio::time::timeout(SOON, lost).await.unwrap().unwrap();
    assert!(s1.view.borrow().is_some(), "the last view stays");

    let coordinator = loop {
        // The store's lock and the port are free once the aborted tasks are gone.
        match Coordinator::bind(config(folder.path(), &address, 1)).await {
            Ok(coordinator) => break coordinator,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(coordinator.run(Renewals::never(), stop.clone()));
    let second = tokio::time::timeout(SOON, async {
        loop {
            match s1.handle.grant(life).await {
                Ok(grant) => break grant,
                Err(error) => assert_eq!(error.class(), crate::cluster::ErrorClass::Retry),
            }
        }
    });
    let second = second.await.unwrap();
    assert!(second.shipper.epoch > first.epoch);
    assert_eq!(second.reached.len(), 1, "{:?}", second.reached);
    stop.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_shows_within_seconds_and_says_for_whom_commits_wait() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Running::start(config(folder.path(), "127.0.0.1:0", 3)).await;
    let address = [coordinator.agents.as_str()];
    let mut agents: Vec<Agent> = Vec::new();
    for member in ["s1", "s2", "s3"] {
        let mut agent = Agent::start(&address, member);
        agent.make_log(1).await;
        agents.push(agent);
    }
    let shipper = agents[0].handle.grant(Incarnation::from_bytes([1; 16])).await.unwrap().shipper;
    agents[0].handle.epoch_complete(shipper, Lsn::FIRST).await.unwrap();
    let complete = |status: &Status| status.complete && status.waiting_for.is_empty();
    let status = coordinator.until("the epoch is complete", complete).await;
    assert!(!status.healthy, "nobody can write before the source's server is open: {status:#?}");
    agents[0].at(MemberRole::Source, 1, 1);
    let all = |status: &Status| status.healthy && status.alarms.is_empty();
    coordinator.until("all is well", all).await;
    agents.pop();
    let status = coordinator.until("s3 is gone", |status| !status.members[2].live).await;
    assert!(status.healthy, "{status:#?}");
    assert_eq!(status.alarms, [Coded::new(Code::MEMBER_AWAY, "s3: gone")]);
    agents.pop();
    let status = coordinator.until("unhealthy", |status| !status.healthy).await;
    assert_eq!(status.alarms[0].text, "quorum lost: commits wait for 1 of s2, s3");
    assert_eq!(status.waiting_for, ["s2", "s3"]);
    let (code, text) = coordinator.http("GET", "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "plimsoll_cluster_healthy 0",
        "plimsoll_cluster_protected 0",
        "plimsoll_cluster_epoch 1",
        "plimsoll_member_live{member=\"s1\"} 1",
        "plimsoll_member_live{member=\"s2\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_false_names_get_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Running::start(config(folder.path(), "127.0.0.1:0", 2)).await;
    let address = [coordinator.agents.as_str()];
    let stranger = Agent::with_secret(&address, "s1", "another secret than theirs");
    let unknown = Agent::start(&address, "s9");
    let mut state = unknown.handle.watch_state();
    let refused = state.wait_for(|state| matches!(state, LinkState::Refused { .. }));
    tokio::time::timeout(SOON, refused).await.unwrap().unwrap();
    let mut liar = Agent::start(&address, "s2");
    liar.view(Option::is_some).await;
    liar.registration.member = MemberName::new("s1").unwrap();
    liar.handle.register(liar.registration.clone());
    let mut state = liar.handle.watch_state();
    let refused = state.wait_for(|state| match state {
        LinkState::Refused { reason } => reason == "s2 cannot speak for s1",
        _ => false,
    });
    tokio::time::timeout(SOON, refused).await.unwrap().unwrap();
    assert!(matches!(stranger.handle.state(), LinkState::Connecting { .. }));
    assert!(stranger.view.borrow().is_none());
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_format_is_in_force_once_every_member_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Running::start(config(folder.path(), "127.0.0.1:0", 1)).await;
    coordinator.stop().await;
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let (revision, mut state) = store.load().await.unwrap().unwrap();
    state.log_format = LogFormat::FIRST;
    store.compare_and_set(Some(revision), &state).await.unwrap();
    drop(store);
    let coordinator = Running::start(config(folder.path(), "127.0.0.1:0", 1)).await;
    let status = coordinator.status().await;
    let newest = Some(LogFormat::CURRENT);
    assert_eq!((status.log_format, status.log_format_available), (LogFormat::FIRST, newest));
    let finalize = "/v1/upgrade/finalize";
    let (code, body) = coordinator.http("POST", finalize).await;
    assert!(code == 409 && body.contains("PLM730") && body.contains("s1 has not"), "{body}");
    let mut s1 = Agent::start(&[coordinator.agents.as_str()], "s1");
    s1.view(|view| view.as_ref().is_some_and(|view| view.log_format == LogFormat::FIRST)).await;
    let (code, body) = coordinator.http("POST", finalize).await;
    assert_eq!((code, body.as_str()), (200, r#"{"before":1,"log_format":2}"#));
    s1.view(|view| view.as_ref().is_some_and(|view| view.log_format == LogFormat::CURRENT)).await;
    let (code, body) = coordinator.http("POST", finalize).await;
    assert_eq!((code, body.as_str()), (200, r#"{"before":2,"log_format":2}"#));
    let status = coordinator.status().await;
    assert_eq!((status.log_format, status.log_format_available), (LogFormat::CURRENT, None));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_refuses_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Running::start(config(folder.path(), "127.0.0.1:0", 1)).await;
    for (method, path, expected) in [
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("GET", "/v1/replica", 400),
        ("GET", "/v1/replica?after=no-token", 400),
        ("GET", "/v1/members/s1/replace", 405),
        ("POST", "/v1/members/s1/replace", 409),
    ] {
        let (code, body) = coordinator.http(method, path).await;
        assert_eq!(code, expected, "{method} {path}: {body}");
    }
    let second = Coordinator::bind(config(folder.path(), "127.0.0.1:0", 1)).await.err().unwrap();
    assert!(second.to_string().contains("in use"), "{second:#}");
    coordinator.stop().await;
}
