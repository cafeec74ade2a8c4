//! `cargo xtask servers`: both server families on this machine, without containers.
//!
//! In: the machine's own package sources. Out: MariaDB and the tools as packages, MySQL as a private
//! root in the servers cache (`$PLIMSOLL_SERVERS`, or `~/.cache/plimsoll/servers`). Does only what is
//! missing, says what it does, and never leaves a system-wide server running that it started.

mod apt;
mod mysql;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::Root;

/// The distribution, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distribution {
    Debian,
    Ubuntu,
}

/// Everything on every supported machine, whatever its family of distributions.
const PACKAGES: &[&str] = &[
    "mariadb-server",
    "mariadb-client",
    "mariadb-backup",
    "sysbench",
    // What the build needs: a C compiler for zstd and ring, OpenSSL for the test oracle mysql_cdc.
    "gcc",
    "libc6-dev",
    "pkg-config",
    "libssl-dev",
    // Certificates for MariaDB in the tests; MySQL makes its own.
    "openssl",
    // The second reader of the log's format, in the tests.
    "python3",
    "libzstd1",
];

/// What is wanted of MySQL, whose root is large. MariaDB and the tools are always wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mysql {
    Wanted,
    NotNow,
}

/// Installs what is missing.
///
/// # Errors
/// What could not be done, with the way out.
pub fn install(mysql: Mysql) -> Result<()> {
    let distribution = Distribution::of_this_machine()?;
    let cache = cache_dir()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let root = Root::find();

    let mut wanted = PACKAGES.to_vec();
    if distribution == Distribution::Debian && mysql == Mysql::Wanted {
        wanted.push("debootstrap");
    }
    apt::install(&wanted, root, &cache)?;
    match (mysql, distribution) {
        (Mysql::NotNow, _) => Ok(()),
        (Mysql::Wanted, Distribution::Debian) => mysql::from_debian_unstable(&cache, root),
        (Mysql::Wanted, Distribution::Ubuntu) => mysql::from_own_packages(&cache),
    }
}

/// A client program of the MySQL that [`install`] brought. The machine's own of that name, if any, is
/// MariaDB's.
///
/// # Errors
/// MySQL is not there.
pub fn mysql_client(name: &str) -> Result<Command> {
    mysql::client(&cache_dir()?, name)
}

/// Where servers that are not packages of this machine live, and templates of data folders.
///
/// # Errors
/// Neither `PLIMSOLL_SERVERS` nor `HOME` is set.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("PLIMSOLL_SERVERS") {
        return Ok(PathBuf::from(dir));
    }
    let home = std::env::var_os("HOME").context("HOME is not set; set PLIMSOLL_SERVERS=DIR")?;
    Ok(PathBuf::from(home).join(".cache/plimsoll/servers"))
}

impl Distribution {
    fn of_this_machine() -> Result<Distribution> {
        let text =
            std::fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        match Distribution::from_os_release(&text) {
            Some(distribution) => Ok(distribution),
            None => bail!(
                "this is neither Debian 12 or later nor Ubuntu; install MariaDB (mariadbd, \
                 mariadb-install-db), sysbench, pkg-config and OpenSSL's headers by hand, or use docker-compose.yml"
            ),
        }
    }

    fn from_os_release(text: &str) -> Option<Distribution> {
        let value = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_default().trim_matches('"').to_owned()
        };
        let family = format!("{} {}", value("ID"), value("ID_LIKE"));
        let is = |name: &str| family.split_whitespace().any(|word| word == name);
        if is("ubuntu") {
            return Some(Distribution::Ubuntu);
        }
        // Testing and unstable carry no VERSION_ID, and are newer than any number.
        let old = value("VERSION_ID").parse::<u32>().is_ok_and(|version| version < 12);
        (is("debian") && !(value("ID") == "debian" && old)).then_some(Distribution::Debian)
    }
}

#[cfg(test)]
mod tests {
    use super::Distribution;

    #[test]
    fn distributions_are_told_apart() {
        for (text, expected) in [
            ("ID=debian\nVERSION_ID=\"12\"\n", Some(Distribution::Debian)),
            ("ID=debian\nVERSION_CODENAME=forky\n", Some(Distribution::Debian)),
            ("ID=debian\nVERSION_ID=\"11\"\n", None),
            ("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n", Some(Distribution::Ubuntu)),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some(Distribution::Ubuntu)),
            ("ID=fedora\n", None),
        ] {
            assert_eq!(Distribution::from_os_release(text), expected, "{text}");
        }
    }
}
