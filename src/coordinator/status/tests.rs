use std::time::Duration;

use wal::{ClusterId, Epoch, Incarnation, LogPoint, Lsn, Timestamp};

use super::*;
use crate::cluster::{GrantId, LogFormats, MemberName, Rule, Shipper};
use crate::coordinator::board::ConnectionId;
use crate::coordinator::engine::{Asker, Engine, Event, Member, Settings};
use crate::coordinator::routing::{Nearest, Route, routes};
use crate::explain::{Code, Coded};
use crate::report::{
    LogIdentity, Mark, MemberRole, Protection, Registration, Report, ServerAddress,
};

const CLUSTER: ClusterId = ClusterId::from_bytes([9; 16]);
const LIFE: Incarnation = Incarnation::from_bytes([1; 16]);

fn name(text: &str) -> MemberName {
    MemberName::new(text).unwrap()
}

/// s1 (source), s2 and s3 with servers, w1 a witness.
struct Rig {
    engine: Engine,
    board: Board,
    now: Instant,
}

impl Rig {
    fn new(registered: &[&str]) -> Rig {
        let member = |text: &str| Member {
            name: name(text),
            listen: format!("{text}:7001"),
            has_server: !text.starts_with('w'),
        };
        let settings = Settings {
            source: name("s1"),
            rule: Rule::Any { k: 2 },
            ack: AckWhen::Flushed,
            members: ["s1", "s2", "s3", "w1"].map(member).to_vec(),
        };
        let (engine, _) = Engine::start(None, &settings, CLUSTER);
        let mut rig = Rig { engine, board: Board::default(), now: Instant::now() };
        for member in registered {
            rig.register(member, LIFE);
        }
        rig
    }

    fn register(&mut self, member: &str, incarnation: Incarnation) {
        let registration = Registration {
            member: name(member),
            log: Some(LogIdentity { cluster: CLUSTER, incarnation }),
            listen: String::new(),
            http: format!("{member}:80"),
            server: (!member.starts_with('w')).then(|| ServerAddress {
                host: member.to_owned(),
                port: 3306,
                family: None,
                uuid: None,
            }),
            tail: None,
            promised: None,
            log_formats: LogFormats::OURS,
        };
        self.engine.handle(Event::Registers { asker: Asker(1), registration });
        self.board.connected(name(member), ConnectionId(1), Some(incarnation));
    }

    fn reign(&mut self) {
        let (asker, fresh) = (Asker(1), GrantId(1));
        let member = name("s1");
        self.engine.handle(Event::AsksGrant { asker, member, incarnation: LIFE, fresh });
        let shipper = Shipper { epoch: Epoch::FIRST, grant: fresh };
        self.engine.handle(Event::EpochComplete { asker, shipper, lsn: Lsn::FIRST });
    }

    fn report(&mut self, member: &str, role: MemberRole, commit: u64, applied: u64) {
        let mark = |lsn: u64| {
            let timestamp = Timestamp::from_bits(lsn * 10);
            Lsn::new(lsn).map(|lsn| Mark { lsn, timestamp })
        };
        let flushed = Lsn::new(applied).map(|lsn| LogPoint { epoch: Epoch::FIRST, lsn });
        let report = Report {
            flushed,
            commit: mark(commit),
            applied: mark(applied).filter(|_| role != MemberRole::Witness),
            serving: true,
            state: "well".to_owned(),
            protection: (role == MemberRole::Source).then_some(Protection::Protected),
            ..Report::starting(role)
        };
        self.board.report(&name(member), ConnectionId(1), report, self.now);
    }

    fn later(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn picture(&self) -> Picture {
        Picture::of(&self.engine, 1)
    }

    fn status(&self) -> Status {
        status("orders", &self.picture(), &self.board, self.now)
    }

    fn routes(&self, after: u64) -> Result<Vec<Route>, Box<crate::coordinator::routing::NoRoute>> {
        let after = Timestamp::from_bits(after).unwrap();
        routes(&self.picture(), &self.board, after, self.now)
    }

    fn well() -> Rig {
        let mut rig = Rig::new(&["s1", "s2", "s3", "w1"]);
        rig.reign();
        rig.report("s1", MemberRole::Source, 100, 100);
        rig.report("s2", MemberRole::Replica, 100, 90);
        rig.report("s3", MemberRole::Replica, 99, 40);
        rig.report("w1", MemberRole::Witness, 0, 70);
        rig
    }
}

#[test]
fn the_schema_file_is_of_these_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/status.schema.json");
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(path, schema()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert!(file == schema(), "{path} is old: run this test with PLIMSOLL_BLESS=1");
}

#[test]
fn bootstrap_names_who_is_missing() {
    let rig = Rig::new(&["s1", "w1"]);
    let status = rig.status();
    assert!(!status.healthy);
    assert_eq!(status.waiting_for, ["s2", "s3"]);
    assert!(status.alarms[0].text.ends_with("waiting for s2, s3"), "{:?}", status.alarms);
    assert_eq!(status.alarms[0].code, Code::BOOTSTRAP);
    assert_eq!(status.members[1].standing, "unknown");
    assert_eq!(status.members[1].state, "not connected");
    assert_eq!(status.members[1].lag_records, None);
    assert_eq!((status.generation, status.rule.as_str()), (None, ""));
}

#[test]
fn lag_is_of_the_server_or_of_a_witnesss_log() {
    let mut rig = Rig::well();
    rig.later(400);
    let status = rig.status();
    assert!(status.healthy, "{status:#?}");
    assert_eq!(status.alarms, []);
    assert_eq!((status.protection, &*status.reasons), (Protection::Protected, &[][..]));
    assert_eq!((status.commit_lsn, status.commit_timestamp), (Some(100), Some(1000)));
    let lags: Vec<_> = status.members.iter().map(|member| member.lag_records).collect();
    assert_eq!(lags, [Some(0), Some(10), Some(60), Some(30)]);
    let seconds: Vec<_> = status.members.iter().map(|member| member.lag_seconds).collect();
    assert_eq!(seconds, [Some(0.0), Some(0.4), Some(0.4), Some(0.4)]);
    assert_eq!(status.members[3].applied_lsn, None);
    assert_eq!(status.members[0].report_age_ms, Some(400));
}

#[test]
fn silence_of_too_many_is_a_lost_quorum() {
    let mut rig = Rig::well();
    rig.later(1500);
    rig.report("s1", MemberRole::Source, 100, 100);
    rig.report("s2", MemberRole::Replica, 100, 90);
    let status = rig.status();
    assert!(status.healthy, "two of four are enough");
    let silent = |text: &str| Coded::new(Code::MEMBER_AWAY, text);
    assert_eq!(status.alarms, [silent("s3: silent for 2 s"), silent("w1: silent for 2 s")]);
    rig.later(1500);
    rig.report("s1", MemberRole::Source, 100, 100);
    let status = rig.status();
    assert!(!status.healthy);
    let lost = "quorum lost: commits wait for 1 of s2, s3, w1";
    assert_eq!(status.alarms[0], Coded::new(Code::QUORUM_LACKS, lost));
    assert_eq!(status.waiting_for, ["s2", "s3", "w1"]);
    rig.later(1500);
    rig.report("s2", MemberRole::Replica, 100, 90);
    rig.report("s3", MemberRole::Replica, 100, 90);
    assert!(!rig.status().healthy, "without the source nothing is written");
}

#[test]
fn a_member_with_another_log_is_no_part_of_the_quorum() {
    let mut rig = Rig::well();
    for member in ["s2", "s3", "w1"] {
        rig.register(member, Incarnation::from_bytes([2; 16]));
        rig.report(member, MemberRole::Replica, 100, 90);
    }
    let status = rig.status();
    assert_eq!(status.waiting_for, ["s2", "s3", "w1"]);
    assert_eq!(status.members[1].standing, "excluded");
    let told = "s2 does not count: its log folder is new; run `plimsoll member replace s2`";
    assert!(status.alarms.contains(&Coded::new(Code::LOG_NEW, told)), "{:#?}", status.alarms);
    let member = name("s2");
    rig.engine.handle(Event::AsksReplace { asker: Asker(1), member });
    let status = rig.status();
    assert_eq!((status.generation, status.joining_generation), (Some(1), Some(2)));
    assert_eq!(status.members[1].standing, "joining");
}

#[test]
fn a_route_has_applied_what_the_token_covers() {
    let mut rig = Rig::well();
    let names = |routes: Vec<Route>| -> Vec<String> {
        routes
            .into_iter()
            .map(|route| format!("{} {}:{}", route.name, route.host, route.port))
            .collect()
    };
    assert_eq!(names(rig.routes(400).unwrap()), ["s2 s2:3306", "s3 s3:3306"]);
    assert_eq!(names(rig.routes(900).unwrap()), ["s2 s2:3306"]);
    let none = rig.routes(901).unwrap_err();
    let nearest = Nearest {
        name: "s2".to_owned(),
        applied_timestamp: Some(900),
        lag_records: 10,
        lag_seconds: 0.0,
    };
    assert_eq!(none.nearest, Some(nearest), "the source is no replica");
    rig.later(2000);
    let none = rig.routes(1).unwrap_err();
    assert_eq!((none.error.as_str(), none.nearest), ("no replica is up and serving reads", None));
}

#[test]
fn a_source_that_does_not_report_is_not_called_protected() {
    let mut rig = Rig::well();
    rig.later(5000);
    let status = rig.status();
    assert_eq!(status.protection, Protection::Unprotected);
    let why = "the agent of the source s1 does not report";
    assert_eq!(status.reasons, [Coded::new(Code::UNPROTECTED_UNKNOWN, why)]);
}
