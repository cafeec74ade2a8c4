//! A code: `PLM` and three digits.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codes::{PAGES, RANGES};

/// Names one cause that a person can act on. Printed as `PLM501`. One that came over the wire from a
/// newer build may have no page here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub(super) u16);

impl Code {
    /// What `plimsoll explain` prints; `None` if this build does not know the code.
    pub fn page(self) -> Option<&'static str> {
        PAGES.iter().find(|(code, _)| *code == self).map(|(_, page)| *page)
    }

    /// The page's heading without the code; empty if this build does not know it.
    pub fn title(self) -> &'static str {
        let heading = self.page().and_then(|page| page.lines().next()).unwrap_or_default();
        heading.split_once(": ").map_or("", |(_, title)| title)
    }

    pub(super) fn hundred(self) -> u16 {
        self.0 / 100
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PLM{:03}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no code of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    /// Not of the form.
    #[error("{0:?} is no code; write PLM and three digits, as in PLM201")]
    Form(String),
    /// No page.
    #[error("{code} is no code of this build; {near}; `plimsoll explain` lists all")]
    Unknown {
        /// What was asked for.
        code: Code,
        /// What stands in its hundred.
        near: String,
    },
}

impl Code {
    /// Reads `PLM501`, `plm501` or `501`, whether this build knows it or not.
    fn of_form(text: &str) -> Result<Code, BadCode> {
        let bad = || BadCode::Form(text.to_owned());
        let prefixed = text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("PLM"));
        let digits = if prefixed { text.get(3..).unwrap_or_default() } else { text };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        digits.parse().map(Code).map_err(|_| bad())
    }

    /// What stands nearest: the codes of the same hundred.
    fn near(self) -> String {
        let range = RANGES.iter().min_by_key(|(hundred, _)| hundred.abs_diff(self.hundred()));
        let Some((hundred, what)) = range else { return String::new() };
        let mut known = PAGES.iter().map(|(code, _)| code).filter(|c| c.hundred() == *hundred);
        match (known.next(), known.next_back()) {
            (Some(first), Some(last)) => format!("{what}: {first} to {last}"),
            (Some(only), None) => format!("{what}: {only}"),
            (None, _) => (*what).to_owned(),
        }
    }
}

impl FromStr for Code {
    type Err = BadCode;

    /// Only codes that have a page.
    fn from_str(text: &str) -> Result<Code, BadCode> {
        let code = Code::of_form(text.trim())?;
        match code.page() {
            Some(_) => Ok(code),
            None => Err(BadCode::Unknown { code, near: code.near() }),
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Code, D::Error> {
        Code::of_form(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Code {
    fn schema_name() -> Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What `plimsoll explain` has a page for.",
            "type": "string",
            "pattern": "^PLM[0-9]{3}$",
        })
    }
}
