//! Strangers at every port of a working cluster: the wrong secret, noise, half-open and slow
//! connections, absurd HTTP. The cluster goes on meanwhile, and its processes do not grow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::ledger::Ledger;
use crate::support::random::Choices;
use crate::support::{
    Context, Family, Playground, Result, Signal, compare, ensure, on_both_families,
};

on_both_families!(strangers_on_every_port);

const CLIENTS: u32 = 4;
/// More than a port has places for strangers, and far fewer than a process may have open files.
const HALF_OPEN: usize = 80;
const PATIENCE: Duration = Duration::from_secs(30);
/// What a process may take on while it is pestered.
const GROWTH_MAX: u64 = 64 << 20;

/// Who listens where.
#[derive(Debug, Default)]
struct Ports {
    /// Between our processes.
    wire: Vec<String>,
    http: Vec<String>,
}

async fn strangers_on_every_port(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let ports = ports(&play)?;
    let ledger = Ledger::start(&play.source()?, CLIENTS).await?;
    ledger.grows(200, PATIENCE).await?;
    let processes = ["s1-agent", "s2-agent", "s3-agent", "coordinator-1", "timestamp-1"];
    let before = sizes(&play, &processes)?;

    let stop = Arc::new(AtomicBool::new(false));
    let mut strangers = Vec::new();
    let mut random = Choices::new("strangers");
    for address in ports.wire.iter().chain(&ports.http) {
        strangers.push(pester(address.clone(), random.pick(0..u64::MAX), Arc::clone(&stop)));
    }
    let wrong = wrong_secret(&play).await;
    ledger.grows(500, PATIENCE).await.context("while strangers knock")?;

    let held = half_open(&ports)?;
    ledger.grows(200, PATIENCE).await.context("with half-open connections on every port")?;
    // A member that comes back finds its place among them.
    play.signal("s2-agent", Signal::Kill).await?;
    play.restart("s2-agent").await?;
    play.signal("s3-agent", Signal::Stop).await?;
    let back = ledger.grows(50, PATIENCE).await;
    play.signal("s3-agent", Signal::Continue).await?;
    back.context("a member that comes back among half-open connections")?;
    drop(held);

    stop.store(true, Ordering::Relaxed);
    let mut knocked = 0;
    for stranger in strangers {
        knocked += stranger.join().map_err(|_| anyhow::anyhow!("a stranger panicked"))?;
    }
    wrong?;
    ensure!(knocked > 200, "only {knocked} strangers knocked");
    for ((name, before), (_, after)) in before.into_iter().zip(sizes(&play, &processes)?) {
        ensure!(after < before + GROWTH_MAX, "{name} grew from {before} to {after} bytes");
    }
    let book = ledger.stop().await?;
    compare::all_equal(&play).await?;
    for server in play.ready()?.servers {
        book.check(&server).await?;
    }
    println!("{knocked} strangers; {} writes acknowledged", book.acknowledged.len());
    play.end().await
}

/// From the processes' own configuration.
fn ports(play: &Playground) -> Result<Ports> {
    let mut ports = Ports::default();
    for name in ["s1-agent", "s2-agent", "s3-agent", "coordinator-1", "timestamp-1"] {
        let file = play.dir().join("conf").join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let config: toml::Table = text.parse()?;
        for role in ["agent", "coordinator", "timestamp"] {
            let Some(table) = config.get(role).and_then(toml::Value::as_table) else { continue };
            let address = |key: &str| table.get(key)?.as_str().map(str::to_owned);
            ports.wire.extend(address("listen"));
            ports.http.extend(address("http"));
        }
    }
    ensure!(ports.wire.len() == 5 && ports.http.len() == 4, "{ports:?}");
    Ok(ports)
}

/// Knocks with noise until told to stop; says how often.
fn pester(address: String, seed: u64, stop: Arc<AtomicBool>) -> JoinHandle<usize> {
    use rand::{Rng, RngExt, SeedableRng};
    std::thread::spawn(move || {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut knocked = 0;
        while !stop.load(Ordering::Relaxed) {
            let Ok(mut stream) = TcpStream::connect(&address) else { continue };
            drop(stream.set_read_timeout(Some(Duration::from_millis(50))));
            drop(stream.set_write_timeout(Some(Duration::from_millis(50))));
            let mut noise = vec![0; random.random_range(1..6000)];
            random.fill_bytes(&mut noise);
            let said: &[&[u8]] = match random.random_range(0..8) {
                0 => &[&noise],
                // A great length, and a head that says nothing.
                1 => &[&[0xff; 64]],
                2 => &[b"PLIMSOLL", &noise],
                3 => &[b"GET /v1/status HTTP/1.1\r\nx: ", &b"y".repeat(200_000), b"\r\n\r\n"],
                4 => {
                    &[b"POST /v1/adopt HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n"]
                }
                5 => &[b"GET /v1/wait?after=", &noise, b" HTTP/1.1\r\nhost: x\r\n\r\n"],
                6 => &[b"GET ", &b"/a".repeat(5000), b" HTTP/1.1\r\nhost: x\r\n\r\n"],
                _ => &[],
            };
            for bytes in said {
                drop(stream.write_all(bytes));
            }
            drop(stream.read(&mut [0; 512]));
            knocked += 1;
        }
        knocked
    })
}

/// Connections that say nothing, or the first bytes of something.
fn half_open(ports: &Ports) -> Result<Vec<TcpStream>> {
    let mut held = Vec::new();
    for address in ports.wire.iter().chain(&ports.http) {
        for number in 0..HALF_OPEN {
            let address = address.parse()?;
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
                .with_context(|| format!("{address}: connection {number}"))?;
            if number % 2 == 0 {
                stream.write_all(b"GE")?;
            }
            held.push(stream);
        }
    }
    Ok(held)
}

/// An agent of the same name with another secret: it gets nowhere, and says why.
async fn wrong_secret(play: &Playground) -> Result<()> {
    let home = tempfile::tempdir()?;
    let conf = play.dir().join("conf");
    let text = std::fs::read_to_string(conf.join("s2-agent.toml"))?;
    let mut config: toml::Table = text.parse()?;
    let agent = config.get_mut("agent").and_then(toml::Value::as_table_mut).context("[agent]")?;
    let data = home.path().join("data").display().to_string();
    agent.insert("data_dir".to_owned(), data.into());
    agent.insert("listen".to_owned(), free_port()?.into());
    agent.insert("http".to_owned(), free_port()?.into());
    std::fs::write(home.path().join("agent.toml"), config.to_string())?;
    std::fs::write(home.path().join("secret"), "another secret than the cluster's")?;
    std::fs::copy(conf.join("password"), home.path().join("password"))?;
    let mut command = tokio::process::Command::new(crate::support::playground::PLIMSOLL);
    command.arg("agent").arg("--config").arg(home.path().join("agent.toml"));
    command.kill_on_drop(true).stderr(std::process::Stdio::piped());
    let child = command.spawn()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let pid = child.id().context("it has ended by itself")?;
    crate::support::playground::send(pid, Signal::Terminate)?;
    let said = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(said.contains("secret"), "it does not say why nobody talks to it: {said}");
    ensure!(!said.contains("registered"), "{said}");
    Ok(())
}

/// Resident bytes of processes.
fn sizes(play: &Playground, names: &[&'static str]) -> Result<Vec<(&'static str, u64)>> {
    let mut sizes = Vec::new();
    for name in names {
        let status = std::fs::read_to_string(format!("/proc/{}/status", play.pid_of(name)?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        sizes.push((*name, kib << 10));
    }
    Ok(sizes)
}

fn free_port() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
