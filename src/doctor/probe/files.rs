//! A server's option files, as far as they can be read from here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;

/// A longer one is no option file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the files say, by variable.
pub(super) struct OptionFiles {
    /// `None`: one could not be read, so that nothing is known.
    values: Option<BTreeMap<String, Said>>,
}

/// Which file the server reads last is not known, so they must agree.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Once(String),
    Differently,
}

impl OptionFiles {
    /// Of a server on another machine.
    pub fn unseen() -> OptionFiles {
        OptionFiles { values: None }
    }

    /// The value that they give a variable, or else `default`; `None` if that cannot be known.
    pub fn value(&self, name: &str, default: Option<&str>) -> Option<String> {
        match self.values.as_ref()?.get(name) {
            Some(Said::Once(value)) => Some(value.clone()),
            Some(Said::Differently) => None,
            None => default.map(str::to_owned),
        }
    }
}

/// Reads the files that the server has named as the origin of some value. MariaDB names none to an
/// account without FILE: then nothing is known.
pub(super) fn read(paths: impl Iterator<Item = String>) -> OptionFiles {
    let paths: BTreeSet<String> = paths.collect();
    if paths.is_empty() {
        return OptionFiles::unseen();
    }
    let texts: Option<Vec<String>> = paths.iter().map(|path| text(path)).collect();
    OptionFiles { values: texts.map(|texts| values(&texts)) }
}

fn text(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn values(texts: &[String]) -> BTreeMap<String, Said> {
    let mut all: BTreeMap<String, Said> = BTreeMap::new();
    for text in texts {
        for (name, value) in one(text) {
            match all.get(&name) {
                Some(Said::Once(known)) if *known == value => {}
                Some(_) => drop(all.insert(name, Said::Differently)),
                None => drop(all.insert(name, Said::Once(value))),
            }
        }
    }
    all
}

/// The last value of each variable in the groups that a server reads.
fn one(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut ours = false;
    for line in text.lines().map(str::trim) {
        if let Some(group) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            ours = is_server_group(group);
            continue;
        }
        if !ours || line.is_empty() || line.starts_with(['#', ';', '!']) {
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, "ON"));
        let name = name.trim().to_ascii_lowercase().replace('-', "_");
        let name = name.strip_prefix("loose_").unwrap_or(&name).to_owned();
        let value = value.split(" #").next().unwrap_or_default().trim();
        found.insert(name, value.trim_matches(['\'', '"']).to_owned());
    }
    found
}

/// `mysqld`, `server`, `mariadb`, and those with a version behind.
fn is_server_group(group: &str) -> bool {
    ["mysqld", "mariadbd", "mariadb", "server"].iter().any(|name| {
        group.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty()
                || rest.starts_with('-') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[&str]) -> OptionFiles {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        OptionFiles { values: Some(values(&texts)) }
    }

    #[test]
    fn the_groups_of_a_server_are_read_and_no_others() {
        let found = files(&[
            "[client]\nread_only=OFF\n[mysqld]\n# read_only=OFF\nread-only = 'ON'\n\
                             log-bin\n[mysqld_safe]\nread_only=OFF\n[mariadb-10.11]\nsync_binlog=1 # so\n\
                             [mariadb-dump]\nsync_binlog=0\n",
        ]);
        assert_eq!(found.value("read_only", None).as_deref(), Some("ON"));
        assert_eq!(found.value("log_bin", None).as_deref(), Some("ON"));
        assert_eq!(found.value("sync_binlog", None).as_deref(), Some("1"));
        assert_eq!(found.value("binlog_format", Some("MIXED")).as_deref(), Some("MIXED"));
    }

    #[test]
    fn files_that_disagree_say_nothing() {
        let found = files(&[
            "[mysqld]\nread_only=1\nsync_binlog=1",
            "[server]\nread_only=0\nsync_binlog=1",
        ]);
        assert_eq!(found.value("read_only", Some("OFF")), None);
        assert_eq!(found.value("sync_binlog", None).as_deref(), Some("1"));
    }

    #[test]
    fn a_file_that_cannot_be_read_says_nothing() {
        let found = read(["/nowhere/my.cnf".to_owned()].into_iter());
        assert_eq!(found.value("read_only", Some("OFF")), None);
    }
}
