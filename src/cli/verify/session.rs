//! The snapshots of one round: opened at one record, kept, given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, scope, spawn};
use std::time::Duration;

use wal::Lsn;

use super::member::{Failure, Member};
use crate::explain::Code;
use crate::verify::{
    Ask, Catalog, Held, ObjectDifference, ObjectKind, Snapshot, Table, TableName, compare,
};

/// A quarter of the agents' leases.
const RENEW: Duration = Duration::from_secs(4);

/// Snapshots at one record.
pub(super) struct Opened {
    source: Member,
    pub replicas: Vec<Member>,
    /// What every one of them shows.
    pub at: Lsn,
    /// Replicas that could not be brought there, and why.
    pub left_out: Vec<(String, Failure)>,
    /// Dropped last: gives everything back.
    _kept: Keeper,
}

/// What exists, and what of it is the same.
pub(super) struct Catalogs {
    /// The source's tables that are meant.
    pub tables: Vec<Table>,
    /// By replica, what is defined otherwise.
    pub differences: Vec<(String, Vec<ObjectDifference>)>,
    /// Replicas whose catalog could not be read.
    pub failed: Vec<(String, Failure)>,
    /// By replica: tables that are not there, or otherwise.
    unlike: BTreeMap<String, BTreeSet<String>>,
}

impl Opened {
    /// Holds the replicas, opens the source's snapshot, brings the replicas there.
    pub fn open(source: &Member, replicas: Vec<Member>, wait: u64) -> Result<Opened, Failure> {
        let all = replicas.iter().chain([source]).cloned().collect();
        let kept = Keeper::start(all, RENEW);
        let mut left_out = Vec::new();
        let held = at_once(replicas, |replica| replica.ask::<Held>(Ask::Hold));
        let held = those_that_did(held, &mut left_out);
        let behind = held.iter().filter_map(|(_, held)| held.at).max();
        let at = source.ask::<Snapshot>(Ask::SourceSnapshot { behind })?.at;
        let held = held.into_iter().map(|(replica, _)| replica).collect();
        let there = at_once(held, |replica| {
            replica.ask::<Snapshot>(Ask::ReplicaSnapshot { at, wait_seconds: wait })
        });
        let there = those_that_did(there, &mut left_out);
        let replicas = there.into_iter().map(|(replica, _)| replica).collect();
        Ok(Opened { source: source.clone(), replicas, at, left_out, _kept: kept })
    }

    /// Reads what exists everywhere and compares it; of `only` these tables, if there are any.
    pub fn catalogs(&self, only: &[TableName]) -> Result<Catalogs, Failure> {
        let ask = |member: &Member| member.ask::<Catalog>(Ask::Catalog);
        let everyone = [&self.source].into_iter().chain(&self.replicas).cloned().collect();
        let mut read = at_once(everyone, ask).into_iter();
        let Some((_, source)) = read.next() else { unreachable!("the source is the first") };
        let source = meant(source?, only);
        let mut catalogs = Catalogs {
            tables: source.tables.clone(),
            differences: Vec::new(),
            failed: Vec::new(),
            unlike: BTreeMap::new(),
        };
        for (replica, catalog) in read {
            let catalog = match catalog {
                Ok(catalog) => meant(catalog, only),
                Err(failure) => {
                    catalogs.failed.push((replica.name, failure));
                    continue;
                }
            };
            let differences = compare(&source, &catalog);
            let tables = differences.iter().map(|difference| difference.name.clone());
            catalogs.unlike.insert(replica.name.clone(), tables.collect());
            catalogs.differences.push((replica.name, differences));
        }
        Ok(catalogs)
    }
}

impl Catalogs {
    pub fn has(&self, name: &TableName) -> bool {
        self.tables.iter().any(|table| table.name == *name)
    }

    /// Whether the replica has the table, and defined as at the source.
    pub fn comparable(&self, replica: &str, table: &TableName) -> bool {
        let unlike = self.unlike.get(replica);
        unlike.is_some_and(|unlike| !unlike.contains(&table.to_string()))
    }
}

/// Without what was not asked for.
fn meant(mut catalog: Catalog, only: &[TableName]) -> Catalog {
    if !only.is_empty() {
        catalog.tables.retain(|table| only.contains(&table.name));
        let names: BTreeSet<String> = only.iter().map(TableName::to_string).collect();
        catalog.objects.retain(|object| {
            let table = matches!(object.kind, ObjectKind::Table | ObjectKind::Sequence);
            table && names.contains(&object.name)
        });
    }
    catalog
}

type Answers<A> = Vec<(Member, Result<A, Failure>)>;

/// Asks all of them at the same time; the answers in their order.
fn at_once<A: Send>(
    members: Vec<Member>,
    ask: impl Fn(&Member) -> Result<A, Failure> + Sync,
) -> Answers<A> {
    let answers: Vec<Result<A, Failure>> = scope(|scope| {
        let asked: Vec<_> = members.iter().map(|member| scope.spawn(|| ask(member))).collect();
        let lost = || Failure {
            error: "the request's thread failed".to_owned(),
            code: Code::DEFECT,
            again: false,
        };
        asked.into_iter().map(|asked| asked.join().unwrap_or_else(|_| Err(lost()))).collect()
    });
    members.into_iter().zip(answers).collect()
}

/// The others are let go at once: none stays held for the time that the rest is read.
fn those_that_did<A>(answers: Answers<A>, others: &mut Vec<(String, Failure)>) -> Vec<(Member, A)> {
    let mut did = Vec::new();
    for (member, answer) in answers {
        match answer {
            Ok(answer) => did.push((member, answer)),
            Err(failure) => {
                member.end();
                others.push((member.name, failure));
            }
        }
    }
    did
}

/// Renews the leases while a long request runs elsewhere; gives everything back at its end. All at the
/// same time: one agent that hangs takes nobody else's lease.
struct Keeper {
    members: Vec<Member>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start(members: Vec<Member>, every: Duration) -> Keeper {
        let (stop, stopped) = channel();
        let kept = members.clone();
        let thread = spawn(move || {
            // Also the next round does not wait for an agent that hangs.
            let mut renewing: Vec<Option<JoinHandle<()>>> = kept.iter().map(|_| None).collect();
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                for (member, renewing) in kept.iter().zip(&mut renewing) {
                    if renewing.as_ref().is_none_or(JoinHandle::is_finished) {
                        let member = member.clone();
                        *renewing = Some(spawn(move || member.renew()));
                    }
                }
            }
        });
        Keeper { members, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        debug_assert!(!matches!(ended, Some(Err(_))), "renewing does not panic");
        scope(|scope| {
            for member in &self.members {
                scope.spawn(|| member.end());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::http::{Client, Credentials};

    fn member(listener: &TcpListener) -> Member {
        let client = Client::new(&Credentials::default(), Duration::from_secs(60)).unwrap();
        let http = listener.local_addr().unwrap().to_string();
        Member::new("s1".to_owned(), http, "an id".to_owned(), Arc::new(client))
    }

    /// Reads one request, and says yes.
    fn answer(stream: TcpStream) -> String {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        reader.get_mut().write_all(answer).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn an_agent_that_hangs_takes_nobody_elses_lease() {
        // Its connections are accepted by the kernel, and never answered.
        let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
        let lives = TcpListener::bind("127.0.0.1:0").unwrap();
        let members = vec![member(&hangs), member(&lives)];
        let began = Instant::now();
        let keeper = Keeper::start(members, Duration::from_millis(50));
        for _ in 0..5 {
            let (stream, _) = lives.accept().unwrap();
            assert!(answer(stream).contains("renew"));
        }
        assert!(began.elapsed() < Duration::from_secs(4), "each renewal waited for the other");
        let ending = spawn(move || drop(keeper));
        while !answer(lives.accept().unwrap().0).contains("end") {}
        ending.join().unwrap();
    }
}
