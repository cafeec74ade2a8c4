//! A server's global variables, read in one go.

use std::collections::BTreeMap;

use super::session::text;
use super::{Error, Session};

/// Global variables, or status counters, by lower-case name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// All global variables.
    ///
    /// # Errors
    /// As [`Session::rows`].
    pub async fn global(session: &mut Session) -> Result<Variables, Error> {
        Variables::read(session, "SHOW GLOBAL VARIABLES").await
    }

    /// The status counters of semi-sync.
    ///
    /// # Errors
    /// As [`Session::rows`].
    pub async fn semi_sync_status(session: &mut Session) -> Result<Variables, Error> {
        Variables::read(session, "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'").await
    }

    async fn read(session: &mut Session, sql: &str) -> Result<Variables, Error> {
        let rows = session.rows(sql).await?;
        Ok(rows.iter().map(|row| (text(row, 0), text(row, 1))).collect())
    }

    /// Its value; `None` where the server does not know the name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first of `names` that the server knows.
    pub fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0.iter().map(|(name, value)| (name.clone(), value.clone()))
    }

    /// Whether it is on, in any of the ways servers say so.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_on)
    }
}

pub(super) fn is_on(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("on")
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Variables {
        let lower = |name: N| name.into().to_ascii_lowercase();
        Variables(pairs.into_iter().map(|(name, value)| (lower(name), value.into())).collect())
    }
}
