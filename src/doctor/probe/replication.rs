//! Native replication at the server itself.

use super::super::facts::Listing;
use crate::server::{Error, Family, Session, text};

/// On MariaDB, of an account without SLAVE MONITOR.
const ACCESS_DENIED: u16 = 1227;

/// The hosts from which it runs now. Columns are found by name: their places differ.
pub(super) async fn native_sources(session: &mut Session) -> Result<Option<Listing>, Error> {
    let (sql, column) = match session.family() {
        Family::Mysql => (
            "SELECT c.HOST FROM performance_schema.replication_connection_configuration c \
             JOIN performance_schema.replication_applier_status a \
             ON a.CHANNEL_NAME = c.CHANNEL_NAME WHERE a.SERVICE_STATE = 'ON' \
             AND c.CHANNEL_NAME NOT LIKE 'group_replication%'",
            0,
        ),
        // Connection_name, Slave_SQL_State, Slave_IO_State, Master_Host
        Family::Mariadb => ("SHOW ALL SLAVES STATUS", 3),
    };
    let rows = match session.rows(sql).await {
        Ok(rows) => rows,
        Err(error) if error.number() == Some(ACCESS_DENIED) => return Ok(None),
        Err(error) => return Err(error),
    };
    // MariaDB: an applier that stands still has no state (column 1).
    let runs = rows.iter().filter(|row| column == 0 || !text(row, 1).is_empty());
    Ok(Some(Listing::of(runs.map(|row| text(row, column)).collect())))
}
