//! What exists here and not there, or is defined otherwise. [pure]

use std::collections::BTreeMap;

use serde::Serialize;

use super::message::{Catalog, ObjectKind};

/// An object that is not the same at source and replica.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ObjectDifference {
    /// What it is.
    pub kind: ObjectKind,
    /// Its full name.
    pub name: String,
    /// How it differs.
    #[serde(flatten)]
    pub presence: Presence,
}

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Presence {
    /// The replica does not have it.
    Missing,
    /// Only the replica has it.
    Extra,
    /// Both have it, otherwise defined: the first line that differs.
    Defined {
        /// At the source.
        source: String,
        /// At the replica.
        replica: String,
    },
}

/// Every difference of definition, in the order of kinds and names.
pub fn compare(source: &Catalog, replica: &Catalog) -> Vec<ObjectDifference> {
    let (source, replica) = (named(source), named(replica));
    let mut found = Vec::new();
    let all = source.keys().chain(replica.keys().filter(|name| !source.contains_key(*name)));
    for &(kind, name) in all {
        let presence = match (source.get(&(kind, name)), replica.get(&(kind, name))) {
            (Some(here), Some(there)) if here == there => continue,
            (Some(here), Some(there)) => first_line(here, there),
            (Some(_), None) => Presence::Missing,
            (None, _) => Presence::Extra,
        };
        found.push(ObjectDifference { kind, name: name.to_owned(), presence });
    }
    found.sort();
    found
}

fn named(catalog: &Catalog) -> BTreeMap<(ObjectKind, &str), &str> {
    let objects = catalog.objects.iter();
    objects.map(|object| ((object.kind, &*object.name), &*object.definition)).collect()
}

fn first_line(source: &str, replica: &str) -> Presence {
    let (mut here, mut there) = (source.lines(), replica.lines());
    loop {
        let (one, other) = (here.next(), there.next());
        if one != other || one.is_none() {
            let shown = |line: Option<&str>| line.unwrap_or("(end)").trim().to_owned();
            return Presence::Defined { source: shown(one), replica: shown(other) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(objects: &[(ObjectKind, &str, &str)]) -> Catalog {
        let one = |&(kind, name, definition): &(ObjectKind, &str, &str)| crate::verify::Object {
            kind,
            name: name.to_owned(),
            definition: definition.to_owned(),
        };
        Catalog { objects: objects.iter().map(one).collect(), tables: Vec::new() }
    }

    #[test]
    fn missing_extra_and_otherwise_defined_are_told_apart() {
        use ObjectKind::{Table, View};
        let source =
            catalog(&[(Table, "a.t", "x\n y\nz"), (Table, "a.u", "u"), (View, "a.v", "v")]);
        let replica =
            catalog(&[(Table, "a.t", "x\n w\nz"), (View, "a.v", "v"), (View, "a.w", "w")]);
        let found = compare(&source, &replica);
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["a.t", "a.u", "a.w"]);
        let lines = Presence::Defined { source: "y".into(), replica: "w".into() };
        assert_eq!(found[0].presence, lines);
        assert_eq!(found[1].presence, Presence::Missing);
        assert_eq!(found[2].presence, Presence::Extra);
        assert_eq!(compare(&source, &source), []);
    }
}
