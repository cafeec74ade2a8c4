//! A member without a server, a coordinator or other members: what it tells as its role moves.

use tempfile::TempDir;
use wal::{BinlogPosition, ClusterId, Epoch, Lsn, Timestamp};

use super::state::{Released, Topic};
use super::*;
use crate::cluster::{AckWhen, LogFormat, MemberName};
use crate::config::Config;
use crate::explain::{Code, Coded};
use crate::feed::Feeds;
use crate::report::Protection;

/// Nobody listens at port 1.
const CONFIG: &str = r#"
[cluster]
name = "test"
secret_file = "secret"
[http]
token_file = "secret"
[agent]
name = "s1"
data_dir = "s1"
listen = "127.0.0.1:1"
http = "127.0.0.1:2"
coordinators = ["127.0.0.1:1"]
timestamps = ["127.0.0.1:1"]
[agent.server]
port = 1
password_file = "secret"
"#;

struct Member {
    parts: Parts,
    view: watch::Sender<Option<View>>,
    _folder: TempDir,
}

fn member() -> Member {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plimsoll.toml");
    std::fs::write(&file, CONFIG).unwrap();
    std::fs::write(folder.path().join("secret"), "a-secret-of-sixteen-bytes-and-more").unwrap();
    let config = Config::load(&file).unwrap().into_agent().unwrap();
    let identity = Identity::new(&config.cluster, PeerRole::Member, config.name.as_str()).unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (link, _) = member::link(&config, &identity, &tasks, &stop);
    let log = crate::log::tests::start(&config.log_dir());
    let (view, watched) = watch::channel(None);
    let parts = Parts {
        doors: Doors { identity: identity.clone(), http: None },
        shared: Shared::new(&config),
        config: Arc::new(config),
        identity,
        log,
        link,
        view: watched,
        exporter: Exporter::apart(),
        applied: AppliedWatch::default(),
        committed: Committed::default(),
        adopted: Arc::default(),
        acks: Arc::default(),
        hold: Hold::default(),
        verifications: Verifications::default(),
        feeds: Feeds::new(stop.clone()),
        held: super::keeping::HeldNow::default(),
    };
    Member { parts, view, _folder: folder }
}

fn led_by(source: &str) -> Option<View> {
    Some(View {
        cluster: ClusterId::from_bytes([1; 16]),
        revision: 1,
        source: MemberName::new(source).unwrap(),
        epoch: None,
        shipper: None,
        complete: false,
        members: Vec::new(),
        config: Vec::new(),
        ack: AckWhen::Flushed,
        log_format: LogFormat::FIRST,
        consumers: Vec::new(),
    })
}

/// As a reign tells it in its time.
fn tell_as_source(parts: &Parts) {
    let released = Released {
        epoch: Epoch::FIRST,
        lsn: Lsn::FIRST,
        timestamp: Timestamp::from_bits(7).unwrap(),
    };
    parts.shared.let_go().released = Some(released);
    parts.shared.let_go().acknowledged =
        Some(BinlogPosition { file: "binlog.000001".to_owned(), offset: 4 });
    parts.applied.set(Some((released.lsn, released.timestamp)));
    for topic in Topic::ALL {
        parts.shared.alarm(topic, Some(Coded::new(Code::DEFECT, "as it was")));
    }
    parts.shared.change(|state| {
        state.serving = true;
        state.waiting_for = vec![MemberName::new("s2").unwrap()];
        state.peers.insert(MemberName::new("s2").unwrap(), "away".to_owned());
        (state.shield.attached, state.shield.looked) = (true, true);
    });
}

#[tokio::test]
async fn what_a_source_has_told_is_gone_when_it_is_a_replica() {
    let member = member();
    let stop = CancellationToken::new();
    // A test that fails must not wait for the role's thread.
    let _ends = stop.clone().drop_guard();
    member.view.send_replace(led_by("s1"));
    let playing = tokio::spawn(play_role(member.parts.clone(), stop.clone()));
    let shared = &member.parts.shared;
    let mut state = shared.watch();
    state.wait_for(|state| state.alarms.contains_key(&Topic::Source)).await.unwrap();
    tell_as_source(&member.parts);

    member.view.send_replace(led_by("s2"));
    let replica = |state: &state::AgentState| {
        state.role == MemberRole::Replica && state.alarms.contains_key(&Topic::Applier)
    };
    let now = state.wait_for(replica).await.unwrap().clone();
    let alarms: Vec<Topic> = now.alarms.keys().copied().collect();
    let expected = [Topic::Applier, Topic::Log, Topic::Room];
    assert_eq!(alarms, expected, "its server is away; the log is as it was");
    assert_ne!(now.alarms[&Topic::Applier].text, "as it was");
    assert_eq!((now.serving, now.waiting_for.len(), now.peers.len()), (false, 0, 0));
    assert_eq!(now.shield, state::Shield::default());
    assert_eq!(*shared.let_go(), state::LetGo::default());
    assert_eq!(member.parts.applied.now(), None);
    stop.cancel();
    playing.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_reign_has_told_is_gone_while_none_follows() {
    let member = member();
    let shared = &member.parts.shared;
    shared.phase(MemberRole::Source, "shipping");
    tell_as_source(&member.parts);
    shared.reign_over();
    let now = shared.now();
    let alarms: Vec<Topic> = now.alarms.keys().copied().collect();
    assert_eq!(
        alarms,
        [Topic::Source, Topic::Applier, Topic::Log, Topic::Room],
        "a reign raises none"
    );
    assert_eq!(now.protection().unwrap().0, Protection::Unprotected);
    assert_eq!((now.serving, now.waiting_for.len(), now.peers.len()), (false, 0, 0));
    assert_eq!(shared.let_go().released, None, "no tokens");
    assert!(shared.let_go().acknowledged.is_some(), "the same server's, of the same role");
}

/// The log's thread waits for its disk, or is kept busy: whoever knocks meanwhile is answered, and takes
/// nothing from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_proves_itself_while_the_log_is_busy() {
    let member = member();
    let identity = member.parts.identity.clone();
    let listener = crate::wire::Listener::bind("127.0.0.1:0", identity.clone()).await.unwrap();
    let address = listener.local_addr().to_string();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(member::serve(listener, member.parts.clone(), stop.clone()));
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let busy = member.parts.log.runtime().spawn(async move { held.recv().is_err() });
    let within = std::time::Duration::from_secs(4);
    let met = crate::wire::connect(&address, &identity, PeerRole::Member, within).await;
    drop(go_on);
    assert!(busy.await.unwrap());
    assert_eq!(met.unwrap().peer().name, "s1");
    stop.cancel();
    serving.await.unwrap();
}
