//! The cores under crashes, restarts, delays and losses, and a checker of I10.
//!
//! Simulated time counts steps. Messages arrive in any order or never; a server crashes at any step,
//! also between a write to its disk and the use of it; clients run several sessions at once and lose
//! what they know. Planted bugs must be found, else the simulation proves nothing.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wal::Timestamp;

use super::RunOfTimestamps;
use super::client_core::{Ask, ClientCore, Session, Step};
use super::server_core::{NotIssued, ServerCore};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// The client returns the M-th smallest as soon as there is one.
    NoCertify,
    /// The server issues without its limit on disk.
    NoDurableLimit,
    /// A server that lost its disk begins again low under its id.
    SeededLow,
}

const CLIENTS: usize = 3;
const SESSIONS: usize = 3;

struct Server {
    core: Option<ServerCore>,
    disk: u64,
    id: u8,
}

struct Running {
    began: u64,
    session: Session,
}

struct Client {
    core: ClientCore,
    sessions: BTreeMap<u64, Running>,
}

/// A message under way: to a server if `answer` is `None`, back to the client else.
struct Message {
    client: usize,
    session: u64,
    ask: Ask,
    answer: Option<Option<Timestamp>>,
}

struct Returned {
    began: u64,
    ended: u64,
    run: RunOfTimestamps,
}

struct Sim {
    random: StdRng,
    bug: Bug,
    now: u64,
    servers: Vec<Server>,
    clients: Vec<Client>,
    wire: Vec<Message>,
    returned: Vec<Returned>,
}

impl Sim {
    fn new(servers: usize, bug: Bug, seed: u64) -> Sim {
        let server = |id| Server { core: Some(ServerCore::start(id, 0)), disk: 0, id };
        let client = |_| Client { core: ClientCore::new(servers), sessions: BTreeMap::new() };
        Sim {
            random: StdRng::seed_from_u64(seed),
            bug,
            now: 0,
            servers: (0..servers as u8).map(server).collect(),
            clients: (0..CLIENTS).map(client).collect(),
            wire: Vec::new(),
            returned: Vec::new(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound)
    }

    fn run(mut self, steps: u64) -> Vec<Returned> {
        while self.now < steps {
            self.now += 1;
            match self.below(1000) {
                0..=2 => self.crash(),
                3..=12 => self.restart(),
                13 => self.forget(),
                14..=200 => self.begin(),
                201..=300 => self.nudge(),
                _ => self.deliver(),
            }
        }
        self.returned
    }

    fn crash(&mut self) {
        let at = self.below(self.servers.len());
        let seeded_low = self.bug == Bug::SeededLow && self.below(3) == 0;
        let server = &mut self.servers[at];
        server.core = None;
        if seeded_low {
            server.disk = 0;
        }
    }

    fn restart(&mut self) {
        let at = self.below(self.servers.len());
        let server = &mut self.servers[at];
        if server.core.is_none() {
            server.core = Some(ServerCore::start(server.id, server.disk));
        }
    }

    /// A client process begins anew and knows nothing.
    fn forget(&mut self) {
        let at = self.below(CLIENTS);
        let core = ClientCore::new(self.servers.len());
        self.clients[at] = Client { core, sessions: BTreeMap::new() };
    }

    fn begin(&mut self) {
        let client = self.below(CLIENTS);
        let count = [1, 1, 2, 17][self.below(4)];
        if self.clients[client].sessions.len() < SESSIONS {
            let session = self.clients[client].core.begin(count);
            let running = Running { began: self.now, session };
            self.clients[client].sessions.insert(self.now, running);
            self.reach_all(client, self.now);
        }
    }

    /// Time passes for some session: it loses patience, and finds servers within reach again.
    fn nudge(&mut self) {
        let client = self.below(CLIENTS);
        let Some(&session) = self.clients[client].sessions.keys().next() else { return };
        let Client { core, sessions } = &mut self.clients[client];
        let running = sessions.get_mut(&session).unwrap();
        let step = core.impatient(&mut running.session);
        self.follow(client, session, step);
        self.reach_all(client, session);
    }

    fn reach_all(&mut self, client: usize, session: u64) {
        for server in 0..self.servers.len() {
            let Client { core, sessions } = &mut self.clients[client];
            let Some(running) = sessions.get_mut(&session) else { return };
            let step = core.reachable(&mut running.session, server);
            self.follow(client, session, step);
        }
    }

    fn follow(&mut self, client: usize, session: u64, step: Step) {
        match step {
            Step::Wait => {}
            Step::Done(run) => self.end(client, session, run),
            Step::Ask(asks) => {
                let message = |ask| Message { client, session, ask, answer: None };
                self.wire.extend(asks.into_iter().map(message));
            }
        }
    }

    fn end(&mut self, client: usize, session: u64, run: RunOfTimestamps) {
        let running = self.clients[client].sessions.remove(&session).unwrap();
        self.returned.push(Returned { began: running.began, ended: self.now, run });
    }

    fn deliver(&mut self) {
        if self.wire.is_empty() {
            return;
        }
        let at = self.below(self.wire.len());
        let mut message = self.wire.swap_remove(at);
        match message.answer {
            None => {
                let lost = self.below(20) == 0;
                let answer = if lost { None } else { self.serve(message.ask) };
                message.answer = Some(answer);
                self.wire.push(message);
            }
            Some(answer) => {
                let Client { core, sessions } = &mut self.clients[message.client];
                let Some(running) = sessions.get_mut(&message.session) else { return };
                let session = &mut running.session;
                let step = match answer {
                    None => core.failed(session, message.ask.server),
                    Some(last) => core.answered(session, message.ask.server, last),
                };
                let naive = session.uncertified(core);
                match naive {
                    Some(run) if self.bug == Bug::NoCertify => {
                        self.end(message.client, message.session, run);
                    }
                    _ => self.follow(message.client, message.session, step),
                }
            }
        }
    }

    /// A server's answer; it may crash around its write.
    fn serve(&mut self, ask: Ask) -> Option<Timestamp> {
        let chance = self.below(100);
        let server = &mut self.servers[ask.server];
        let core = server.core.as_mut()?;
        let issued = core.tick(ask.above, ask.count);
        let Err(NotIssued::Reserve(limit)) = issued else { return issued.ok() };
        if self.bug == Bug::NoDurableLimit {
            core.reserved(limit);
            return core.tick(ask.above, ask.count).ok();
        }
        match chance {
            // Dead before the write, or after it; or the disk was full.
            0 => server.core = None,
            1 => (server.disk, server.core) = (limit, None),
            2 => {}
            _ => {
                server.disk = limit;
                core.reserved(limit);
                return core.tick(ask.above, ask.count).ok();
            }
        }
        None
    }
}

/// I10: what began after another had ended is greater, and nothing was issued twice.
fn violations(mut returned: Vec<Returned>) -> usize {
    let mut found = 0;
    returned.sort_by_key(|returned| returned.ended);
    let mut by_begin: Vec<&Returned> = returned.iter().collect();
    by_begin.sort_by_key(|returned| returned.began);
    let (mut ended, mut greatest) = (returned.iter().peekable(), None);
    for later in by_begin {
        while let Some(earlier) = ended.next_if(|earlier| earlier.ended < later.began) {
            greatest = greatest.max(Some(earlier.run.last()));
        }
        found += usize::from(Some(later.run.first()) <= greatest);
    }
    let mut issued: BTreeMap<u8, Vec<RunOfTimestamps>> = BTreeMap::new();
    for returned in &returned {
        issued.entry(returned.run.last().server()).or_default().push(returned.run);
    }
    for runs in issued.values_mut() {
        runs.sort_by_key(|run| run.first());
        found += runs.windows(2).filter(|pair| pair[0].last() >= pair[1].first()).count();
    }
    found
}

fn sweep(servers: usize, bug: Bug) -> (usize, usize) {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..40,
    };
    let (mut sessions, mut found) = (0, 0);
    for seed in seeds {
        let returned = Sim::new(servers, bug, seed).run(20_000);
        sessions += returned.len();
        let violations = violations(returned);
        if bug == Bug::None {
            assert_eq!(violations, 0, "I10 is broken; replay with SEED={seed}, N = {servers}");
        }
        found += violations;
        if found > 0 {
            break;
        }
    }
    eprintln!("N = {servers}, {bug:?}: {sessions} sessions, {found} violations");
    (sessions, found)
}

#[test]
fn time_never_turns_back() {
    for servers in [1, 3, 5] {
        let (sessions, _) = sweep(servers, Bug::None);
        assert!(sessions > 1_000, "N = {servers}: only {sessions} sessions came to an end");
    }
}

#[test]
fn planted_bugs_are_found() {
    for (servers, bug) in [
        (3, Bug::NoCertify),
        (5, Bug::NoCertify),
        (1, Bug::NoDurableLimit),
        (3, Bug::NoDurableLimit),
        (5, Bug::NoDurableLimit),
        (1, Bug::SeededLow),
        (3, Bug::SeededLow),
        (5, Bug::SeededLow),
    ] {
        let (_, found) = sweep(servers, bug);
        assert!(found > 0, "{bug:?} with N = {servers} was not found");
    }
}

#[test]
fn one_seed_is_one_run() {
    let trace = |returned: Vec<Returned>| {
        returned.iter().map(|one| (one.began, one.ended, one.run)).collect::<Vec<_>>()
    };
    let run = || trace(Sim::new(3, Bug::None, 7).run(5_000));
    assert_eq!(run(), run());
}
