//! The differences of PARTIAL_UPDATE_ROWS: applied to the document before, they give the one after.

use super::{Json, document};
use crate::binlog::reader::Reader;

/// One step of a path.
enum Leg {
    Key(String),
    Index(usize),
}

/// One difference.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Difference {
    /// What is done there.
    pub op: Operation,
    /// Where: `$.key[7]`.
    pub path: String,
    /// The new value as JSON text; none where one is removed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub value: Option<Json>,
}

/// What a difference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Another value instead of the one there.
    Replace,
    /// A new member, or an element in front of the one there.
    Insert,
    /// The one there goes.
    Remove,
}

fn as_text<S: serde::Serializer>(value: &Option<Json>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

/// Differences by themselves, in their order. `None`: the bytes are none.
pub fn differences(bytes: &[u8]) -> Option<Vec<Difference>> {
    let mut reader = Reader::new(bytes, "JSON differences");
    let mut all = Vec::new();
    while !reader.is_empty() {
        let op = match reader.u8().ok()? {
            0 => Operation::Replace,
            1 => Operation::Insert,
            2 => Operation::Remove,
            _ => return None,
        };
        let path = std::str::from_utf8(field(&mut reader)?).ok()?.to_owned();
        let value = match op {
            Operation::Remove => None,
            _ => Some(document(field(&mut reader)?)?),
        };
        all.push(Difference { op, path, value });
    }
    Some(all)
}

/// The document after. `None`: these are no differences of that document.
pub fn patch(mut json: Json, bytes: &[u8]) -> Option<Json> {
    for Difference { op, path, value } in differences(bytes)? {
        let mut legs = legs(&path)?;
        match (legs.pop(), value) {
            (None, Some(value)) if op == Operation::Replace => json = value,
            (None, _) => return None,
            (Some(last), Some(value)) => set(seek(&mut json, &legs)?, last, value, op)?,
            (Some(last), None) => remove(seek(&mut json, &legs)?, &last)?,
        }
    }
    Some(json)
}

fn field<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.lenenc().ok()?;
    reader.take_u64(len).ok()
}

fn seek<'a>(json: &'a mut Json, legs: &[Leg]) -> Option<&'a mut Json> {
    legs.iter().try_fold(json, |json, leg| match (json, leg) {
        (Json::Object(members), Leg::Key(key)) => {
            members.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
        }
        (Json::Array(values), Leg::Index(index)) => values.get_mut(*index),
        _ => None,
    })
}

fn set(parent: &mut Json, last: Leg, value: Json, op: Operation) -> Option<()> {
    match (parent, last) {
        (Json::Object(members), Leg::Key(key)) => {
            let order = |name: &str| (name.len(), name.as_bytes().to_vec());
            let wanted = order(&key);
            match members.binary_search_by(|(name, _)| order(name).cmp(&wanted)) {
                Ok(at) => members.get_mut(at)?.1 = value,
                Err(at) if op == Operation::Insert => members.insert(at, (key, value)),
                Err(_) => return None,
            }
        }
        (Json::Array(values), Leg::Index(index)) if op == Operation::Replace => {
            *values.get_mut(index)? = value;
        }
        (Json::Array(values), Leg::Index(index)) => values.insert(index.min(values.len()), value),
        _ => return None,
    }
    Some(())
}

fn remove(parent: &mut Json, last: &Leg) -> Option<()> {
    match (parent, last) {
        (Json::Object(members), Leg::Key(key)) => {
            let at = members.iter().position(|(name, _)| name == key)?;
            members.remove(at);
        }
        (Json::Array(values), Leg::Index(index)) if *index < values.len() => {
            values.remove(*index);
        }
        _ => return None,
    }
    Some(())
}

/// `$.key."another key"[7]`, as the server writes it.
fn legs(path: &str) -> Option<Vec<Leg>> {
    // Old servers leave the `$` away.
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut legs = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, behind) = inner.split_once(']')?;
            legs.push(Leg::Index(index.parse().ok()?));
            rest = behind;
        } else {
            let inner = rest.strip_prefix('.')?;
            let end = match inner.starts_with('"') {
                true => quoted_len(inner)?,
                false => inner.find(['.', '[']).unwrap_or(inner.len()),
            };
            let (key, behind) = inner.split_at_checked(end)?;
            let key = match key.starts_with('"') {
                true => serde_json::from_str(key).ok()?,
                false => key.to_owned(),
            };
            legs.push(Leg::Key(key));
            rest = behind;
        }
    }
    Some(legs)
}

/// Bytes of the quoted text that `text` begins with, quotes included.
fn quoted_len(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLACE: u8 = 0;
    const INSERT: u8 = 1;
    const REMOVE: u8 = 2;

    fn lenenc(bytes: &[u8]) -> Vec<u8> {
        [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn differences_are_applied() {
        let number = |digits: &str| Json::Plain(digits.to_owned());
        let before = Json::Object(vec![
            ("b".to_owned(), Json::Array(vec![number("1"), number("2")])),
            ("a.b".to_owned(), number("3")),
        ]);
        let seven = [5, 7, 0];
        let differences = [
            [&[REPLACE][..], &lenenc(b"$.b[1]"), &lenenc(&seven)].concat(),
            [&[INSERT][..], &lenenc(b"$.a"), &lenenc(&seven)].concat(),
            [&[INSERT][..], &lenenc(b"$.b[0]"), &lenenc(&seven)].concat(),
            [&[REMOVE][..], &lenenc(b"$.\"a.b\"")].concat(),
        ]
        .concat();
        let shown = serde_json::to_string(&super::differences(&differences).unwrap()[..2]).unwrap();
        let replaced = r#"{"op":"replace","path":"$.b[1]","value":"7"}"#;
        let inserted = r#"{"op":"insert","path":"$.a","value":"7"}"#;
        assert_eq!(shown, format!("[{replaced},{inserted}]"));
        let after = patch(before.clone(), &differences).unwrap();
        assert_eq!(after.to_string(), r#"{"a": 7, "b": [7, 1, 7]}"#);
        for wrong in [b"$.c".as_slice(), b"$.b[9]", b"$[0]", b"b", b"$.\"a", b"$[x]"] {
            let difference = [&[REMOVE][..], &lenenc(wrong)].concat();
            assert_eq!(patch(before.clone(), &difference), None);
        }
        assert_eq!(patch(before, &[9, 0]), None);
    }
}
