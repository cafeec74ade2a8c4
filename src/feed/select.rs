//! Which tables a consumer wants.

use std::str::FromStr;

use crate::changes::Table;

/// More are a list that belongs in the consumer.
const TABLES_MAX: usize = 1000;

/// `db.table` and `db.*`, with `,` between. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables(Vec<(String, Option<String>)>);

/// A text that is no such list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no table: DATABASE.TABLE or DATABASE.*, at most 1000 of them with ',' between"
)]
pub struct BadTables(String);

impl FromStr for Tables {
    type Err = BadTables;

    fn from_str(text: &str) -> Result<Tables, BadTables> {
        let one = |part: &str| {
            let named = part
                .split_once('.')
                .filter(|(database, table)| !database.is_empty() && !table.is_empty());
            let (database, table) = named.ok_or_else(|| BadTables(part.to_owned()))?;
            let table = (table != "*").then(|| table.to_owned());
            Ok((database.to_owned(), table))
        };
        let all: Vec<_> =
            text.split(',').take(TABLES_MAX + 1).map(one).collect::<Result<_, _>>()?;
        if all.len() > TABLES_MAX {
            return Err(BadTables(format!("{} …", text.chars().take(80).collect::<String>())));
        }
        Ok(Tables(all))
    }
}

impl Tables {
    /// Names are compared letter by letter.
    pub fn wants(&self, table: &Table) -> bool {
        let named = |(database, name): &(String, Option<String>)| {
            *database == table.database && name.as_ref().is_none_or(|name| *name == table.name)
        };
        self.0.is_empty() || self.0.iter().any(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let two = Tables(vec![("a".into(), Some("b.c".into())), ("d".into(), None)]);
        assert_eq!("a.b.c,d.*".parse(), Ok(two));
        for bad in ["", "a", ".b", "a.", "a.b,", "a.b,,c.d", &["a.b"; 1001].join(",")] {
            assert!(bad.parse::<Tables>().is_err(), "{bad}");
        }
    }
}
