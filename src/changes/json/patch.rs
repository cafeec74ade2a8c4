//! The differences of PARTIAL_UPDATE_ROWS: applied to the document before, they give the one after.

use super::{Json, document};
use crate::binlog::reader::Reader;

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// One step of a path.
enum Leg {
    Key(String),
    Index(usize),
}

/// The document after. `None`: these are no differences of that document.
pub fn patch(mut json: Json, differences: &[u8]) -> Option<Json> {
    let mut reader = Reader::new(differences, "JSON differences");
    while !reader.is_empty() {
        let operation = reader.u8().ok()?;
        let path = field(&mut reader)?;
        let mut legs = legs(path)?;
        match operation {
            REPLACE | INSERT => {
                let value = document(field(&mut reader)?)?;
                match legs.pop() {
                    None if operation == REPLACE => json = value,
                    None => return None,
                    Some(last) => set(seek(&mut json, &legs)?, last, value, operation)?,
                }
            }
            REMOVE => {
                let last = legs.pop()?;
                remove(seek(&mut json, &legs)?, &last)?;
            }
            _ => return None,
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

fn set(parent: &mut Json, last: Leg, value: Json, operation: u8) -> Option<()> {
    match (parent, last) {
        (Json::Object(members), Leg::Key(key)) => {
            let order = |name: &str| (name.len(), name.as_bytes().to_vec());
            let wanted = order(&key);
            match members.binary_search_by(|(name, _)| order(name).cmp(&wanted)) {
                Ok(at) => members.get_mut(at)?.1 = value,
                Err(at) if operation == INSERT => members.insert(at, (key, value)),
                Err(_) => return None,
            }
        }
        (Json::Array(values), Leg::Index(index)) if operation == REPLACE => {
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
fn legs(path: &[u8]) -> Option<Vec<Leg>> {
    let mut rest = std::str::from_utf8(path).ok()?;
    // Old servers leave the `$` away.
    rest = rest.strip_prefix('$').unwrap_or(rest);
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
        let after = patch(before.clone(), &differences).unwrap();
        assert_eq!(after.to_string(), r#"{"a": 7, "b": [7, 1, 7]}"#);
        for wrong in [b"$.c".as_slice(), b"$.b[9]", b"$[0]", b"b", b"$.\"a", b"$[x]"] {
            let difference = [&[REMOVE][..], &lenenc(wrong)].concat();
            assert_eq!(patch(before.clone(), &difference), None);
        }
        assert_eq!(patch(before, &[9, 0]), None);
    }
}
