//! Servers and client over real sockets and a real disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use wal::Timestamp;

use super::message::{Answer, Refusal, TICK, Tick, decode_welcome};
use super::{Error, Server, TimestampClient};
use crate::cluster::ErrorClass;
use crate::config::{ClusterConfig, Secret, TimestampConfig};
use crate::wire::{Identity, PeerRole, Receiver, Sender, connect};

fn cluster() -> ClusterConfig {
    ClusterConfig {
        name: "orders".into(),
        secrets: vec![Secret::new("0123456789abcdef")],
        tls: None,
    }
}

fn config(folder: &Path, id: u8, listen: &str) -> TimestampConfig {
    let data_dir = folder.join(format!("t{id}"));
    TimestampConfig { cluster: cluster(), id, data_dir, listen: listen.to_owned() }
}

struct Running {
    address: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    async fn start(config: TimestampConfig) -> Running {
        let server = Server::bind(&config).await.unwrap();
        let address = server.local_addr().to_string();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(stop.clone()));
        Running { address, stop, task }
    }

    async fn stop(self) -> String {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.address
    }
}

async fn start_all(folder: &Path, servers: u8) -> Vec<Running> {
    let mut running = Vec::new();
    for id in 0..servers {
        running.push(Running::start(config(folder, id, "127.0.0.1:0")).await);
    }
    running
}

fn client(servers: &[Running]) -> TimestampClient {
    let addresses = servers.iter().map(|server| server.address.clone()).collect();
    let me = Identity::new(&cluster(), PeerRole::Member, "s1").unwrap();
    TimestampClient::new(addresses, me).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_grow_across_clients_and_tasks() {
    for servers in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let running = start_all(folder.path(), servers).await;
        let clients = [Arc::new(client(&running)), Arc::new(client(&running))];
        let mut tasks = Vec::new();
        for at in 0..4 {
            let client = clients[at % 2].clone();
            tasks.push(tokio::spawn(async move {
                let mut runs = Vec::new();
                for count in 1..200 {
                    runs.push(client.take(count % 5 + 1).await.unwrap());
                }
                runs
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            let runs = task.await.unwrap();
            assert!(runs.windows(2).all(|pair| pair[0].last() < pair[1].first()));
            all.extend(runs.iter().flat_map(|run| run.iter()));
        }
        let issued = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), issued, "a timestamp was issued twice");
        let later = clients[0].take(1).await.unwrap();
        assert!(all.last() < Some(&later.first()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_do_not_turn_time_back_and_the_client_finds_the_server_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start_all(folder.path(), 1).await;
    let client = client(&running);
    let mut last = client.take(1).await.unwrap().last();
    for _ in 0..3 {
        let address = running.remove(0).stop().await;
        let taking = client.take(3);
        let starting = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Running::start(config(folder.path(), 0, &address)).await
        };
        let (taken, server) = tokio::join!(taking, starting);
        let run = taken.unwrap();
        assert!(run.first() > last);
        last = run.last();
        running.push(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_may_be_missing_and_two_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start_all(folder.path(), 3).await;
    let client = client(&running).with_deadline(Duration::from_millis(400));
    let first = client.take(2).await.unwrap();
    running.remove(1).stop().await;
    let second = client.take(2).await.unwrap();
    let third = client.take(2).await.unwrap();
    assert!(first.last() < second.first() && second.last() < third.first());
    let gone = running.remove(0).stop().await;
    let error = client.take(1).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Retry);
    let text = error.to_string();
    assert!(text.contains("2 of 3") && text.contains(&gone), "{text}");
    assert!(!text.contains(&running[0].address), "{text}");
    running.push(Running::start(config(folder.path(), 0, &gone)).await);
    let run = loop {
        if let Ok(run) = client.take(1).await {
            break run;
        }
    };
    assert!(third.last() < run.first());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_never_answers_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    let running = start_all(folder.path(), 2).await;
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut addresses: Vec<String> = running.iter().map(|one| one.address.clone()).collect();
    addresses.push(mute.local_addr().unwrap().to_string());
    let me = Identity::new(&cluster(), PeerRole::Member, "s1").unwrap();
    let client = TimestampClient::new(addresses, me).unwrap();
    let mut last = client.take(1).await.unwrap().last();
    for _ in 0..20 {
        let run = client.take(1).await.unwrap();
        assert!(last < run.first());
        last = run.last();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_under_two_addresses_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let running = start_all(folder.path(), 1).await;
    let port = running[0].address.rsplit(':').next().unwrap();
    let addresses =
        vec![running[0].address.clone(), format!("localhost:{port}"), format!("127.0.0.1:0{port}")];
    let me = Identity::new(&cluster(), PeerRole::Member, "s1").unwrap();
    let client = TimestampClient::new(addresses, me).unwrap();
    let client = client.with_deadline(Duration::from_millis(300));
    let text = client.take(1).await.unwrap_err().to_string();
    assert!(text.contains("another address"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_state_counts_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start_all(folder.path(), 1).await;
    let client = client(&running).with_deadline(Duration::from_millis(500));
    client.take(1).await.unwrap();
    let address = running.remove(0).stop().await;
    std::fs::remove_dir_all(folder.path().join("t0")).unwrap();
    let _again = Running::start(config(folder.path(), 0, &address)).await;
    let text = client.take(1).await.unwrap_err().to_string();
    assert!(text.contains("lost its state"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_take_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = start_all(folder.path(), 3).await;
    let client = client(&running);
    let mut last = client.take(1).await.unwrap().last();
    for micros in 0..100 {
        let take = client.take(2);
        if let Ok(taken) = tokio::time::timeout(Duration::from_micros(micros * 5), take).await {
            last = taken.unwrap().last();
        }
    }
    assert!(last < client.take(1).await.unwrap().first());
}

#[tokio::test]
async fn nonsense_is_refused() {
    let me = || Identity::new(&cluster(), PeerRole::Member, "s1").unwrap();
    let even = TimestampClient::new(vec!["a:1".into(), "b:1".into()], me());
    assert!(matches!(even, Err(Error::ServerCount(2))));
    let client = TimestampClient::new(vec!["127.0.0.1:1".into()], me()).unwrap();
    assert!(matches!(client.take(0).await, Err(Error::RunCount(0))));
    assert!(matches!(client.take(u32::MAX).await, Err(Error::RunCount(_))));
}

/// A connection without the client's care.
struct Raw(Sender, Receiver);

impl Raw {
    async fn connect(server: &Running) -> Raw {
        let me = Identity::new(&cluster(), PeerRole::Client, "raw").unwrap();
        let deadline = Duration::from_secs(5);
        let connected = connect(&server.address, &me, PeerRole::Timestamp, deadline).await;
        let (sender, mut receiver) = connected.unwrap().split();
        let welcome = receiver.next().await.unwrap().unwrap();
        assert_eq!(decode_welcome(welcome.kind, &welcome.body).unwrap().0, 0);
        Raw(sender, receiver)
    }

    async fn tick(&mut self, above: u64, count: u32) -> Result<u64, Refusal> {
        let tick = Tick { request: 7, above: Timestamp::new(above, 0), count };
        self.0.send(TICK, &[&tick.encode()]).await.unwrap();
        let answer = self.1.next().await.unwrap().unwrap();
        let answer = Answer::decode(answer.kind, &answer.body).unwrap();
        assert_eq!(answer.request, 7);
        answer.result.map(Timestamp::counter)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_client_sends_is_refused_or_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let running = start_all(folder.path(), 1).await;
    let mut raw = Raw::connect(&running[0]).await;
    assert_eq!(raw.tick(0, 0).await, Err(Refusal::BadCount));
    assert_eq!(raw.tick(0, u32::MAX).await, Err(Refusal::BadCount));
    assert_eq!(raw.tick(Timestamp::MAX_COUNTER, 1).await, Err(Refusal::TooFar));
    assert!(raw.tick(0, 1).await.is_ok());
    for (kind, body) in [(9, &b""[..]), (TICK, b"short"), (TICK, &[0; 100])] {
        let Raw(mut sender, mut receiver) = Raw::connect(&running[0]).await;
        sender.send(kind, &[body]).await.unwrap();
        assert!(!matches!(receiver.next().await, Ok(Some(_))));
    }
    assert!(client(&running).take(1).await.is_ok());
}

/// A disk that takes nothing for a while: an error, never an old or an unsaved time.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_disk_there_is_no_time_and_with_it_again_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let running = start_all(folder.path(), 1).await;
    let mut raw = Raw::connect(&running[0]).await;
    let first = raw.tick(0, 1).await.unwrap();
    let (home, away) = (folder.path().join("t0"), folder.path().join("away"));
    std::fs::rename(&home, &away).unwrap();
    let far = first + (1 << 30);
    assert_eq!(raw.tick(far, 1).await, Err(Refusal::NotDurable));
    assert_eq!(raw.tick(0, 1).await.unwrap(), first + 1, "what is reserved already lasts");
    std::fs::rename(&away, &home).unwrap();
    let again = loop {
        if let Ok(counter) = raw.tick(far, 1).await {
            break counter;
        }
    };
    assert_eq!(again, far + 1);
}
