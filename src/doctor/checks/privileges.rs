//! What our account may, and what it must.

use super::super::facts::{Account, Facts, Role};
use super::super::finding::{Finding, Verdict};
use crate::server::Family;

/// Something the agent does, and the privileges each of which is enough for it.
struct Need {
    family: Option<Family>,
    what: &'static str,
    any_of: &'static [&'static str],
}

const MYSQL: Option<Family> = Some(Family::Mysql);
const MARIADB: Option<Family> = Some(Family::Mariadb);

/// What a source's agent does, on `*.*`. The first of each is granted: the least.
const SOURCE: [Need; 12] = [
    need(None, "read the binlog", &["REPLICATION SLAVE"]),
    need(MYSQL, "ask for the binlog's end", &["REPLICATION CLIENT", "SUPER"]),
    need(MARIADB, "ask for the binlog's end", &["BINLOG MONITOR"]),
    need(None, "see who else reads it", &["PROCESS"]),
    need(None, "look at the tables", &["SELECT"]),
    need(MYSQL, "set up semi-sync", &["SYSTEM_VARIABLES_ADMIN", "SUPER"]),
    need(MARIADB, "set up semi-sync", &["REPLICATION MASTER ADMIN"]),
    need(MYSQL, "write while the server is closed", &["CONNECTION_ADMIN", "SUPER"]),
    need(MARIADB, "write while the server is closed", &["READ_ONLY ADMIN"]),
    need(MARIADB, "keep its own writes out of the binlog", &["BINLOG ADMIN"]),
    need(MYSQL, "log in by the admin port", &["SERVICE_CONNECTION_ADMIN", "SUPER"]),
    need(MARIADB, "log in although all connections are in use", &["CONNECTION ADMIN"]),
];

/// On the schema `plimsoll`, or on `*.*`.
const OWN_SCHEMA: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP"];

/// What a replica's agent repeats: whatever the source's clients may do, DDL and grants included.
const REPEATED: [&str; 21] = [
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "RELOAD",
    "REFERENCES",
    "INDEX",
    "ALTER",
    "SHOW DATABASES",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "EXECUTE",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "CREATE USER",
    "EVENT",
    "TRIGGER",
    "CREATE TABLESPACE",
];

/// What applying itself asks for.
const APPLY: [Need; 5] = [
    need(MARIADB, "switch the event scheduler off", &["SUPER"]),
    need(MYSQL, "apply row events", &["REPLICATION_APPLIER", "BINLOG_ADMIN", "SUPER"]),
    need(MARIADB, "apply row events", &["BINLOG REPLAY"]),
    need(MYSQL, "make objects of other definers", &["SET_ANY_DEFINER", "SET_USER_ID", "SUPER"]),
    need(MARIADB, "make objects of other definers", &["SET USER"]),
];

/// More than any part of us uses. (FILE lets MariaDB name its option files to us.)
const NEVER_USED: [&str; 1] = ["SHUTDOWN"];

const fn need(family: Option<Family>, what: &'static str, any_of: &'static [&'static str]) -> Need {
    Need { family, what, any_of }
}

pub(super) fn privileges(facts: &Facts, account: &Account) -> Vec<Finding> {
    let topic = "privileges";
    let mut missing = missing(facts, account);
    let mut statements = Vec::new();
    if !missing.is_empty() {
        let list: Vec<&str> = missing.iter().map(|(privilege, _)| *privilege).collect();
        statements.push(format!("GRANT {} ON *.* TO {}", list.join(", "), account.grantee));
    }
    let schema: Vec<&str> = OWN_SCHEMA
        .into_iter()
        .filter(|name| !account.may_here(name))
        .filter(|name| !missing.iter().any(|(privilege, _)| privilege == name))
        .collect();
    if !schema.is_empty() {
        let list = schema.join(", ");
        statements.push(format!("GRANT {list} ON plimsoll.* TO {}", account.grantee));
        missing.extend(schema.into_iter().map(|name| (name, "keep its own tables")));
    }
    if facts.role == Role::Replica && !account.grant_option {
        statements.push(format!("GRANT GRANT OPTION ON *.* TO {}", account.grantee));
        missing.push(("GRANT OPTION", "repeat grants"));
    }
    if !missing.is_empty() {
        let names: Vec<String> =
            missing.iter().map(|(privilege, what)| format!("{privilege} (to {what})")).collect();
        let what = format!("{} lacks {}", account.grantee, names.join(", "));
        let way_out = format!(
            "as an administrator: SET sql_log_bin=0; {}; SET sql_log_bin=1",
            statements.join("; ")
        );
        return vec![Finding::new(topic, Verdict::Wrong, what).by_hand(way_out)];
    }
    let what = format!("{} may do all that {}", account.grantee, agent(facts.role));
    let mut found = vec![Finding::good(topic, format!("{what} does"))];
    found.extend(superfluous(facts, account));
    found
}

fn missing(facts: &Facts, account: &Account) -> Vec<(&'static str, &'static str)> {
    let apply: &[Need] = if facts.role == Role::Replica { &APPLY } else { &[] };
    let needs = SOURCE.iter().chain(apply);
    let here = needs.filter(|need| need.family.is_none_or(|family| family == facts.family));
    let mut missing: Vec<_> = here
        .filter(|need| !need.any_of.iter().any(|name| account.may(name)))
        .filter_map(|need| Some((*need.any_of.first()?, need.what)))
        .collect();
    if facts.role == Role::Replica {
        let repeated = REPEATED.into_iter().filter(|name| !account.may(name));
        missing.extend(repeated.map(|name| (name, "repeat the source's statements")));
    }
    missing
}

/// Only for an account that is not simply given everything, as the manual says.
fn superfluous(facts: &Facts, account: &Account) -> Option<Finding> {
    let unused: Vec<&str> = match facts.role {
        Role::Replica => NEVER_USED.into_iter().filter(|name| account.may(name)).collect(),
        Role::Source => {
            NEVER_USED.into_iter().chain(REPEATED).filter(|name| account.may(name)).collect()
        }
    };
    if unused.is_empty() {
        return None;
    }
    let unless = if facts.role == Role::Source { ", unless it may become a replica" } else { "" };
    let (who, unused, agent) = (&account.grantee, unused.join(", "), agent(facts.role));
    let what = format!("{who} may also {unused}, which {agent} does not need{unless}");
    Some(Finding::new("privileges", Verdict::Note, what))
}

fn agent(role: Role) -> &'static str {
    match role {
        Role::Source => "a source's agent",
        Role::Replica => "a replica's agent",
    }
}
