//! Key values as text, and key ranges as SQL. [pure]

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;
use super::column::quoted;

/// The values of a key's columns: numbers, dates and words as the server prints them, strings as the
/// hexadecimal form of their bytes.
pub type Key = Vec<String>;

/// A column of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// How its values are written.
    pub kind: KeyKind,
}

/// How a key value is written in SQL so that it compares as the column does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// A whole or fixed-point number.
    Number,
    /// A date, time, UUID or address: its text.
    Word,
    /// A character string, with its character set's name.
    Text(String),
    /// Bytes.
    Binary,
}

/// Rows with `after < key <= through`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// `None`: from the first on.
    pub after: Option<Key>,
    /// `None`: to the last.
    pub through: Option<Key>,
}

impl KeyKind {
    /// Of a column; `None` where its values do not survive the way to text and back in order.
    pub(super) fn of(data_type: &str, charset: Option<&str>) -> Option<KeyKind> {
        Some(match data_type {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" => KeyKind::Number,
            "date" | "datetime" | "timestamp" | "time" | "uuid" | "inet4" | "inet6" => {
                KeyKind::Word
            }
            "char" | "varchar" => KeyKind::Text(charset?.to_owned()),
            "binary" | "varbinary" => KeyKind::Binary,
            _ => return None,
        })
    }

    /// A value as a literal. What came over HTTP is checked letter by letter: it becomes SQL.
    fn literal(&self, value: &str) -> Result<String, Error> {
        let all = |legal: fn(u8) -> bool| value.bytes().all(legal);
        let known = match self {
            KeyKind::Number => {
                !value.is_empty() && all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte))
            }
            KeyKind::Word => all(|byte| byte.is_ascii_alphanumeric() || b" :.-".contains(&byte)),
            KeyKind::Text(charset) => {
                let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                charset.bytes().all(word) && all(|byte| byte.is_ascii_hexdigit())
            }
            KeyKind::Binary => all(|byte| byte.is_ascii_hexdigit()),
        };
        if !known {
            return Err(Error::BadKey);
        }
        Ok(match self {
            KeyKind::Number => value.to_owned(),
            KeyKind::Word => format!("'{value}'"),
            KeyKind::Text(charset) => format!("_{charset} X'{value}'"),
            KeyKind::Binary => format!("X'{value}'"),
        })
    }
}

/// The key's columns as select expressions, in the form of [`Key`].
pub(super) fn selected(key: &[KeyColumn]) -> String {
    let one = |column: &KeyColumn| match column.kind {
        KeyKind::Number | KeyKind::Word => quoted(&column.name),
        KeyKind::Text(_) | KeyKind::Binary => format!("HEX({})", quoted(&column.name)),
    };
    key.iter().map(one).collect::<Vec<_>>().join(",")
}

/// The columns, for ORDER BY.
pub(super) fn order(key: &[KeyColumn]) -> String {
    key.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(",")
}

/// The WHERE clause of a range, with its leading blank; empty for all rows.
pub(super) fn condition(key: &[KeyColumn], range: &Range) -> Result<String, Error> {
    let after = range.after.as_ref().map(|bound| bounded(key, bound, ('>', ">")));
    let through = range.through.as_ref().map(|bound| bounded(key, bound, ('<', "<=")));
    let both: Vec<String> = after.into_iter().chain(through).collect::<Result<_, _>>()?;
    Ok(match both.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", both.join(" AND ")),
    })
}

/// `(a,b) > (x,y)` spelled out, so that the servers use the index: `a>=x AND (a>x OR (a=x AND b>y))`.
fn bounded(key: &[KeyColumn], bound: &Key, (strict, last): (char, &str)) -> Result<String, Error> {
    if key.len() != bound.len() || key.is_empty() {
        return Err(Error::BadKey);
    }
    let mut text = String::new();
    for (index, (column, value)) in key.iter().zip(bound).enumerate().rev() {
        let (name, value) = (quoted(&column.name), column.kind.literal(value)?);
        text = match index + 1 == key.len() {
            true => format!("{name}{last}{value}"),
            false => format!("{name}{strict}={value} AND ({name}{strict}{value} OR ({text}))"),
        };
    }
    Ok(format!("({text})"))
}

/// A key for people: strings readable, cut short.
pub fn shown(key: &Key, columns: &[KeyColumn]) -> String {
    let one = |(value, column): (&String, &KeyColumn)| match column.kind {
        KeyKind::Number => value.clone(),
        KeyKind::Word => format!("'{value}'"),
        KeyKind::Binary => format!("X'{}'", cut(value)),
        KeyKind::Text(_) => match unhex(value).map(String::from_utf8) {
            Some(Ok(text)) if !text.contains(char::is_control) => format!("'{}'", cut(&text)),
            _ => format!("X'{}'", cut(value)),
        },
    };
    let values: Vec<String> = key.iter().zip(columns).map(one).collect();
    match values.as_slice() {
        [one] => one.clone(),
        many => format!("({})", many.join(", ")),
    }
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// A range for people.
pub struct Shown<'a>(pub &'a Range, pub &'a [KeyColumn]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(range, columns) = self;
        if columns.is_empty() {
            return f.write_str("whole table");
        }
        match (&range.after, &range.through) {
            (None, None) => f.write_str("all keys"),
            (Some(after), None) => write!(f, "keys after {}", shown(after, columns)),
            (None, Some(through)) => write!(f, "keys up to {}", shown(through, columns)),
            (Some(after), Some(through)) => {
                write!(f, "keys after {} up to {}", shown(after, columns), shown(through, columns))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(kinds: &[KeyKind]) -> Vec<KeyColumn> {
        let named = |(index, kind): (usize, &KeyKind)| KeyColumn {
            name: format!("k{index}"),
            kind: kind.clone(),
        };
        kinds.iter().enumerate().map(named).collect()
    }

    #[test]
    fn a_range_becomes_sql_that_an_index_serves() {
        let one = columns(&[KeyKind::Number]);
        let range = Range { after: Some(vec!["-5".into()]), through: Some(vec!["9".into()]) };
        assert_eq!(condition(&one, &range).unwrap(), " WHERE (`k0`>-5) AND (`k0`<=9)");
        assert_eq!(condition(&one, &Range::default()).unwrap(), "");
        let two = columns(&[KeyKind::Number, KeyKind::Text("latin1".into())]);
        let range = Range { after: Some(vec!["5".into(), "61".into()]), through: None };
        let expected = " WHERE (`k0`>=5 AND (`k0`>5 OR (`k1`>_latin1 X'61')))";
        assert_eq!(condition(&two, &range).unwrap(), expected);
        let three = columns(&[KeyKind::Number, KeyKind::Number, KeyKind::Number]);
        let range = Range { after: None, through: Some(vec!["1".into(), "2".into(), "3".into()]) };
        let expected = " WHERE (`k0`<=1 AND (`k0`<1 OR (`k1`<=2 AND (`k1`<2 OR (`k2`<=3)))))";
        assert_eq!(condition(&three, &range).unwrap(), expected);
    }

    #[test]
    fn what_is_no_value_never_becomes_sql() {
        let bad = [
            (KeyKind::Number, "1 OR 1"),
            (KeyKind::Number, ""),
            (KeyKind::Word, "2020-01-01' OR '1"),
            (KeyKind::Text("latin1".into()), "6g"),
            (KeyKind::Text("latin1 X'61' OR 1".into()), "61"),
            (KeyKind::Binary, "00'"),
        ];
        for (kind, value) in bad {
            assert!(matches!(kind.literal(value), Err(Error::BadKey)), "{kind:?} {value}");
        }
        let short = Range { after: Some(vec![]), through: None };
        assert!(condition(&columns(&[KeyKind::Number]), &short).is_err());
    }

    #[test]
    fn keys_are_shown_readable_and_short() {
        let two = columns(&[KeyKind::Number, KeyKind::Text("utf8mb4".into())]);
        assert_eq!(shown(&vec!["7".into(), "C3BC".into()], &two), "(7, 'ü')");
        let long = vec!["41".repeat(100)];
        assert_eq!(shown(&long, &two[1..]).chars().count(), 43);
        assert_eq!(shown(&vec!["00FF".into()], &two[1..]), "X'00FF'");
    }
}
