//! Where the server programs are that `cargo xtask servers` brought, and how to run them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Which servers to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ServerFamily {
    /// MariaDB, from the machine's packages.
    Mariadb,
    /// MySQL, from its private root.
    Mysql,
}

impl ServerFamily {
    /// Lower-case name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ServerFamily::Mariadb => "mariadb",
            ServerFamily::Mysql => "mysql",
        }
    }
}

/// A server's programs on this machine.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Its family.
    pub family: ServerFamily,
    /// As the server names it: `10.11.19-MariaDB-0+deb12u1`, `9.7.4-2`.
    pub version: String,
    /// Where servers and templates are kept.
    pub cache: PathBuf,
    /// Program and first arguments that start the server.
    start: Vec<PathBuf>,
    /// Option-file lines without which this installation does not run.
    pub needs: Vec<String>,
}

impl Installation {
    /// Finds the family's programs.
    ///
    /// # Errors
    /// They are not there: says how to get them.
    pub fn find(family: ServerFamily) -> Result<Installation> {
        let cache = cache_dir()?;
        let (start, mut needs) = match family {
            ServerFamily::Mariadb => (vec![find_program("mariadbd")?], Vec::new()),
            ServerFamily::Mysql => private_root(&cache.join("mysql"))?,
        };
        if runs_as_root() {
            needs.push("user=root".to_owned());
        }
        let mut found = Installation { family, version: String::new(), cache, start, needs };
        found.version = found.ask_version()?;
        Ok(found)
    }

    /// The server program, not yet with any option.
    pub fn server(&self) -> Command {
        let mut command = Command::new(&self.start[0]);
        command.args(&self.start[1..]);
        command
    }

    fn ask_version(&self) -> Result<String> {
        let program = self.start.last().expect("never empty").display();
        let mut ask = self.server();
        let said = ask.args(["--no-defaults", "--version"]).output();
        let said = said.with_context(|| format!("start {program} --version"))?;
        let text = String::from_utf8_lossy(&said.stdout);
        let version = text.split_whitespace().skip_while(|word| *word != "Ver").nth(1);
        version.map(str::to_owned).with_context(|| {
            let error = String::from_utf8_lossy(&said.stderr);
            format!("{program} tells no version ({}): {}", said.status, error.trim())
        })
    }
}

/// A program of the machine, also where only root's PATH would look.
///
/// # Errors
/// It is nowhere: says how to get it.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(usual).map(|dir| dir.join(name));
    found
        .into_iter()
        .find(|file| file.is_file())
        .with_context(|| format!("{name} is not installed; run: cargo xtask servers"))
}

fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("PLIMSOLL_SERVERS") {
        return std::path::absolute(PathBuf::from(dir)).context("PLIMSOLL_SERVERS");
    }
    let home = std::env::var_os("HOME").context("HOME is not set; set PLIMSOLL_SERVERS=DIR")?;
    Ok(PathBuf::from(home).join(".cache/plimsoll/servers"))
}

/// The private root's server runs through the root's own loader and libraries: no chroot, any user.
fn private_root(root: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
    let server = root.join("usr/sbin/mysqld");
    if !server.is_file() {
        bail!("MySQL is not in {}; run: cargo xtask servers", root.display());
    }
    let loaders = [
        ("lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
        ("usr/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
        ("lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
        ("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
    ];
    let found = loaders.iter().find(|(name, _)| root.join(name).exists());
    let (loader, triplet) =
        found.with_context(|| format!("{} holds no dynamic loader", root.display()))?;
    let libraries = format!("{root}/usr/lib/{triplet}:{root}/lib/{triplet}", root = root.display());
    let start =
        vec![root.join(loader), PathBuf::from("--library-path"), PathBuf::from(libraries), server];
    let usr = root.join("usr");
    let needs = vec![
        format!("basedir={}", usr.display()),
        format!("lc-messages-dir={}", usr.join("share/mysql").display()),
        format!("character-sets-dir={}", usr.join("share/mysql/charsets").display()),
        format!("plugin-dir={}", usr.join("lib/mysql/plugin").display()),
        // Its compiled-in folder does not exist outside the root, and it would not start.
        "secure-file-priv=".to_owned(),
        "mysqlx=OFF".to_owned(),
    ];
    Ok((start, needs))
}

/// Servers refuse to run as root unless told to.
#[allow(unsafe_code)]
fn runs_as_root() -> bool {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
