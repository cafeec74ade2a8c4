//! `cargo xtask fuzz`: hostile bytes for every reader of bytes that come from outside.
//!
//! In: the targets of `fuzz/targets`, their committed seeds and regressions. Out: executions, coverage
//! and findings of each target. What the fuzzer learns stays in `fuzz/target/corpus`, so that the next
//! run goes on from there; a finding is a file in `fuzz/artifacts`. Memory is bounded: a target that
//! takes more than [`RSS_MB`], or more than [`MALLOC_MB`] at once, is a finding.
//!
//! Does not: commit anything. A finding is mended by a person, and its file moved to
//! `fuzz/regressions/TARGET`, from where every `cargo xtask test` replays it.

mod report;
mod tools;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo;
use report::Figures;

/// Most memory of a target, in MiB: inputs are small, and lengths in them are bounded.
const RSS_MB: u32 = 512;
/// Most memory taken at once: a Zstandard frame of [`INPUT_BYTES`] may become 256 MiB, by its format.
const MALLOC_MB: u32 = 320;
/// Longest input: some frames, some events. Longer ones only repeat what shorter ones do.
const INPUT_BYTES: u32 = 8192;
/// An input that takes longer is a finding.
const INPUT_SECONDS: u32 = 10;

/// Options of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Minutes for each target.
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// Only these: names of files in fuzz/targets.
    targets: Vec<String>,
}

/// Runs the targets one after another.
///
/// # Errors
/// A tool is missing and cannot be installed, an unknown target; at the end, if anything was found.
pub fn run(args: &Args) -> Result<()> {
    let folder = cargo::workspace().join("fuzz");
    let wanted = wanted(&args.targets, &known(&folder)?)?;
    tools::install()?;
    let programs = tools::build(&folder)?;
    let mut findings = Vec::new();
    println!("{}", report::HEAD);
    for target in &wanted {
        let run = Run { folder: &folder, target, seconds: args.minutes * 60 };
        let (figures, found) = run.run(&programs)?;
        println!("{}", figures.line(target, found.len()));
        findings.extend(found);
    }
    if findings.is_empty() {
        return Ok(());
    }
    for file in &findings {
        println!("found: {}", file.display());
    }
    bail!(
        "{} findings; `fuzz/target/logs` says what failed; mend it and move the file to \
         fuzz/regressions/TARGET/ under a name that says what it was",
        findings.len()
    )
}

/// The names of all targets.
fn known(folder: &Path) -> Result<BTreeSet<String>> {
    let stems = files(&folder.join("targets"))?;
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    Ok(stems.into_iter().filter_map(stem).collect())
}

fn wanted(asked: &[String], known: &BTreeSet<String>) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|name| !known.contains(*name)) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    Ok(if asked.is_empty() { known.iter().cloned().collect() } else { asked.to_vec() })
}

fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let listed = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let listed: std::io::Result<BTreeSet<PathBuf>> = listed();
    listed.with_context(|| format!("cannot list {}", folder.display()))
}

/// One target's turn.
struct Run<'a> {
    folder: &'a Path,
    target: &'a str,
    seconds: u64,
}

impl Run<'_> {
    /// Figures, and the files of what was found.
    fn run(&self, programs: &Path) -> Result<(Figures, Vec<PathBuf>)> {
        let learned = self.made("target/corpus")?;
        let artifacts = self.made("artifacts")?;
        let log = self.made("target/logs")?.join("log");
        let before = files(&artifacts)?;
        let mut command = Command::new(programs.join(self.target));
        // New inputs go to the first folder; the others are only read.
        command.arg(learned).arg(self.in_folder("corpus"));
        command.args(Some(self.in_folder("regressions")).filter(|folder| folder.is_dir()));
        command
            .arg(format!("-max_total_time={}", self.seconds))
            .arg(format!("-rss_limit_mb={RSS_MB}"))
            .arg(format!("-malloc_limit_mb={MALLOC_MB}"))
            .arg(format!("-max_len={INPUT_BYTES}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg("-print_final_stats=1")
            // What was freed is kept for a while, to find uses of it: not most of the limit.
            .env("ASAN_OPTIONS", "quarantine_size_mb=16");
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            // Log folders of the `segment` target.
            command.env("TMPDIR", memory);
        }
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let status = command.stdout(file.try_clone()?).stderr(file).status();
        let status = status.with_context(|| format!("cannot start {}", self.target))?;
        let said = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let found: Vec<PathBuf> = files(&artifacts)?.difference(&before).cloned().collect();
        if !status.success() && found.is_empty() {
            bail!("{} ended with {status} and no finding: {}", self.target, log.display());
        }
        Ok((Figures::of(&String::from_utf8_lossy(&said), self.seconds), found))
    }

    fn in_folder(&self, name: &str) -> PathBuf {
        self.folder.join(name).join(self.target)
    }

    fn made(&self, name: &str) -> Result<PathBuf> {
        let folder = self.in_folder(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}
