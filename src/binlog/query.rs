//! QUERY: a statement and the session that it ran in.

use super::reader::Reader;
use super::{Error, QueryRole, StatusVars};

/// The parts of a QUERY event. Texts are bytes: their character set is the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryEvent<'a> {
    /// Connection id at the server.
    pub thread_id: u32,
    /// Seconds that it took.
    pub seconds: u32,
    /// The server's error, where it failed half way.
    pub error_code: u16,
    /// Status variables, raw.
    pub status_vars: &'a [u8],
    /// Default database; empty for none.
    pub database: &'a [u8],
    /// The statement.
    pub text: &'a [u8],
}

impl<'a> QueryEvent<'a> {
    /// From the body of a QUERY event (a compressed one is expanded first).
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn decode(body: &'a [u8]) -> Result<QueryEvent<'a>, Error> {
        let mut reader = Reader::new(body, "QUERY");
        let (thread_id, seconds) = (reader.u32()?, reader.u32()?);
        let database_len = usize::from(reader.u8()?);
        let error_code = reader.u16()?;
        let status_len = usize::from(reader.u16()?);
        let status_vars = reader.take(status_len)?;
        let database = reader.take(database_len)?;
        if reader.u8()? != 0 {
            return Err(reader.malformed());
        }
        let text = reader.rest();
        Ok(QueryEvent { thread_id, seconds, error_code, status_vars, database, text })
    }

    /// The session: sql_mode, character sets, time zone and the rest.
    ///
    /// # Errors
    /// [`Error::UnknownStatusVar`]: what is not understood cannot be set up again (I9).
    /// [`Error::Truncated`].
    pub fn session(&self) -> Result<StatusVars<'a>, Error> {
        StatusVars::decode(self.status_vars)
    }

    /// What it does to its transaction.
    pub fn role(&self) -> QueryRole {
        QueryRole::of(self.text)
    }
}
