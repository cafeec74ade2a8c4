//! From a range whose digests differ to the first rows that do. [pure]

use std::collections::BTreeMap;

use super::key::{Key, Range};
use super::message::{Chunk, RowPrint};

/// So few rows are compared one by one.
const FEW: u64 = 100;

/// Each step halves a range: more are never needed, unless a key comes so often that it cannot.
const STEPS: usize = 64;

/// A table at one server, as it is read.
pub trait Reader {
    /// Why it cannot be read.
    type Error;

    /// The digest of a range, or of its first rows.
    ///
    /// # Errors
    /// It cannot be read.
    fn chunk(&mut self, range: &Range, rows: Option<u64>) -> Result<Chunk, Self::Error>;

    /// The rows of a range.
    ///
    /// # Errors
    /// It cannot be read.
    fn rows(&mut self, range: &Range) -> Result<Vec<RowPrint>, Self::Error>;
}

/// The first difference of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub range: Range,
    /// Rows there at the source.
    pub source_rows: u64,
    /// Rows there at the replica.
    pub replica_rows: u64,
    /// The rows that differ, if they were few enough to be looked at.
    pub rows: Vec<(Key, RowDifference)>,
}

/// How a row differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowDifference {
    /// The replica does not have it.
    Missing,
    /// Only the replica has it.
    Extra,
    /// Other values in these columns, by their place in the catalog.
    Changed {
        /// The columns.
        columns: Vec<usize>,
    },
}

/// Narrows `range`, in which source and replica differ, down to the first rows that do. A table
/// without a key has one range only.
///
/// # Errors
/// One of them cannot be read.
pub fn locate<R: Reader>(
    source: &mut R,
    replica: &mut R,
    mut range: Range,
    keyed: bool,
) -> Result<Difference, R::Error> {
    let mut here = source.chunk(&range, None)?;
    let mut there = replica.chunk(&range, None)?;
    for _ in 0..STEPS {
        let most = here.rows.max(there.rows);
        if !keyed {
            break;
        }
        if most <= FEW {
            let rows = differing(source.rows(&range)?, replica.rows(&range)?);
            let (source_rows, replica_rows) = (here.rows, there.rows);
            return Ok(Difference { range, source_rows, replica_rows, rows });
        }
        let longer: &mut R = if here.rows >= there.rows { source } else { replica };
        let Some(middle) = longer.chunk(&range, Some(most / 2))?.through else { break };
        if range.through.as_ref() == Some(&middle) {
            // One key, again and again: it cannot be cut.
            break;
        }
        let first = Range { after: range.after.clone(), through: Some(middle.clone()) };
        let halves = (source.chunk(&first, None)?, replica.chunk(&first, None)?);
        if halves.0 == halves.1 {
            range.after = Some(middle);
            (here, there) = (source.chunk(&range, None)?, replica.chunk(&range, None)?);
        } else {
            range = first;
            (here, there) = halves;
        }
    }
    let (source_rows, replica_rows) = (here.rows, there.rows);
    Ok(Difference { range, source_rows, replica_rows, rows: Vec::new() })
}

fn differing(source: Vec<RowPrint>, replica: Vec<RowPrint>) -> Vec<(Key, RowDifference)> {
    // A key comes twice where former rows are kept.
    let mut there: BTreeMap<Key, Vec<Vec<String>>> = BTreeMap::new();
    for row in replica {
        there.entry(row.key).or_default().push(row.columns);
    }
    let mut found = Vec::new();
    for row in source {
        let Some(others) = there.get_mut(&row.key).filter(|others| !others.is_empty()) else {
            found.push((row.key, RowDifference::Missing));
            continue;
        };
        let same = others.iter().position(|columns| *columns == row.columns);
        let other = others.remove(same.unwrap_or(0));
        if same.is_none() {
            let pairs = row.columns.iter().zip(&other).enumerate();
            let columns = pairs.filter(|(_, (one, other))| one != other).map(|(i, _)| i).collect();
            found.push((row.key, RowDifference::Changed { columns }));
        }
    }
    let extra =
        there.into_iter().flat_map(|(key, rows)| rows.into_iter().map(move |_| key.clone()));
    found.extend(extra.map(|key| (key, RowDifference::Extra)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows by number, with one value each; counts how often it was asked.
    struct Fake(BTreeMap<u32, u8>, usize);

    impl Fake {
        fn within(&self, range: &Range) -> Vec<(u32, u8)> {
            let number = |key: &Key| key[0].parse::<u32>().unwrap();
            let after = range.after.as_ref().map(number);
            let through = range.through.as_ref().map(number);
            let kept = |key: u32| after.is_none_or(|a| key > a) && through.is_none_or(|t| key <= t);
            self.0.iter().map(|(k, v)| (*k, *v)).filter(|(k, _)| kept(*k)).collect()
        }
    }

    impl Reader for Fake {
        type Error = std::convert::Infallible;

        fn chunk(&mut self, range: &Range, rows: Option<u64>) -> Result<Chunk, Self::Error> {
            self.1 += 1;
            let mut found = self.within(range);
            let cut = rows.map(|rows| usize::try_from(rows).unwrap());
            let through = cut.and_then(|cut| found.get(cut.checked_sub(1)?).copied());
            found.truncate(cut.unwrap_or(usize::MAX));
            let through = through.map(|(key, _)| vec![key.to_string()]);
            Ok(Chunk { rows: found.len() as u64, digest: format!("{found:?}"), through })
        }

        fn rows(&mut self, range: &Range) -> Result<Vec<RowPrint>, Self::Error> {
            let print = |(key, value): (u32, u8)| RowPrint {
                key: vec![key.to_string()],
                columns: vec![key.to_string(), value.to_string()],
            };
            Ok(self.within(range).into_iter().map(print).collect())
        }
    }

    fn rows(count: u32) -> BTreeMap<u32, u8> {
        (0..count).map(|key| (key * 3, 1)).collect()
    }

    #[test]
    fn one_changed_row_among_many_is_found_in_few_steps() {
        let (source, mut replica) = (rows(100_000), rows(100_000));
        replica.insert(3 * 77_777, 2);
        let (mut source, mut replica) = (Fake(source, 0), Fake(replica, 0));
        let found = locate(&mut source, &mut replica, Range::default(), true).unwrap();
        let expected = (vec!["233331".to_owned()], RowDifference::Changed { columns: vec![1] });
        assert_eq!(found.rows, [expected]);
        assert!(
            found.source_rows <= FEW && source.1 < 40,
            "{} rows, {}",
            found.source_rows,
            source.1
        );
    }

    proptest! {
        #[test]
        fn the_first_difference_is_among_what_is_found(
            count in 1u32..2000, edits in proptest::collection::vec((0u32..6000, 0u8..3), 1..20),
        ) {
            let (source, mut replica) = (rows(count), rows(count));
            for (key, edit) in edits {
                match edit { 0 => { replica.remove(&key); } value => { replica.insert(key, value); } }
            }
            prop_assume!(source != replica);
            let every = source.keys().chain(replica.keys());
            let first = every.filter(|key| source.get(*key) != replica.get(*key)).min().copied();
            let (mut source, mut replica) = (Fake(source, 0), Fake(replica, 0));
            let found = locate(&mut source, &mut replica, Range::default(), true).unwrap();
            let first = vec![first.unwrap().to_string()];
            prop_assert!(found.rows.iter().any(|(key, _)| *key == first), "{first:?} {found:?}");
        }
    }

    #[test]
    fn a_table_without_a_key_is_one_range() {
        let (mut source, mut replica) = (Fake(rows(3000), 0), Fake(rows(2999), 0));
        let found = locate(&mut source, &mut replica, Range::default(), false).unwrap();
        assert_eq!((found.source_rows, found.replica_rows), (3000, 2999));
        assert!(found.rows.is_empty() && found.range == Range::default());
    }
}
