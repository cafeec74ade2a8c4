use super::*;

const MARIADB: &[(&str, &str)] = &[
    ("log_bin", "ON"),
    ("binlog_format", "ROW"),
    ("binlog_row_image", "FULL"),
    ("binlog_row_metadata", "FULL"),
    ("binlog_checksum", "CRC32"),
    ("sync_binlog", "1"),
    ("innodb_flush_log_at_trx_commit", "1"),
    ("server_id", "11"),
    ("rpl_semi_sync_master_enabled", "ON"),
    ("rpl_semi_sync_master_timeout", "4294967295"),
    ("rpl_semi_sync_master_wait_point", "AFTER_SYNC"),
    ("rpl_semi_sync_master_wait_no_slave", "ON"),
    ("read_only", "OFF"),
    ("event_scheduler", "ON"),
    ("binlog_expire_logs_seconds", "864000"),
    ("extra_port", "4000"),
    ("max_allowed_packet", "1048576"),
];

/// A sound source of MariaDB; of MySQL with other names.
fn source(family: Family) -> Facts {
    let mut variables: Vec<(String, String)> =
        MARIADB.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut clients = "rpl_semi_sync_master";
    if family == Family::Mysql {
        clients = "rpl_semi_sync_source";
        for (name, _) in &mut variables {
            *name = name.replace("wait_no_slave", "wait_no_replica").replace("master", "source");
        }
        let more = [
            ("gtid_mode", "ON"),
            ("super_read_only", "OFF"),
            ("binlog_order_commits", "ON"),
            ("rpl_semi_sync_source_wait_for_replica_count", "1"),
            ("admin_address", "127.0.0.1"),
            ("admin_port", "4000"),
        ];
        variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let status = [("status", "ON"), ("clients", "1"), ("wait_sessions", "0"), ("no_tx", "0")];
    Facts {
        role: Role::Source,
        family,
        version: "10.11.19-MariaDB".to_owned(),
        variables: variables.into_iter().collect(),
        status: status
            .map(|(name, value)| (format!("{clients}_{name}"), value))
            .into_iter()
            .collect(),
        after_restart: [("read_only".to_owned(), AfterRestart::Value("ON".to_owned()))].into(),
        readers: vec![Reader { user: "plimsoll".into(), host: "h:1".into(), ours: true }],
        own_clients: 1,
    }
}

fn set(facts: &mut Facts, name: &str, value: &str) {
    let changed = [(name.to_owned(), value.to_owned())];
    facts.variables = facts.variables.iter().chain(changed).collect();
}

fn not_good(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.verdict < Verdict::Note).collect()
}

#[test]
fn a_sound_source_has_nothing_wrong() {
    for family in [Family::Mariadb, Family::Mysql] {
        assert_eq!(not_good(quick(&source(family))), [], "{family}");
        let facts = source(family);
        assert_eq!(unprotected(family, &facts.variables, &facts.status), []);
    }
}

#[test]
fn each_wrong_setting_is_named_with_what_mends_it() {
    use Verdict::{Impossible, Note, Warning, Wrong};
    for (name, bad, verdict, refuses, mend) in [
        ("log_bin", "OFF", Wrong, true, "option file"),
        ("binlog_format", "MIXED", Wrong, true, "SET PERSIST binlog_format=ROW;"),
        ("binlog_row_image", "MINIMAL", Warning, false, "SET PERSIST binlog_row_image=FULL;"),
        ("binlog_row_metadata", "MINIMAL", Warning, false, "SET PERSIST binlog_row_metadata=FULL;"),
        ("binlog_checksum", "NONE", Wrong, true, "SET PERSIST binlog_checksum=CRC32;"),
        ("sync_binlog", "0", Wrong, true, "SET PERSIST sync_binlog=1;"),
        ("innodb_flush_log_at_trx_commit", "2", Wrong, true, "innodb_flush_log_at_trx_commit=1;"),
        ("rpl_semi_sync_source_wait_for_replica_count", "2", Wrong, true, "replica_count=1;"),
        (
            "rpl_semi_sync_source_timeout",
            "10000",
            Wrong,
            false,
            "SET GLOBAL rpl_semi_sync_source_tim",
        ),
        ("rpl_semi_sync_source_wait_point", "AFTER_COMMIT", Wrong, false, "=AFTER_SYNC;"),
        ("rpl_semi_sync_source_wait_no_replica", "OFF", Wrong, false, "wait_no_replica=ON;"),
        ("rpl_semi_sync_source_enabled", "OFF", Wrong, false, "SET GLOBAL rpl_semi_sync_source_en"),
        ("binlog_order_commits", "OFF", Warning, false, "SET PERSIST binlog_order_commits=ON;"),
        ("gtid_mode", "OFF", Warning, false, "step by step"),
        ("binlog_storage_engine", "innodb", Impossible, true, "without binlog_storage_engine"),
        ("server_id", "0", Wrong, true, "SET GLOBAL server_id"),
        ("binlog_expire_logs_seconds", "60", Warning, false, "binlog_expire_logs_seconds=604800"),
        ("binlog_expire_logs_seconds", "0", Note, false, ""),
    ] {
        let mut facts = source(Family::Mysql);
        set(&mut facts, name, bad);
        let found: Vec<_> =
            quick(&facts).into_iter().filter(|finding| finding.verdict < Verdict::Good).collect();
        let [finding] = &found[..] else { panic!("{name}: {found:#?}") };
        assert_eq!((finding.verdict, finding.refuses), (verdict, refuses), "{name}");
        assert!(finding.sentence().contains(mend), "{name}: {}", finding.sentence());
    }
}

#[test]
fn mariadb_keeps_a_setting_only_in_its_option_file() {
    let mut facts = source(Family::Mariadb);
    set(&mut facts, "sync_binlog", "0");
    let found = not_good(quick(&facts));
    assert_eq!(statements(&found), ["SET GLOBAL sync_binlog=1"]);
    let file = option_file(&found).unwrap();
    assert!(file.ends_with("[mysqld]\nsync_binlog=1\n"), "{file}");
}

#[test]
fn what_a_restart_makes_of_a_setting_counts() {
    for (family, statement) in
        [(Family::Mariadb, None), (Family::Mysql, Some("SET PERSIST_ONLY read_only=ON"))]
    {
        for (after, verdict) in [
            (AfterRestart::Value("OFF".to_owned()), Verdict::Wrong),
            (AfterRestart::Unknown, Verdict::Warning),
        ] {
            let mut facts = source(family);
            facts.after_restart.insert("read_only".to_owned(), after);
            let found = not_good(quick(&facts));
            let [finding] = &found[..] else { panic!("{found:#?}") };
            assert_eq!((finding.topic, finding.verdict), ("read_only", verdict));
            // Never SET GLOBAL: it would close the source.
            assert_eq!(statements(&found), Vec::from_iter(statement));
            assert_eq!(option_file(&found).is_some(), family == Family::Mariadb);
        }
    }
}

#[test]
fn a_replica_is_closed_and_quiet() {
    let mut facts = source(Family::Mysql);
    facts.role = Role::Replica;
    let topics: Vec<&str> = not_good(quick(&facts)).iter().map(|finding| finding.topic).collect();
    assert_eq!(topics, ["read_only", "event_scheduler"]);
    for (name, value) in [("read_only", "ON"), ("event_scheduler", "DISABLED")] {
        set(&mut facts, name, value);
    }
    assert_eq!(not_good(quick(&facts)), []);
    set(&mut facts, "super_read_only", "ON");
    assert_eq!(statements(&quick(&facts)), ["SET PERSIST super_read_only=OFF"]);
}

#[test]
fn other_readers_are_told_apart() {
    let mut facts = source(Family::Mariadb);
    facts.readers.push(Reader { user: "repl".into(), host: "h:2".into(), ours: false });
    let found = not_good(quick(&facts));
    assert_eq!((found.len(), found[0].topic), (1, "other_readers"));
    // Its ACK counts.
    let two = [("rpl_semi_sync_master_clients".to_owned(), "2".to_owned())];
    facts.status = facts.status.iter().chain(two).collect();
    let found = not_good(quick(&facts));
    assert!(found.iter().any(|finding| finding.topic == "semi_sync" && finding.refuses));
    assert_eq!(unprotected(Family::Mariadb, &facts.variables, &facts.status).len(), 1);
}

#[test]
fn semi_sync_that_is_off_before_the_agent_comes_is_its_affair() {
    let mut facts = source(Family::Mariadb);
    set(&mut facts, "rpl_semi_sync_master_enabled", "OFF");
    facts.own_clients = 0;
    facts.readers.clear();
    assert_eq!(not_good(quick(&facts)), []);
    assert_eq!(statements(&quick(&facts)), [""; 0]);
}

fn account(privileges: &[&str]) -> Inventory {
    let global = privileges.iter().map(|name| (*name).to_owned()).collect();
    let account =
        Account { grantee: "'p'@'h'".into(), global, schema: Vec::new(), grant_option: false };
    let native_sources = Some(Listing::default());
    Inventory { account, fallback_port: Some(4000), native_sources, ..Inventory::default() }
}

const LEAST: &[&str] = &[
    "REPLICATION SLAVE",
    "BINLOG MONITOR",
    "PROCESS",
    "SELECT",
    "REPLICATION MASTER ADMIN",
    "READ_ONLY ADMIN",
    "BINLOG ADMIN",
    "CONNECTION ADMIN",
];

#[test]
fn missing_privileges_are_named_with_their_grant() {
    let facts = source(Family::Mariadb);
    let mut inventory = account(LEAST);
    let own = ["INSERT", "UPDATE", "DELETE", "CREATE", "DROP"];
    inventory.account.schema = own.map(str::to_owned).to_vec();
    assert_eq!(not_good(all(&facts, &inventory)), []);
    inventory.account.schema.clear();
    inventory.account.global.retain(|name| name != "PROCESS");
    let found = not_good(all(&facts, &inventory));
    assert_eq!(found.len(), 1);
    let sentence = found[0].sentence();
    assert!(sentence.contains("GRANT PROCESS ON *.* TO 'p'@'h'"), "{sentence}");
    let grant = "GRANT INSERT, UPDATE, DELETE, CREATE, DROP ON plimsoll.* TO 'p'@'h'";
    assert!(sentence.contains(grant), "{sentence}");
}

#[test]
fn a_replica_repeats_everything_and_may_grant() {
    let mut facts = source(Family::Mariadb);
    facts.role = Role::Replica;
    set(&mut facts, "read_only", "ON");
    set(&mut facts, "event_scheduler", "OFF");
    let found = not_good(all(&facts, &account(LEAST)));
    assert_eq!(found.len(), 1, "{found:#?}");
    let native = Some(Listing::of(vec!["old-master".to_owned()]));
    let told = not_good(all(&facts, &Inventory { native_sources: native, ..account(LEAST) }));
    assert!(told.iter().any(|finding| finding.what.contains("old-master")), "{told:#?}");
    for privilege in ["BINLOG REPLAY", "SET USER", "ALTER ROUTINE", "GRANT OPTION"] {
        assert!(found[0].what.contains(privilege), "{privilege}: {}", found[0].what);
    }
}

#[test]
fn what_only_a_look_at_everything_shows() {
    let some = Listing::of(vec!["a.b".to_owned()]);
    let base = || {
        let mut inventory = account(LEAST);
        let own = ["INSERT", "UPDATE", "DELETE", "CREATE", "DROP"];
        inventory.account.schema = own.map(str::to_owned).to_vec();
        inventory
    };
    let cases = [
        ("primary_keys", Inventory { without_key: some.clone(), ..base() }),
        ("engines", Inventory { not_transactional: some.clone(), ..base() }),
        ("privileged_events", Inventory { privileged_events: some.clone(), ..base() }),
        ("spare_port", Inventory { fallback_port: None, ..base() }),
        ("spare_port", Inventory { fallback_port: Some(1), ..base() }),
    ];
    for (topic, inventory) in cases {
        let found = not_good(all(&source(Family::Mariadb), &inventory));
        assert_eq!((found.len(), found[0].topic), (1, topic));
    }
}

#[test]
fn servers_are_held_against_each_other() {
    let source = source(Family::Mariadb);
    let mut replica = source.clone();
    replica.role = Role::Replica;
    let both = |replica: &Facts| {
        let all =
            [Examined { name: "a:1", facts: &source }, Examined { name: "b:2", facts: replica }];
        not_good(members(&all))
    };
    let found = both(&replica);
    let topics: Vec<&str> = found.iter().map(|finding| finding.topic).collect();
    assert_eq!(topics, ["server_id", "max_allowed_packet"]);
    set(&mut replica, "server_id", "12");
    set(&mut replica, "max_allowed_packet", "1468006");
    assert_eq!(both(&replica), []);
    assert_eq!(members(&[Examined { name: "a:1", facts: &source }]), []);
}

#[test]
fn an_old_version_is_a_warning() {
    for (version, verdict) in [
        ("10.11.19-MariaDB", Verdict::Good),
        ("11.4.2-MariaDB", Verdict::Good),
        ("10.6.1-MariaDB", Verdict::Warning),
    ] {
        let facts = Facts { version: version.to_owned(), ..source(Family::Mariadb) };
        assert_eq!(all(&facts, &account(&[]))[0].verdict, verdict, "{version}");
    }
}
