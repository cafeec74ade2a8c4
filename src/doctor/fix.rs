//! Runs what mends a server, and writes what belongs into its option file.

use super::Error;
use super::finding::{Finding, Mend};
use crate::server::{SemiSync, Session, Variables};

/// Every statement that `--fix` would run, in order.
pub fn statements(findings: &[Finding]) -> Vec<&str> {
    let run = findings.iter().filter_map(|finding| match &finding.mend {
        Some(Mend::Run(statements)) => Some(statements),
        _ => None,
    });
    run.flatten().map(String::as_str).collect()
}

/// Runs them, out of the server's binlog. None while a COMMIT waits: a changed checksum rotates the
/// binlog, which would hang.
///
/// # Errors
/// [`Error::Waiting`] before a statement, [`Error::Refused`]; those before are done.
pub async fn run(session: &mut Session, statements: &[&str]) -> Result<(), Error> {
    session.without_binlog().await?;
    for statement in statements {
        let variables = Variables::global(session).await?;
        let status = Variables::semi_sync_status(session).await?;
        let waiting = SemiSync::of(&variables, &status).map_or(0, |now| now.waiting);
        if waiting > 0 {
            return Err(Error::Waiting { waiting });
        }
        let done = session.execute(statement).await;
        done.map_err(|source| Error::Refused { statement: (*statement).to_owned(), source })?;
    }
    Ok(())
}

/// The text of an option file with every line that a finding asks for; `None` if there is none.
pub fn option_file(findings: &[Finding]) -> Option<String> {
    let lines: Vec<&str> =
        findings.iter().filter_map(|finding| finding.option.as_deref()).collect();
    if lines.is_empty() {
        return None;
    }
    let lines = lines.join("\n");
    Some(format!(
        "# made by plimsoll doctor; include it in the server's option file\n[mysqld]\n{lines}\n"
    ))
}
