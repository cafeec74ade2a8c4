//! The socket in the playground's folder, over which `playground restart` talks to the running one.
//!
//! One request a connection, one line each way: `restart NAME`, then `ok` or `error TEXT`.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::folder::{Folder, short};

const SOCKET: &str = "control.sock";
/// Bytes of a request or an answer; longer ones are nobody's.
const LINE_MAX: u64 = 16 * 1024;
/// A request that is not there by then is none.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// Restarts happen one after another; more than a few that wait are a mistake of the asker's.
const REQUESTS_MAX: usize = 16;

/// Somebody wants a child started again.
#[derive(Debug)]
pub struct Request {
    /// Name of the process.
    pub name: String,
    /// Where the outcome goes.
    pub answer: oneshot::Sender<Result<()>>,
}

/// Listens in the folder.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(folder: &Folder) -> Result<mpsc::Receiver<Request>> {
    let listener = UnixListener::bind(folder.short(SOCKET)).context("make the control socket")?;
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            // An asker that went away is no concern of the playground's.
            tokio::spawn(async move { drop(serve(stream, sender).await) });
        }
    });
    Ok(requests)
}

async fn serve(stream: UnixStream, requests: mpsc::Sender<Request>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let line = tokio::time::timeout(REQUEST_PATIENCE, read_line(&mut stream)).await??;
    let answer = match line.strip_prefix("restart ") {
        Some(name) => {
            let (answer, outcome) = oneshot::channel();
            requests.send(Request { name: name.to_owned(), answer }).await?;
            match outcome.await {
                Ok(Ok(())) => "ok\n".to_owned(),
                Ok(Err(error)) => format!("error {}\n", one_line(&format!("{error:#}"))),
                Err(_) => "error the playground is ending\n".to_owned(),
            }
        }
        None => "error this socket knows only: restart NAME\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).await?;
    Ok(())
}

/// Asks the playground that runs in `dir` to start `name` again; returns when it is up.
///
/// # Errors
/// No playground runs there, or it could not.
pub async fn ask_restart(dir: &Path, name: &str) -> Result<()> {
    if name.is_empty() || name.contains(['\n', '\r']) {
        bail!("{name:?} is no name of a process");
    }
    let nobody = || format!("no playground runs in {}", dir.display());
    let handle = File::open(dir).with_context(nobody)?;
    let stream = UnixStream::connect(short(&handle, SOCKET)).await.with_context(nobody)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("restart {name}\n").as_bytes()).await.with_context(nobody)?;
    let answer = read_line(&mut stream).await.context("the playground ended")?;
    match answer.strip_prefix("error ") {
        Some(error) => bail!("restart {name}: {}", many_lines(error)),
        None if answer == "ok" => Ok(()),
        None => bail!("the playground ended before {name} was up"),
    }
}

async fn read_line(stream: &mut BufReader<UnixStream>) -> Result<String> {
    let mut line = String::new();
    stream.take(LINE_MAX).read_line(&mut line).await?;
    Ok(line.trim_end_matches('\n').to_owned())
}

fn one_line(text: &str) -> String {
    text.replace('\n', "\u{1f}")
}

fn many_lines(text: &str) -> String {
    text.replace('\u{1f}', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_restart_is_asked_for_and_answered() {
        let dir = tempfile::tempdir().expect("a folder");
        // Longer than a socket's path may be.
        let path = dir.path().join("x".repeat(150));
        assert!(ask_restart(&path, "s1").await.is_err());
        let folder = Folder::prepare(Some(&path), false).expect("made");
        let mut requests = listen(&folder).expect("listens");
        let served = tokio::spawn(async move {
            for outcome in [Ok(()), Err(anyhow::anyhow!("first\nsecond"))] {
                let request = requests.recv().await.expect("a request");
                assert_eq!(request.name, "s1-agent");
                request.answer.send(outcome).expect("somebody waits");
            }
        });
        ask_restart(&path, "s1-agent").await.expect("done");
        let error = ask_restart(&path, "s1-agent").await.expect_err("refused");
        assert_eq!(format!("{error}"), "restart s1-agent: first\nsecond");
        served.await.expect("served");
        assert!(ask_restart(&path, "a\nb").await.is_err());
    }
}
