//! Tables and events that replication has trouble with.

use super::super::facts::Listing;
use crate::server::{Error, Session, text};

/// Schemas that are each server's own.
const OWN: &str = "'mysql', 'information_schema', 'performance_schema', 'sys', 'plimsoll'";

pub(super) async fn without_key(session: &mut Session) -> Result<Listing, Error> {
    let sql = format!(
        "SELECT CONCAT(t.TABLE_SCHEMA, '.', t.TABLE_NAME) FROM information_schema.TABLES t \
         LEFT JOIN information_schema.TABLE_CONSTRAINTS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA \
         AND c.TABLE_NAME = t.TABLE_NAME AND c.CONSTRAINT_TYPE = 'PRIMARY KEY' \
         WHERE t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN ({OWN}) \
         AND c.CONSTRAINT_NAME IS NULL ORDER BY 1"
    );
    listing(session, &sql).await
}

pub(super) async fn not_transactional(session: &mut Session) -> Result<Listing, Error> {
    let sql = format!(
        "SELECT CONCAT(t.TABLE_SCHEMA, '.', t.TABLE_NAME, ' (', t.ENGINE, ')') \
         FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
         WHERE t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN ({OWN}) \
         AND COALESCE(e.TRANSACTIONS, 'NO') <> 'YES' ORDER BY 1"
    );
    listing(session, &sql).await
}

/// Enabled events whose definer is one of `writers` (or we).
pub(super) async fn events(
    session: &mut Session,
    writers: &[String],
    own: &str,
) -> Result<Listing, Error> {
    let sql = "SELECT CONCAT(EVENT_SCHEMA, '.', EVENT_NAME), DEFINER FROM information_schema.EVENTS \
               WHERE STATUS = 'ENABLED' ORDER BY 1";
    let rows = session.rows(sql).await?;
    let privileged = |definer: &str| {
        let (user, host) = definer.rsplit_once('@').unwrap_or((definer, "%"));
        let grantee = format!("'{user}'@'{host}'");
        grantee == own || writers.contains(&grantee)
    };
    let found = rows.iter().filter(|row| privileged(&text(row, 1)));
    Ok(Listing::of(found.map(|row| text(row, 0)).collect()))
}

async fn listing(session: &mut Session, sql: &str) -> Result<Listing, Error> {
    let rows = session.rows(sql).await?;
    Ok(Listing::of(rows.iter().map(|row| text(row, 0)).collect()))
}
