//! Running other programs: as oneself or as root, quietly into a log or with their text wanted.

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How commands that need root are run on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// We are root.
    Direct,
    /// Through sudo; it asks for the password on a terminal, and nothing otherwise.
    Sudo {
        /// Whether a person is there to be asked.
        may_ask: bool,
    },
    /// Neither root nor a sudo that lets us.
    Missing,
}

impl Root {
    /// Finds out.
    pub fn find() -> Root {
        if is_root() {
            return Root::Direct;
        }
        let sudo = |arguments: &[&str]| {
            let mut command = Command::new("sudo");
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            command.status()
        };
        match sudo(&["-n", "true"]) {
            Ok(status) if status.success() => Root::Sudo { may_ask: false },
            Ok(_) if std::io::stdin().is_terminal() => Root::Sudo { may_ask: true },
            _ => Root::Missing,
        }
    }

    /// The command, to be run as root.
    ///
    /// # Errors
    /// Without root: says which command a person with root must run.
    pub fn command(self, program: &str, arguments: &[&str]) -> Result<Command> {
        match self {
            Root::Direct => {
                let mut command = Command::new(program);
                command.args(arguments);
                Ok(command)
            }
            Root::Sudo { may_ask } => {
                let mut command = Command::new("sudo");
                if !may_ask {
                    command.arg("-n");
                }
                // `env` because sudo drops variables: apt must not ask questions.
                command.args(["env", "DEBIAN_FRONTEND=noninteractive", program]).args(arguments);
                Ok(command)
            }
            Root::Missing => bail!(
                "this needs root, and neither root nor sudo is there; have somebody run:\n  {program} {}\n\
                 and then again: cargo xtask servers",
                arguments.join(" ")
            ),
        }
    }
}

/// Whether this process has root's rights.
#[allow(unsafe_code)]
fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Runs to its end, all it says into `log`; on failure the last lines are part of the error.
///
/// # Errors
/// It cannot be started, or ends with anything but 0.
pub fn run_quietly(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let shown = format!("{command:?}");
    let status = command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::inherit())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot start {shown}"))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n  ");
    bail!("{shown} ended with {status}:\n  {tail}\n  (all of it: {})", log.display())
}

/// Runs to its end and gives what it printed on stdout; `None` when it fails or is not there.
pub fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let done = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}
