//! Whether a server takes writes.

use super::{Error, Family, Session, Variables};

const ADMIN: &str = "SUPER (MySQL: SYSTEM_VARIABLES_ADMIN and CONNECTION_ADMIN; \
                     MariaDB: READ_ONLY ADMIN)";

/// Opens a server for writing, or closes it for all but privileged accounts.
///
/// Never to be closed while a COMMIT may wait for an ACK: it would hang until all have returned
/// (I3). Opening also lifts MySQL's `super_read_only` and `offline_mode`; closing never sets them,
/// because `super_read_only` refuses the applier's BINLOG statements (error 1290).
///
/// # Errors
/// [`Error::Privilege`]; [`Error::Deadline`] where sessions hold it up.
pub async fn set_read_only(session: &mut Session, read_only: bool) -> Result<(), Error> {
    let sql = match (session.family(), read_only) {
        (Family::Mariadb, true) => "SET GLOBAL read_only=1",
        (Family::Mariadb, false) => "SET GLOBAL read_only=0",
        (Family::Mysql, true) => "SET GLOBAL super_read_only=0; SET GLOBAL read_only=1",
        (Family::Mysql, false) => {
            "SET GLOBAL super_read_only=0; SET GLOBAL read_only=0; SET GLOBAL offline_mode=0"
        }
    };
    let done = session.execute(sql).await;
    done.map(drop).map_err(|error| error.or_privilege("change read_only", ADMIN))
}

/// Makes a server what a replica must be: `read_only`, and its event scheduler off, so that nothing
/// but the applier writes. Idempotent; sets only what differs.
///
/// # Errors
/// As [`set_read_only`].
pub async fn make_replica(session: &mut Session) -> Result<(), Error> {
    let variables = Variables::global(session).await?;
    if !variables.is_on("read_only") || variables.is_on("super_read_only") {
        set_read_only(session, true).await?;
    }
    // DISABLED (by an option of the server) cannot be changed, and need not be.
    if variables.is_on("event_scheduler") {
        let done = session.execute("SET GLOBAL event_scheduler=OFF").await;
        done.map_err(|error| error.or_privilege("switch the event scheduler off", ADMIN))?;
    }
    Ok(())
}
