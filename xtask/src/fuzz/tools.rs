//! What fuzzing needs beside the project's toolchain: a nightly one, and cargo-fuzz.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::output_of;

/// Installs what is missing, and says so.
///
/// # Errors
/// There is no rustup, or an installation failed.
pub fn install() -> Result<()> {
    let Some(toolchains) = output_of("rustup", &["toolchain", "list"]) else {
        bail!("libFuzzer needs a nightly toolchain, which rustup brings (https://rustup.rs)");
    };
    if !toolchains.lines().any(|line| line.starts_with("nightly")) {
        println!("fuzz: installing a nightly toolchain (rustup toolchain install nightly)");
        succeed(Command::new("rustup").args([
            "toolchain",
            "install",
            "nightly",
            "--profile",
            "minimal",
        ]))?;
    }
    if output_of("cargo-fuzz", &["--version"]).is_none() {
        println!("fuzz: installing cargo-fuzz (cargo install cargo-fuzz)");
        succeed(nightly().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    Ok(())
}

/// Builds every target. The folder of the programs.
///
/// # Errors
/// The build failed.
pub fn build(folder: &Path) -> Result<PathBuf> {
    println!("fuzz: building (cargo +nightly fuzz build)");
    succeed(nightly().args(["fuzz", "build"]).current_dir(folder))?;
    let about = output_of("rustup", &["run", "nightly", "rustc", "-vV"]).unwrap_or_default();
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(folder.join("target").join(host.context("rustc does not say its host")?).join("release"))
}

/// cargo of the nightly toolchain, without what the stable one that runs us says of itself.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = name == "CARGO" || name == "RUSTC" || name.starts_with("CARGO_PKG_");
        if ours || name.starts_with("CARGO_MANIFEST_") || name == "RUSTUP_TOOLCHAIN" {
            command.env_remove(name);
        }
    }
    command
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
