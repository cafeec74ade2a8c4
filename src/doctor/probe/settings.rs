//! What a restart of the server makes of its settings.
//!
//! MySQL says where each value came from, and what it has persisted. MariaDB says where from. Of a
//! value that was set at run time neither knows what the option file has: the files that the server
//! names are read, where it runs on this machine.

use std::collections::BTreeMap;

use super::super::facts::AfterRestart;
use super::super::settings::SETTINGS;
use super::files;
use crate::config::ServerConfig;
use crate::server::{Error, Family, Session, Variables, text};

/// By name, for every setting that is to be kept and that the server knows.
pub(super) async fn after_restart(
    session: &mut Session,
    server: &ServerConfig,
    variables: &Variables,
) -> Result<BTreeMap<String, AfterRestart>, Error> {
    let origins = origins(session).await?;
    let persisted = match session.family() {
        Family::Mysql => persisted(session).await?,
        Family::Mariadb => BTreeMap::new(),
    };
    let files = match is_here(&server.host) {
        true => files::read(origins.values().filter_map(|origin| origin.file.clone())),
        false => files::OptionFiles::unseen(),
    };
    let kept = SETTINGS.iter().filter(|setting| setting.kept);
    let known = kept.filter_map(|setting| Some((setting, variables.first(setting.names)?)));
    Ok(known
        .filter_map(|(setting, (name, running))| {
            let origin = origins.get(name)?;
            let after = match persisted.get(name) {
                Some(value) => AfterRestart::Value(value.clone()),
                None if !origin.at_run_time => AfterRestart::Value(running.to_owned()),
                None => files
                    .value(name, origin.default.as_deref().or(setting.mysql_default))
                    .map_or(AfterRestart::Unknown, AfterRestart::Value),
            };
            Some((name.to_owned(), after))
        })
        .collect())
}

struct Origin {
    at_run_time: bool,
    file: Option<String>,
    /// What it is where no option says anything.
    default: Option<String>,
}

/// By lower-case name. Older servers that do not tell give none.
async fn origins(session: &mut Session) -> Result<BTreeMap<String, Origin>, Error> {
    let (sql, run_time) = match session.family() {
        Family::Mysql => (
            "SELECT VARIABLE_NAME, VARIABLE_SOURCE, VARIABLE_PATH, NULL \
             FROM performance_schema.variables_info",
            "DYNAMIC",
        ),
        Family::Mariadb => (
            "SELECT VARIABLE_NAME, GLOBAL_VALUE_ORIGIN, GLOBAL_VALUE_PATH, DEFAULT_VALUE \
             FROM information_schema.SYSTEM_VARIABLES",
            "SQL",
        ),
    };
    let rows = match session.rows(sql).await {
        Ok(rows) => rows,
        // The account may not, or the server has no such table.
        Err(error) if error.number().is_some() => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(rows
        .iter()
        .map(|row| {
            let file = Some(text(row, 2)).filter(|path| !path.is_empty());
            let default = Some(text(row, 3)).filter(|value| !value.is_empty());
            let origin = Origin { at_run_time: text(row, 1) == run_time, file, default };
            (text(row, 0).to_ascii_lowercase(), origin)
        })
        .collect())
}

async fn persisted(session: &mut Session) -> Result<BTreeMap<String, String>, Error> {
    let sql = "SELECT VARIABLE_NAME, VARIABLE_VALUE FROM performance_schema.persisted_variables";
    match session.rows(sql).await {
        Ok(rows) => {
            let pair = |row| (text(row, 0).to_ascii_lowercase(), text(row, 1));
            Ok(rows.iter().map(pair).collect())
        }
        Err(error) if error.number().is_some() => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Another machine's file of the same name says nothing.
fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
