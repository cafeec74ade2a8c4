//! Who a server is.

use std::fmt::Write;

use super::session::text;
use super::{Error, Family, Session, quote};

/// A server, told apart from every other and from its own copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    /// `@@server_uuid` on MySQL. MariaDB has none: an id that we keep in `plimsoll.identity`.
    pub uuid: String,
    /// `@@version`.
    pub version: String,
    /// Its family.
    pub family: Family,
    /// `@@server_id`.
    pub server_id: u32,
}

/// Asks who the server is. On MariaDB the id is made at the first time, with the binlog off, and
/// made anew where it was copied from a server of another `server_id` (a restored backup brings the
/// row along, and two servers of one name would share a resume position, I17).
/// The `plimsoll` schema must exist ([`super::create_schema`]).
///
/// # Errors
/// As [`Session::execute`].
pub async fn identity(session: &mut Session) -> Result<ServerIdentity, Error> {
    let family = session.family();
    let server_id = session.value("SELECT @@server_id").await?.unwrap_or_default();
    let server_id = server_id
        .parse()
        .map_err(|_| Error::Answer { what: "@@server_id", found: server_id.clone() })?;
    let uuid = match family {
        Family::Mysql => session.value("SELECT @@server_uuid").await?.unwrap_or_default(),
        Family::Mariadb => kept_uuid(session, server_id).await?,
    };
    let version = session.version().to_owned();
    Ok(ServerIdentity { uuid, version, family, server_id })
}

async fn kept_uuid(session: &mut Session, server_id: u32) -> Result<String, Error> {
    let row = session.row("SELECT uuid, server_id FROM plimsoll.identity WHERE id = 1").await?;
    if !row.is_empty() && text(&row, 1) == server_id.to_string() {
        return Ok(text(&row, 0));
    }
    session.without_binlog().await?;
    let uuid = random_uuid();
    let sql = format!(
        "REPLACE INTO plimsoll.identity (id, uuid, server_id) VALUES (1, {}, {server_id})",
        quote(&uuid)
    );
    session.execute(sql).await?;
    Ok(uuid)
}

/// A random UUID (version 4).
fn random_uuid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes.iter().enumerate().fold(String::with_capacity(36), |mut text, (index, byte)| {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_uuid_looks_like_one() {
        let uuid = random_uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
