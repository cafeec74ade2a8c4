//! MySQL as a private root: a folder with `usr/sbin/mysqld` and every library it needs, run through
//! its own `ld-linux` by any user. MariaDB's packages and MySQL's exclude each other, so it cannot be
//! a package of the machine.
//!
//! A root is built beside its place and renamed into it, so a half-made one is never found.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::shell::{Root, output_of, run_quietly};

/// The program that a whole root has.
const SERVER: &str = "usr/sbin/mysqld";

/// Debian 12 and later: what Debian unstable has (9.7 at the time of writing), by debootstrap.
pub fn from_debian_unstable(cache: &Path, root: Root) -> Result<()> {
    let Some(building) = begin(cache, root)? else {
        return Ok(());
    };
    let mirror = apt::debian_mirror(root, cache)?;
    println!(
        "mysql: unpacking Debian unstable's server into {} (about a minute)",
        place(cache).display()
    );
    let target = building.to_str().context("the servers folder's name must be UTF-8")?;
    let arguments = [
        "--variant=minbase",
        "--include=mysql-server-core,mysql-client-core",
        "sid",
        target,
        &mirror,
    ];
    let mut debootstrap = root.command("debootstrap", &arguments)?;
    // Found in a user's shell only by luck: Debian keeps it in sbin.
    debootstrap.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let done = run_quietly(&mut debootstrap, &cache.join("debootstrap.log"));
    done.context("cannot unpack MySQL from Debian unstable")?;
    finish(cache, &building)
}

/// Ubuntu: its own server, taken apart without installing it, so that no service can start.
pub fn from_own_packages(cache: &Path) -> Result<()> {
    let Some(building) = begin(cache, Root::Missing)? else {
        return Ok(());
    };
    let version = newest_core_package()?;
    println!("mysql: unpacking Ubuntu's own mysql-server-core-{version}");
    let core = [format!("mysql-server-core-{version}"), format!("mysql-client-core-{version}")];
    let mut names = with_dependencies(&core)?;
    // The plugins are in here; its maintainer scripts are never run.
    names.push(format!("mysql-server-{version}"));
    // Brings the links from /lib64 to /usr/lib64 and their like.
    names.push("base-files".to_owned());
    names.sort();
    names.dedup();

    let packages = building.join("packages");
    std::fs::create_dir_all(&packages)?;
    let mut download = Command::new("apt-get");
    download.arg("download").args(&names).current_dir(&packages);
    run_quietly(&mut download, &cache.join("apt-get-download.log"))
        .context("cannot fetch MySQL's packages")?;
    for entry in std::fs::read_dir(&packages)? {
        let package = entry?.path();
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(&package).arg(&building);
        run_quietly(&mut unpack, &cache.join("dpkg-deb.log"))?;
    }
    std::fs::remove_dir_all(&packages)?;
    finish(cache, &building)
}

fn place(cache: &Path) -> PathBuf {
    cache.join("mysql")
}

/// `None` if a whole root is in place; otherwise a folder to build one in, free of earlier attempts.
fn begin(cache: &Path, root: Root) -> Result<Option<PathBuf>> {
    let place = place(cache);
    if place.join(SERVER).exists() {
        println!("mysql: in place ({}, {})", place.display(), version(&place)?);
        return Ok(None);
    }
    let building = cache.join("mysql.building");
    for leftover in [&place, &building] {
        if leftover.exists() {
            println!("mysql: removing a half-made {}", leftover.display());
            remove(leftover, root)?;
        }
    }
    Ok(Some(building))
}

fn remove(folder: &Path, root: Root) -> Result<()> {
    if std::fs::remove_dir_all(folder).is_ok() {
        return Ok(());
    }
    let name = folder.to_str().context("the servers folder's name must be UTF-8")?;
    let status = root.command("rm", &["-rf", "--one-file-system", name])?.status()?;
    if !status.success() {
        bail!("cannot remove {name}");
    }
    Ok(())
}

/// Proves that the server starts at all, then puts the root into its place.
fn finish(cache: &Path, building: &Path) -> Result<()> {
    let version = version(building)?;
    std::fs::rename(building, place(cache))
        .with_context(|| format!("cannot rename {} into place", building.display()))?;
    println!("mysql: {version} is in {}", place(cache).display());
    Ok(())
}

fn version(root: &Path) -> Result<String> {
    let (loader, libraries) = loader(root)?;
    let server = root.join(SERVER);
    let arguments = ["--library-path", &libraries, path(&server)?, "--no-defaults", "--version"];
    let said = output_of(path(&loader)?, &arguments).with_context(|| {
        format!("{} does not start; remove {} and run this again", server.display(), root.display())
    })?;
    let version = said.split_whitespace().skip_while(|word| *word != "Ver").nth(1);
    Ok(format!("MySQL {}", version.unwrap_or("of unknown version")))
}

/// A client program of the root, run as its server is.
pub fn client(cache: &Path, name: &str) -> Result<Command> {
    let place = place(cache);
    let (loader, libraries) = loader(&place)?;
    let mut command = Command::new(loader);
    command.args(["--library-path", &libraries]).arg(place.join("usr/bin").join(name));
    Ok(command)
}

/// The root's own dynamic loader, and the folders of its libraries.
fn loader(root: &Path) -> Result<(PathBuf, String)> {
    for (name, triplet) in [
        ("lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
        ("usr/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
        ("lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
        ("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
    ] {
        let loader = root.join(name);
        if loader.exists() {
            let folders =
                ["usr/lib", "lib"].map(|lib| format!("{}/{lib}/{triplet}", root.display()));
            return Ok((loader, folders.join(":")));
        }
    }
    bail!("{} holds no dynamic loader of x86-64 or arm64", root.display())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the servers folder's name must be UTF-8")
}

/// The part behind `mysql-server-core-` of the newest such package.
fn newest_core_package() -> Result<String> {
    let names = output_of("apt-cache", &["pkgnames", "mysql-server-core-"]).unwrap_or_default();
    let number = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let versions = names.lines().filter_map(|name| name.strip_prefix("mysql-server-core-"));
    let newest = versions.filter(|text| number(text).is_some()).max_by_key(|text| number(text));
    newest.map(str::to_owned).context("apt knows no mysql-server-core-*; run apt-get update first")
}

fn with_dependencies(packages: &[String]) -> Result<Vec<String>> {
    let mut arguments = vec![
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
    ];
    arguments.extend(packages.iter().map(String::as_str));
    let said = output_of("apt-cache", &arguments).context("apt-cache depends failed")?;
    // Packages stand at the line's start; virtual ones in <angle brackets> cannot be fetched.
    let real =
        said.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    Ok(real.map(str::to_owned).collect())
}
