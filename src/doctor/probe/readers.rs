//! Sessions that read the binlog.

use super::super::facts::Reader;
use crate::server::{Error, Session, text};

/// All of them; ours are those of our account.
pub(super) async fn readers(session: &mut Session, user: &str) -> Result<Vec<Reader>, Error> {
    // Columns: Id, User, Host, db, Command, …
    let rows = session.rows("SHOW PROCESSLIST").await?;
    let reads = rows.iter().filter(|row| text(row, 4).starts_with("Binlog Dump"));
    Ok(reads
        .map(|row| Reader { user: text(row, 1), host: text(row, 2), ours: text(row, 1) == user })
        .collect())
}
