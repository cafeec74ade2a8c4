//! Many statements of the source as one statement of the applier. Pure.
//!
//! A server opens and locks tables at a statement's first row event and closes them at its last
//! (STMT_END_F). For statements of one row that is a good part of the work. So statements that follow
//! each other become one: their table maps first, each once, then all their row events, unchanged and
//! in their order, the end flag on the last one alone. Within one server transaction nobody can tell.
//!
//! Joined are only statements whose row events have the same flags, and no peculiar ones.
//! A table that comes under another number, or another table under a known one, begins a new one.

use std::ops::Range;

use bytes::Bytes;

use super::packet;

/// A statement of the source: its table maps, then its row events, raw.
pub type Group = Vec<Bytes>;

/// Tables of one joined statement: all are open at once, and servers keep a few hundred.
const TABLES_MAX: usize = 64;
/// Where the table's number stands, in table maps and row events alike.
const TABLE_ID: Range<usize> = 19..25;
/// Where a table map says database and table.
const NAMES_AT: usize = 27;
const CRC_LEN: usize = 4;
const STMT_END: u16 = 0x1;
/// Flags of a row event that many statements may share: COMPLETE_ROWS_F ("the row has all columns")
/// and MySQL 9's USE_SQL_FOREIGN_KEY_F. Others (no foreign key checks, relaxed unique checks, what
/// later versions add) are of a statement of its own.
const SHARED: u16 = 0x8 | 0x10;

/// A statement in the making: plain groups, none of which contradicts another.
#[derive(Debug, Default)]
struct Joined<'a> {
    groups: Vec<&'a Group>,
    maps: Vec<&'a Bytes>,
    bytes: usize,
    flags: Option<u16>,
}

/// Joins `groups` to as few statements as may be, each of `most` bytes at most. A group that is
/// larger by itself, or that cannot be joined, stays as it is.
pub fn join<'a>(
    groups: impl Iterator<Item = &'a Group>,
    checksum: bool,
    most: usize,
) -> Vec<Group> {
    let mut done = Vec::new();
    let mut open = Joined::default();
    for group in groups {
        let Some(flags) = plain(group) else {
            done.extend(std::mem::take(&mut open).finish(checksum));
            done.push(group.clone());
            continue;
        };
        if open.flags != Some(flags) || !open.takes(group, checksum, most) {
            done.extend(std::mem::take(&mut open).finish(checksum));
        }
        open.flags = Some(flags);
        open.add(group);
    }
    done.extend(open.finish(checksum));
    done
}

impl<'a> Joined<'a> {
    fn takes(&self, group: &Group, checksum: bool, most: usize) -> bool {
        let size: usize = group.iter().map(Bytes::len).sum();
        let room = self.bytes + size <= most && self.maps.len() + group.len() <= TABLES_MAX;
        let agrees = |map: &Bytes| self.maps.iter().all(|known| agree(known, map, checksum));
        room && maps_of(group).all(agrees)
    }

    fn add(&mut self, group: &'a Group) {
        for map in maps_of(group) {
            if !self.maps.iter().any(|known| table_id(known) == table_id(map)) {
                self.bytes += map.len();
                self.maps.push(map);
            }
        }
        self.bytes += rows_of(group).map(Bytes::len).sum::<usize>();
        self.groups.push(group);
    }

    fn finish(self, checksum: bool) -> Option<Group> {
        let (&last, before) = self.groups.split_last()?;
        if before.is_empty() {
            return Some(last.clone());
        }
        let mut joined: Group = self.maps.into_iter().cloned().collect();
        for event in before.iter().flat_map(|group| rows_of(group)) {
            joined.push(match packet::ends_statement(event) {
                true => packet::with_end(event, false, checksum),
                false => event.clone(),
            });
        }
        joined.extend(rows_of(last).cloned());
        Some(joined)
    }
}

/// The flags of a group that is as nearly all are: maps, then rows of these tables, all with the same
/// flags, none of them peculiar, the last row event ending the statement. `None` of any other.
fn plain(group: &Group) -> Option<u16> {
    let maps = group.iter().take_while(|event| packet::is_map(event)).count();
    let (maps, rows) = group.split_at(maps);
    let flags_of = |row: &Bytes| packet::row_flags(row).map(|flags| flags & !STMT_END);
    let flags = flags_of(rows.first()?)?;
    let known = |row: &Bytes| maps.iter().any(|map| table_id(map) == table_id(row));
    let alike = |row: &Bytes| !packet::is_map(row) && known(row) && flags_of(row) == Some(flags);
    let ends = rows.last().is_some_and(|row| packet::ends_statement(row));
    (ends && flags & !SHARED == 0 && rows.iter().all(alike)).then_some(flags)
}

/// Whether two table maps may stand in one statement: the same of the same table, or of two tables.
fn agree(known: &Bytes, new: &Bytes, checksum: bool) -> bool {
    match table_id(known) == table_id(new) {
        true => body(known, checksum) == body(new, checksum),
        false => names(known) != names(new),
    }
}

/// A table map without what differs each time: time and place in its header, checksum.
fn body(map: &[u8], checksum: bool) -> Option<&[u8]> {
    map.get(TABLE_ID.start..map.len().saturating_sub(if checksum { CRC_LEN } else { 0 }))
}

fn maps_of(group: &Group) -> impl Iterator<Item = &Bytes> {
    group.iter().filter(|event| packet::is_map(event))
}

fn rows_of(group: &Group) -> impl Iterator<Item = &Bytes> {
    group.iter().filter(|event| !packet::is_map(event))
}

fn table_id(event: &[u8]) -> Option<&[u8]> {
    event.get(TABLE_ID)
}

/// Database and table of a table map, with their lengths.
fn names(map: &[u8]) -> Option<&[u8]> {
    let rest = map.get(NAMES_AT..)?;
    let database = usize::from(*rest.first()?) + 2;
    let table = usize::from(*rest.get(database)?) + 2;
    rest.get(..database + table)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::apply::packet::samples::{map, row};

    const MOST: usize = 1 << 20;

    /// What a server does with statements: each row event on its table, by the maps in force.
    fn effect(groups: &[Group]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut done = Vec::new();
        for group in groups {
            let named = |row: &Bytes| {
                let of = maps_of(group).filter(|map| table_id(map) == table_id(row));
                let of: Vec<&[u8]> = of.map(|map| names(map).unwrap()).collect();
                assert_eq!(of.len(), 1, "each table once");
                of[0].to_vec()
            };
            let rows: Vec<&Bytes> = rows_of(group).collect();
            let (last, before) = rows.split_last().unwrap();
            assert!(packet::ends_statement(last), "the last one ends it");
            for row in &rows {
                let end = row.len() - CRC_LEN;
                let crc = crc32fast::hash(&row[..end]).to_le_bytes();
                assert_eq!(&row[end..], &crc, "sound");
                done.push((named(row), row[27..end].to_vec()));
            }
            assert!(before.iter().all(|row| !packet::ends_statement(row)), "none before it does");
        }
        done
    }

    #[test]
    fn what_follows_becomes_one_statement_with_each_map_once() {
        let groups = [
            vec![map(7, "a", 0), row(7, 1, b"x")],
            vec![map(7, "a", 0), map(8, "b", 0), row(8, 0, b"y"), row(7, 1, b"z")],
        ];
        let joined = join(groups.iter(), true, MOST);
        assert_eq!(joined.len(), 1);
        assert_eq!(maps_of(&joined[0]).count(), 2);
        assert_eq!(effect(&joined), effect(&groups));
    }

    #[test]
    fn what_may_mean_something_stays_alone() {
        let plain = vec![map(7, "a", 0), row(7, 1, b"x")];
        for (other, why) in [
            (vec![map(7, "a", 0), row(7, 1 | 2, b"x")], "no foreign key checks"),
            (vec![map(7, "a", 0), row(7, 1 | 4, b"x")], "relaxed unique checks"),
            (vec![map(7, "a", 0), row(7, 1 | 128, b"x")], "a flag that is not known"),
            (vec![map(7, "a", 0), row(7, 1 | 16, b"x")], "another who checks foreign keys"),
            (vec![map(7, "a", 0), row(7, 2 | 16, b"x"), row(7, 1 | 16, b"y")], "MySQL's cascade"),
            (vec![map(7, "a", 1), row(7, 1, b"x")], "another definition"),
            (vec![map(9, "a", 0), row(9, 1, b"x")], "the same table, opened anew"),
            (vec![row(0xff_ffff, 1, b"")], "MySQL's end of a statement that changed nothing"),
        ] {
            let groups = [plain.clone(), other.clone(), plain.clone()];
            assert_eq!(join(groups.iter(), true, MOST), groups, "{why}");
        }
    }

    #[test]
    fn what_does_not_fit_begins_another() {
        let group = vec![map(7, "a", 0), row(7, 1, b"x")];
        let size: usize = group.iter().map(Bytes::len).sum();
        let groups = vec![group; 3];
        assert_eq!(join(groups.iter(), true, size).len(), 3);
        assert_eq!(join(groups.iter(), true, size - 1).len(), 3);
        assert_eq!(join(groups.iter(), true, size * 2).len(), 2);
    }

    #[test]
    fn broken_events_are_left_to_the_server() {
        let groups = [vec![Bytes::from_static(b"short")], vec![]];
        assert_eq!(join(groups.iter(), true, MOST), groups);
    }

    fn groups() -> impl Strategy<Value = Vec<Group>> {
        // Table, and whether it has been opened anew since.
        let row = (0_u8..5, 0_u8..2, prop::collection::vec(any::<u8>(), 0..20));
        let group = prop::collection::vec(row, 1..4);
        let groups = prop::collection::vec(group, 0..20);
        groups.prop_map(|groups| groups.into_iter().map(|rows| group_of(&rows)).collect())
    }

    fn group_of(rows: &[(u8, u8, Vec<u8>)]) -> Group {
        let again = rows[0].1;
        let tables: std::collections::BTreeSet<u8> = rows.iter().map(|row| row.0).collect();
        let id = |table: u8| u64::from(table) + 10 * u64::from(again);
        let maps = tables.iter().map(|&table| map(id(table), &format!("t{table}"), 0));
        let count = rows.len();
        let rows = rows.iter().enumerate();
        let rows =
            rows.map(|(at, (table, _, data))| row(id(*table), u8::from(at + 1 == count), data));
        maps.chain(rows).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_lost_reordered_or_sent_to_another_table(
            groups in groups(),
            most in 60_usize..2_000,
        ) {
            let joined = join(groups.iter(), true, most);
            prop_assert_eq!(effect(&joined), effect(&groups));
            for group in &joined {
                let size: usize = group.iter().map(Bytes::len).sum();
                prop_assert!(size <= most || groups.contains(group));
            }
        }
    }
}
