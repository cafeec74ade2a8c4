//! Packages of this machine's own sources: which are missing, and their installation without any
//! service being started.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{Root, output_of, run_quietly};

/// Debian's switch that keeps maintainer scripts from starting services.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Marks the switch as ours, so that a run that was killed is tidied up by the next.
const POLICY_TEXT: &str = "#!/bin/sh\n# plimsoll: cargo xtask servers\nexit 101\n";

/// Installs those of `wanted` that are not there.
pub fn install(wanted: &[&str], root: Root, cache: &Path) -> Result<()> {
    remove_own_policy(root);
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        println!("packages: nothing missing ({})", wanted.join(" "));
        return Ok(());
    }
    println!("packages: installing {}", missing.join(" "));
    // --no-remove: a package of the user's that stands in the way is his to take away, not ours.
    let mut arguments = vec!["install", "-y", "--no-install-recommends", "--no-remove"];
    arguments.extend(&missing);
    let policy = NoServices::ordered(root)?;
    let log = cache.join("apt-get.log");
    let mut updated = false;
    if missing.iter().any(|name| !is_known(name)) {
        update(root, cache)?;
        updated = true;
    }
    let mut done = run_quietly(&mut root.command("apt-get", &arguments)?, &log);
    if done.is_err() && !updated {
        // Old package lists name files that the mirror no longer has.
        update(root, cache)?;
        done = run_quietly(&mut root.command("apt-get", &arguments)?, &log);
    }
    drop(policy);
    done.context("cannot install the packages")
}

/// Fetches the package lists.
pub fn update(root: Root, cache: &Path) -> Result<()> {
    println!("packages: apt-get update");
    run_quietly(&mut root.command("apt-get", &["update"])?, &cache.join("apt-get-update.log"))
}

/// The mirror of Debian proper that this machine's apt uses, for `debootstrap`.
pub fn debian_mirror(root: Root, cache: &Path) -> Result<String> {
    if let Some(mirror) = mirror_in(&index_targets()) {
        return plain_mirror(&mirror);
    }
    // Images often come without package lists, and apt then names no targets.
    update(root, cache)?;
    match mirror_in(&index_targets()) {
        Some(mirror) => plain_mirror(&mirror),
        None => bail!(
            "apt names no source of Debian itself (looked for one whose Release says Origin: Debian); \
             add Debian's main archive to /etc/apt/sources.list and run apt-get update"
        ),
    }
}

fn index_targets() -> String {
    let format = "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)";
    output_of("apt-get", &["indextargets", "--format", format, "Created-By: Packages"])
        .unwrap_or_default()
}

/// The first source of Debian's main component that is no security archive: those hold one suite only.
fn mirror_in(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut fields = line.splitn(4, '|');
        let (origin, release) = (fields.next()?, fields.next()?);
        let (component, uri) = (fields.next()?, fields.next()?);
        let fits = origin == "Debian" && component == "main" && !release.contains("security");
        fits.then(|| uri.trim_end_matches('/').to_owned())
    })
}

/// Cloud images name a file with a list of mirrors; debootstrap wants one of them.
fn plain_mirror(uri: &str) -> Result<String> {
    let Some(list) = uri.strip_prefix("mirror+file:") else {
        return Ok(uri.to_owned());
    };
    let path = format!("/{}", list.trim_start_matches('/'));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let first = text.split_whitespace().find(|word| word.contains("://"));
    Ok(first.with_context(|| format!("no mirror in {path}"))?.trim_end_matches('/').to_owned())
}

fn is_installed(name: &str) -> bool {
    output_of("dpkg-query", &["-W", "-f=${db:Status-Status}", name]).as_deref() == Some("installed")
}

fn is_known(name: &str) -> bool {
    output_of("apt-cache", &["policy", name])
        .is_some_and(|said| said.contains("Candidate:") && !said.contains("Candidate: (none)"))
}

/// While this lives, no package starts its service.
struct NoServices {
    root: Root,
    placed: bool,
}

impl NoServices {
    fn ordered(root: Root) -> Result<NoServices> {
        if Path::new(POLICY).exists() {
            return Ok(NoServices { root, placed: false });
        }
        let script = format!("printf '%s' '{POLICY_TEXT}' > {POLICY} && chmod 755 {POLICY}");
        let status = root.command("sh", &["-c", &script])?.status()?;
        if !status.success() {
            bail!("cannot write {POLICY}, which keeps packages from starting their servers");
        }
        Ok(NoServices { root, placed: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.placed {
            remove_own_policy(self.root);
        }
    }
}

fn remove_own_policy(root: Root) {
    let ours = std::fs::read_to_string(POLICY).is_ok_and(|text| text == POLICY_TEXT);
    if ours && let Ok(mut remove) = root.command("rm", &["-f", POLICY]) {
        let removed = Command::status(&mut remove);
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("warning: {POLICY} is left behind; remove it by hand");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn the_mirror_is_debians_own_main_archive() {
        let targets = "Node|nodistro|main|https://node.example/x/\n\
                       Debian|bookworm-security|main|http://mirror.example/debian-security/\n\
                       Debian|bookworm|contrib|http://other.example/debian/\n\
                       Debian|bookworm|main|http://mirror.example/debian/\n";
        assert_eq!(mirror_in(targets).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror_in("Ubuntu|noble|main|http://mirror.example/ubuntu/\n"), None);
        assert_eq!(mirror_in(""), None);
    }
}
