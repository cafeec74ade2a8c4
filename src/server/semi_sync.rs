//! Semi-synchronous replication at a source: COMMIT waits for our ACK, for ever if need be.

use super::variables::is_on;
use super::{Error, Session, Variables};

/// The longest timeout both families take, in milliseconds (49 days), started anew by every wait:
/// with "wait without replica" on, neither server was ever seen to fall back to asynchronous.
const TIMEOUT: &str = "4294967295";

/// One set of names for the same variables. A feature is asked for by name, never by version.
struct Spelling {
    enabled: &'static str,
    timeout: &'static str,
    wait_point: &'static str,
    wait_alone: &'static str,
    clients: &'static str,
    status: &'static str,
    waiting: &'static str,
}

const SPELLINGS: [Spelling; 2] = [
    Spelling {
        enabled: "rpl_semi_sync_source_enabled",
        timeout: "rpl_semi_sync_source_timeout",
        wait_point: "rpl_semi_sync_source_wait_point",
        wait_alone: "rpl_semi_sync_source_wait_no_replica",
        clients: "rpl_semi_sync_source_clients",
        status: "rpl_semi_sync_source_status",
        waiting: "rpl_semi_sync_source_wait_sessions",
    },
    Spelling {
        enabled: "rpl_semi_sync_master_enabled",
        timeout: "rpl_semi_sync_master_timeout",
        wait_point: "rpl_semi_sync_master_wait_point",
        wait_alone: "rpl_semi_sync_master_wait_no_slave",
        clients: "rpl_semi_sync_master_clients",
        status: "rpl_semi_sync_master_status",
        waiting: "rpl_semi_sync_master_wait_sessions",
    },
];

/// MySQL's plugin in its new and its old name. MariaDB has it built in.
const PLUGINS: [&str; 2] = [
    "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
    "INSTALL PLUGIN rpl_semi_sync_master SONAME 'semisync_master.so'",
];
/// The plugin is installed already: another agent was quicker.
const INSTALLED: [u16; 2] = [1125, 1968];

const WHAT: &str = "set up semi-synchronous replication";
const PRIVILEGES: &str = "SUPER (MySQL: SYSTEM_VARIABLES_ADMIN, and INSERT on mysql.plugin; \
                          MariaDB: REPLICATION MASTER ADMIN)";

/// What semi-sync is at a server now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SemiSync {
    /// COMMIT waits.
    pub enabled: bool,
    /// The server has not fallen back to asynchronous.
    pub active: bool,
    /// Acknowledging replicas attached now. More than our own one voids the quorum: a foreign ACK
    /// releases every COMMIT.
    pub clients: u32,
}

/// Makes COMMIT at this server wait for an ACK after the binlog's fsync and before the engine's
/// commit (AFTER_SYNC), without end, also while nobody is attached. Installs MySQL's plugin where
/// needed. Everything else is set before it is enabled, so that there is no moment with a short
/// timeout. Checked by reading back. Idempotent.
///
/// # Errors
/// [`Error::SemiSyncUnavailable`] and [`Error::Privilege`] with the way out; [`Error::NotTaken`].
pub async fn enable_semi_sync(session: &mut Session) -> Result<(), Error> {
    let spelling = match find(&Variables::global(session).await?) {
        Some(spelling) => spelling,
        None => install(session).await?,
    };
    let wanted = [
        (spelling.timeout, TIMEOUT),
        (spelling.wait_point, "AFTER_SYNC"),
        (spelling.wait_alone, "1"),
        (spelling.enabled, "1"),
    ];
    let before = Variables::global(session).await?;
    for (name, value) in wanted {
        if !same(before.get(name), value) {
            let done = session.execute(format!("SET GLOBAL {name}={value}")).await;
            done.map_err(|error| error.or_privilege(WHAT, PRIVILEGES))?;
        }
    }
    let after = Variables::global(session).await?;
    for (name, value) in wanted {
        let found = after.get(name);
        if !same(found, value) {
            return Err(Error::NotTaken {
                variable: name.to_owned(),
                wanted: value.to_owned(),
                found: found.unwrap_or("unknown").to_owned(),
            });
        }
    }
    Ok(())
}

/// Lets COMMITs of a *replica* that writes its own binlog return: nobody acknowledges them there.
///
/// # Errors
/// [`Error::Waiting`] if a session waits already: switching it off would tell that client OK (I3).
pub async fn disable_semi_sync(session: &mut Session) -> Result<(), Error> {
    let variables = Variables::global(session).await?;
    let Some(spelling) = find(&variables).filter(|found| variables.is_on(found.enabled)) else {
        return Ok(());
    };
    let status = Variables::semi_sync_status(session).await?;
    let waiting = status.get(spelling.waiting).and_then(|text| text.parse().ok()).unwrap_or(0);
    if waiting > 0 {
        return Err(Error::Waiting { sessions: waiting });
    }
    let done = session.execute(format!("SET GLOBAL {}=0", spelling.enabled)).await;
    done.map(drop).map_err(|error| error.or_privilege(WHAT, PRIVILEGES))
}

/// What semi-sync is now; `None` where the server has none.
///
/// # Errors
/// As [`Session::rows`].
pub async fn semi_sync(session: &mut Session) -> Result<Option<SemiSync>, Error> {
    let variables = Variables::global(session).await?;
    let status = Variables::semi_sync_status(session).await?;
    Ok(find(&variables).map(|spelling| SemiSync {
        enabled: variables.is_on(spelling.enabled),
        active: status.is_on(spelling.status),
        clients: status.get(spelling.clients).and_then(|text| text.parse().ok()).unwrap_or(0),
    }))
}

fn find(variables: &Variables) -> Option<&'static Spelling> {
    SPELLINGS.iter().find(|spelling| variables.get(spelling.enabled).is_some())
}

fn same(found: Option<&str>, wanted: &str) -> bool {
    found.is_some_and(|found| found.eq_ignore_ascii_case(wanted) || wanted == "1" && is_on(found))
}

async fn install(session: &mut Session) -> Result<&'static Spelling, Error> {
    session.without_binlog().await?;
    let mut message = String::from("the server knows no semi-sync variables");
    for statement in PLUGINS {
        match session.execute(statement).await {
            Ok(_) => break,
            Err(error) if error.number().is_some_and(|code| INSTALLED.contains(&code)) => break,
            Err(error) => match error.or_privilege(WHAT, PRIVILEGES) {
                Error::Server { message: words, .. } => message = words,
                other => return Err(other),
            },
        }
    }
    find(&Variables::global(session).await?).ok_or(Error::SemiSyncUnavailable { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_understood_by_the_names_it_knows() {
        let old: Variables = [("rpl_semi_sync_master_enabled", "OFF")].into_iter().collect();
        let new: Variables = [("Rpl_Semi_Sync_Source_Enabled", "ON")].into_iter().collect();
        assert_eq!(find(&old).map(|s| s.wait_alone), Some("rpl_semi_sync_master_wait_no_slave"));
        assert_eq!(find(&new).map(|s| s.wait_alone), Some("rpl_semi_sync_source_wait_no_replica"));
        assert!(find(&Variables::default()).is_none());
    }

    #[test]
    fn on_is_one() {
        assert!(same(Some("ON"), "1") && same(Some("after_sync"), "AFTER_SYNC"));
        assert!(!same(Some("OFF"), "1") && !same(Some("10000"), TIMEOUT) && !same(None, "1"));
    }
}
