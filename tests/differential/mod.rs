//! The same binlog read by three readers: ours, mysql_common's and mysql_cdc's. What two of them claim
//! to know has to be the same: headers, table maps, rows, and the values whose bytes are compared.
//!
//! The others' known mistakes are theirs, and left out cell by cell: mysql_common reads a negative
//! MEDIUMINT as a large one and no compressed column; mysql_cdc refuses text that is not UTF-8 and
//! passes over types 38-42 and 165-171. Only whole, valid events go to them, and mysql_cdc runs in a
//! child process: a bad length makes it abort.

mod mysql_cdc;
mod mysql_common;
mod ours;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::support::{Context, Result, bail, ensure};

/// What a reader says of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    kind: u8,
    len: u32,
    next: u32,
    /// Of a table map: database, table, columns.
    table: Option<(String, String, usize)>,
    /// Of a rows event: the images in their order; `None`: this reader cannot read it.
    images: Option<Vec<Vec<Cell>>>,
}

/// A value, as far as the readers can agree on how to write it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Cell {
    /// Not in this image (`binlog_row_image` other than FULL), or not known to be.
    Absent,
    Null,
    /// The unsigned number of the column's bytes.
    Integer(u64),
    /// Text, binary or a blob, in hexadecimal digits.
    Bytes(String),
    /// Bits of a FLOAT or DOUBLE.
    Float(u64),
    /// Something else, of which only that it is not NULL is compared.
    Other,
}

impl Cell {
    fn bytes(bytes: &[u8]) -> Cell {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("a String takes everything");
        }
        Cell::Bytes(text)
    }
}

/// How much two readers agreed on.
#[derive(Debug, Default)]
pub struct Agreed {
    pub tables: usize,
    pub images: usize,
    pub values: usize,
}

/// Reads a binlog file with all readers.
///
/// # Errors
/// They differ, and where.
pub fn compare(file: &Path) -> Result<[Agreed; 2]> {
    let ours = ours::read(file)?;
    let common = agree(&ours, &mysql_common::read(file)?).context("mysql_common")?;
    let cdc = agree(&ours, &mysql_cdc::read_in_a_child(file)?).context("mysql_cdc")?;
    Ok([common, cdc])
}

fn agree(ours: &[Seen], theirs: &[Seen]) -> Result<Agreed> {
    let mut agreed = Agreed::default();
    ensure!(ours.len() == theirs.len(), "{} events, {} there", ours.len(), theirs.len());
    for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let at = || format!("event {number} (type {}, ends at {})", ours.kind, ours.next);
        let head = |seen: &Seen| (seen.kind, seen.len, seen.next);
        ensure!(head(ours) == head(theirs), "{}: {theirs:?}", at());
        if let (Some(ours), Some(theirs)) = (&ours.table, &theirs.table) {
            ensure!(ours == theirs, "{}: {ours:?} {theirs:?}", at());
            agreed.tables += 1;
        }
        let (Some(ours), Some(theirs)) = (&ours.images, &theirs.images) else { continue };
        ensure!(ours.len() == theirs.len(), "{}: {} images, {}", at(), ours.len(), theirs.len());
        agreed.images += ours.len();
        for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            match (ours, theirs) {
                (Cell::Absent, _) | (_, Cell::Absent) => {}
                (Cell::Null, Cell::Null) => agreed.values += 1,
                (Cell::Null, _) | (_, Cell::Null) => bail!("{}: {ours:?} {theirs:?}", at()),
                (Cell::Other, _) | (_, Cell::Other) => {}
                (ours, theirs) => {
                    ensure!(ours == theirs, "{}: {ours:?} {theirs:?}", at());
                    agreed.values += 1;
                }
            }
        }
    }
    Ok(agreed)
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/binlog").join(name)
}

#[test]
fn the_corpus_is_read_alike() {
    for name in ["mysql-9.7.bin", "mariadb-10.11.bin"] {
        for agreed in compare(&corpus(name)).unwrap_or_else(|error| panic!("{name}: {error:#}")) {
            println!("{name}: {agreed:?}");
            assert!(agreed.tables > 5 && agreed.images > 15 && agreed.values > 30, "{agreed:?}");
        }
    }
}

/// A check that cannot fail would be none.
#[test]
fn a_difference_is_found() {
    let ours = ours::read(&corpus("mysql-9.7.bin")).expect("reads");
    let with_rows = |seen: &&mut Seen| seen.images.as_ref().is_some_and(|all| !all.is_empty());
    let mut other = ours.clone();
    let rows = other.iter_mut().find(with_rows).expect("has rows");
    rows.images.as_mut().expect("has").pop();
    assert!(agree(&ours, &other).is_err(), "a row is missing");
    let mut other = ours.clone();
    let images = other.iter_mut().filter_map(|seen| seen.images.as_mut()).flatten().flatten();
    *images.filter(|cell| matches!(cell, Cell::Integer(_))).last().expect("has") =
        Cell::Integer(77);
    assert!(agree(&ours, &other).is_err(), "a value differs");
}
