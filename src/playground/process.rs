//! One child process: started, watched, signalled, and never outliving the playground.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;

/// A running or ended child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    log: PathBuf,
    ended: watch::Receiver<Option<ExitStatus>>,
    /// `true` until the child is reaped: as long, its pid cannot be another process's.
    alive: Arc<Mutex<bool>>,
}

impl Process {
    /// Starts `command` in a process group of its own, its words appended to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Process> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // Ctrl-C at the terminal is for the playground, which then ends its children in order.
        command.process_group(0);
        die_with_parent(&mut command);

        let shown = format!("{}", command.get_program().display());
        let (started_sender, started) = mpsc::channel();
        let (ended_sender, ended) = watch::channel(None);
        let alive = Arc::new(Mutex::new(true));
        let alive_there = Arc::clone(&alive);
        // The kernel ends the child when the *thread* that started it ends, so each child has one
        // that lives exactly as long.
        std::thread::spawn(move || {
            match command.spawn() {
                Err(error) => drop(started_sender.send(Err(error))),
                Ok(child) => {
                    drop(started_sender.send(Ok(child.id())));
                    // Nobody may be left to hear it.
                    let _ = ended_sender.send(Some(reap(child, &alive_there)));
                }
            };
        });
        let pid = started.recv().context("the child's thread ended")?;
        let pid = pid.with_context(|| format!("start {shown}"))?;
        Ok(Process { pid, log: log.to_owned(), ended, alive })
    }

    /// The child's own pid; stays when it has ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        *self.ended.borrow()
    }

    /// The last lines that it wrote, for an error message.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n  ")
    }

    /// Asks it to end; after `patience` it is killed. Returns when it is gone.
    pub async fn stop(&self, patience: Duration) {
        self.signal(libc::SIGTERM);
        // One that was stopped with SIGSTOP could not hear.
        self.signal(libc::SIGCONT);
        if tokio::time::timeout(patience, self.wait()).await.is_err() {
            self.kill();
            self.wait().await;
        }
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Returns when it has ended.
    pub async fn wait(&self) {
        // An error means that its thread is gone, and with it the child.
        let mut ended = self.ended.clone();
        drop(ended.wait_for(Option::is_some).await);
    }

    #[allow(unsafe_code)]
    fn signal(&self, signal: libc::c_int) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if *alive && let Ok(pid) = libc::pid_t::try_from(self.pid) {
            // SAFETY: plain numbers; the child is not reaped while the lock is held, so the pid is its.
            unsafe { libc::kill(pid, signal) };
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits without reaping, then reaps under the lock that `signal` takes.
#[allow(unsafe_code)]
fn reap(mut child: Child, alive: &Mutex<bool>) -> ExitStatus {
    loop {
        // SAFETY: all-zero bytes are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a local of the right type; the flags ask for no side effect.
        let done = unsafe {
            libc::waitid(libc::P_PID, child.id(), &raw mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if done == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    let mut alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
    *alive = false;
    // The child has ended, so this returns at once; it fails only if somebody else reaped it.
    child.wait().unwrap_or_default()
}

/// Has the kernel kill the child when its parent is gone, so that a killed playground leaves nothing.
#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let ask = move || {
        // SAFETY: prctl with these arguments takes plain numbers only.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if std::os::unix::process::parent_id() == parent {
            return Ok(());
        }
        // The parent was gone before it could be asked for.
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    };
    // SAFETY: between fork and exec `ask` makes two system calls; it neither allocates nor locks.
    unsafe { command.pre_exec(ask) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_child_is_watched_stopped_and_reaped() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        let child = Process::start(shell("echo hello; exit 3"), &log).expect("starts");
        child.wait().await;
        assert_eq!(child.ended().and_then(|status| status.code()), Some(3));
        assert_eq!(child.last_words(), "hello");

        let child =
            Process::start(shell("trap '' TERM; while :; do sleep 1; done"), &log).expect("starts");
        child.stop(Duration::from_millis(50)).await;
        assert!(child.ended().is_some());
        assert!(!Path::new(&format!("/proc/{}", child.pid())).exists());
    }

    #[tokio::test]
    async fn dropping_kills() {
        let dir = tempfile::tempdir().expect("a folder");
        let child =
            Process::start(shell("exec sleep 1000"), &dir.path().join("log")).expect("starts");
        let mut ended = child.ended.clone();
        drop(child);
        assert!(ended.wait_for(Option::is_some).await.is_ok());
    }

    #[test]
    fn what_cannot_start_is_said() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = Process::start(Command::new("/nowhere/to/be/found"), &dir.path().join("log"));
        assert!(format!("{:#}", error.expect_err("no such file")).contains("/nowhere/to/be/found"));
    }
}
