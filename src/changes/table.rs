//! What a table map says of its columns, ready for reading values.

use super::Error;
use super::charset::Charset;
use crate::binlog::reader::Reader;
use crate::binlog::{Checksum, ColumnType, FormatDescription, TableMap, TableMetadata};

/// What a format description says about reading the events behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Of the events.
    pub checksum: Checksum,
    /// MariaDB counts GEOMETRY among the columns that have a character set.
    pub mariadb: bool,
}

impl Dialect {
    /// From the raw event.
    ///
    /// # Errors
    /// [`Error::Binlog`].
    pub fn of(event: &[u8]) -> Result<Dialect, Error> {
        let format = FormatDescription::decode(event)?;
        let mariadb = format.server_version.contains("MariaDB");
        Ok(Dialect { checksum: format.checksum, mariadb })
    }
}

/// How much the server wrote about its tables: its `binlog_row_metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// FULL: names, keys, words of ENUM and SET.
    Full,
    /// MINIMAL: signs and character sets; columns are called `@1`, `@2`, …
    Minimal,
    /// NO_LOG, MariaDB's default: not even those. Whole numbers are read as signed.
    Absent,
}

/// A table at the moment of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Database.
    pub database: String,
    /// Name.
    pub name: String,
    /// In order.
    pub columns: Vec<Column>,
    /// The primary key, as indices of columns; empty where there is none or it is not told.
    pub key: Vec<usize>,
    /// How much is known.
    pub detail: Detail,
    /// As in the binlog.
    pub(super) map: TableMap,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, or `@` and its number from 1.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Its numbers are UNSIGNED.
    pub unsigned: bool,
    /// Of texts, ENUM and SET, where told.
    pub(super) charset: Option<Charset>,
    /// Of ENUM and SET, where told and convertible.
    pub(super) words: Vec<String>,
}

const ENUM: u8 = 247;
const SET: u8 = 248;
const GEOMETRY: u8 = 255;
/// Kinds of optional metadata that hold lists.
const DEFAULT_CHARSET: u8 = 2;
const COLUMN_CHARSET: u8 = 3;
const SET_WORDS: u8 = 5;
const ENUM_WORDS: u8 = 6;
const ENUM_SET_DEFAULT_CHARSET: u8 = 10;
const ENUM_SET_COLUMN_CHARSET: u8 = 11;

impl Table {
    /// From a table map in a binlog of that dialect.
    ///
    /// # Errors
    /// [`Error::Binlog`]: its metadata cannot be read, or speaks of other columns.
    pub fn new(map: TableMap, dialect: Dialect) -> Result<Table, Error> {
        let metadata = map.metadata()?;
        let mut columns: Vec<Column> = map
            .columns
            .iter()
            .enumerate()
            .map(|(index, &kind)| Column {
                name: match metadata.names.get(index) {
                    Some(name) => String::from_utf8_lossy(name).into_owned(),
                    None => format!("@{}", index + 1),
                },
                kind,
                unsigned: false,
                charset: None,
                words: Vec::new(),
            })
            .collect();
        signs(&mut columns, &metadata);
        let is_text = |code| match code {
            GEOMETRY => dialect.mariadb,
            code => matches!(code, 15 | 140 | 141 | 249..=254),
        };
        charsets(&mut columns, &metadata, (DEFAULT_CHARSET, COLUMN_CHARSET), is_text)?;
        let kinds = (ENUM_SET_DEFAULT_CHARSET, ENUM_SET_COLUMN_CHARSET);
        charsets(&mut columns, &metadata, kinds, |code| matches!(code, ENUM | SET))?;
        words_of(&mut columns, &metadata, SET, SET_WORDS)?;
        words_of(&mut columns, &metadata, ENUM, ENUM_WORDS)?;
        let key = metadata.primary_key.iter().filter_map(|&(index, _)| usize::try_from(index).ok());
        let key = key.filter(|&index| index < columns.len()).collect();
        let detail = match (metadata.names.len() == columns.len(), map.optional.is_empty()) {
            (true, _) => Detail::Full,
            (false, false) => Detail::Minimal,
            (false, true) => Detail::Absent,
        };
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (database, name) = (text(&map.database), text(&map.table));
        Ok(Table { database, name, columns, key, detail, map })
    }

    /// `database.table`, for messages.
    pub fn display(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }
}

/// One bit for each column of a number, highest first.
fn signs(columns: &mut [Column], metadata: &TableMetadata<'_>) {
    let Some(bits) = metadata.unsigned else { return };
    let is_number = |column: &&mut Column| matches!(column.kind.code, 1..=5 | 8 | 9 | 246);
    for (index, column) in columns.iter_mut().filter(is_number).enumerate() {
        column.unsigned = bits.get(index / 8).is_some_and(|byte| byte << (index % 8) & 0x80 != 0);
    }
}

fn field<'a>(metadata: &TableMetadata<'a>, kind: u8) -> Option<Reader<'a>> {
    let found = metadata.others.iter().find(|(found, _)| *found == kind);
    found.map(|(_, bytes)| Reader::new(bytes, "optional metadata of TABLE_MAP"))
}

/// Either one collation for all such columns, with exceptions by their number among them, or one each.
fn charsets(
    columns: &mut [Column],
    metadata: &TableMetadata<'_>,
    (default, each): (u8, u8),
    applies: impl Fn(u8) -> bool,
) -> Result<(), Error> {
    let mut columns: Vec<&mut Column> =
        columns.iter_mut().filter(|column| applies(column.kind.code)).collect();
    if let Some(mut reader) = field(metadata, default) {
        let usual = Charset::of_collation(reader.lenenc()?);
        columns.iter_mut().for_each(|column| column.charset = usual);
        while !reader.is_empty() {
            let (index, id) = (reader.lenenc()?, reader.lenenc()?);
            let column = usize::try_from(index).ok().and_then(|index| columns.get_mut(index));
            column.ok_or(reader.malformed())?.charset = Charset::of_collation(id);
        }
    } else if let Some(mut reader) = field(metadata, each) {
        for column in columns {
            column.charset = Charset::of_collation(reader.lenenc()?);
        }
        if !reader.is_empty() {
            return Err(reader.malformed().into());
        }
    }
    Ok(())
}

fn words_of(
    columns: &mut [Column],
    metadata: &TableMetadata<'_>,
    code: u8,
    kind: u8,
) -> Result<(), Error> {
    let Some(mut reader) = field(metadata, kind) else { return Ok(()) };
    for column in columns.iter_mut().filter(|column| column.kind.code == code) {
        let mut words = Vec::new();
        for _ in 0..reader.lenenc()? {
            let len = reader.lenenc()?;
            let word = reader.take_u64(len)?;
            words.push(column.charset.and_then(|charset| charset.text(word)));
        }
        // All or none: a number says as much as a word.
        column.words = words.into_iter().collect::<Option<_>>().unwrap_or_default();
    }
    Ok(())
}
