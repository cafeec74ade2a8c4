//! The note that something is being done that cannot share a transaction with the checkpoint.

use wal::Lsn;

use super::Error;
use super::fingerprint::Fingerprint;
use crate::server::Session;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A DDL statement.
    Ddl,
    /// CREATE TABLE, then its rows.
    CreateSelect,
    /// Rows of tables without transactions.
    Rows,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Ddl => "ddl",
            Step::CreateSelect => "create-select",
            Step::Rows => "rows",
        }
    }

    fn from_word(word: &str) -> Option<Step> {
        [Step::Ddl, Step::CreateSelect, Step::Rows].into_iter().find(|step| step.word() == word)
    }
}

/// `plimsoll.intent`, read: a crash or a lost connection fell between it and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Which record.
    pub lsn: Lsn,
    /// What.
    pub step: Step,
    /// As everything was before.
    pub before: Fingerprint,
}

/// Ends an intent, in the transaction that moves the checkpoint past it.
pub const DELETE: &str = "DELETE FROM plimsoll.intent WHERE id=1";

/// Reads the row; `None` if nothing was interrupted.
///
/// # Errors
/// [`Error::BadRow`]; [`Error::Server`].
pub async fn read(session: &mut Session) -> Result<Option<Intent>, Error> {
    let row =
        session.row("SELECT lsn, kind, fingerprint FROM plimsoll.intent WHERE id = 1").await?;
    if row.is_empty() {
        return Ok(None);
    }
    let text = |column: usize| {
        let bytes = row.get(column).and_then(Option::as_ref);
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    let lsn = text(0).parse().ok().and_then(Lsn::new);
    match (lsn, Step::from_word(&text(1))) {
        (Some(lsn), Some(step)) => Ok(Some(Intent { lsn, step, before: text(2) })),
        _ => Err(Error::BadRow { table: "intent", found: format!("{row:?}") }),
    }
}

/// Writes the row, committed when this returns.
///
/// # Errors
/// [`Error::Server`].
pub async fn write(session: &mut Session, intent: &Intent) -> Result<(), Error> {
    let sql = format!(
        "REPLACE INTO plimsoll.intent (id, lsn, kind, fingerprint) VALUES (1, {}, '{}', '{}')",
        intent.lsn,
        intent.step.word(),
        intent.before
    );
    session.execute(sql).await?;
    Ok(())
}
