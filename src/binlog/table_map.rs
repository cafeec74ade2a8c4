//! TABLE_MAP: which table the rows events behind it speak of.

use super::Error;
use super::reader::Reader;

/// A column: its type and what its length depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnType {
    /// Type code (`MYSQL_TYPE_…`, MariaDB's 140 and 141); ENUM and SET are told apart from CHAR.
    pub code: u8,
    /// Meaning by type: bytes of length, precision and scale, fraction digits, bytes of the value.
    pub meta: u16,
}

/// Table id, names, columns. Names are bytes in utf8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    /// What rows events refer to; 48 bits.
    pub table_id: u64,
    /// Flags.
    pub flags: u16,
    /// Database.
    pub database: Vec<u8>,
    /// Table.
    pub table: Vec<u8>,
    /// Columns in order.
    pub columns: Vec<ColumnType>,
    /// One bit per column: may be NULL.
    pub nullable: Vec<u8>,
    /// Optional metadata as it came; [`TableMap::metadata`] reads it.
    pub optional: Vec<u8>,
}

/// Types of old that are CHAR in the type list and something else in the metadata.
const ENUM: u8 = 247;
const SET: u8 = 248;
const STRING: u8 = 254;
/// `MYSQL_TYPE_TYPED_ARRAY`: of multi-valued indexes; its values are never in rows.
const TYPED_ARRAY: u8 = 20;
pub(super) const JSON: u8 = 245;

impl TableMap {
    /// From the event's body.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`], [`Error::UnknownColumnType`].
    pub fn decode(body: &[u8]) -> Result<TableMap, Error> {
        let mut reader = Reader::new(body, "TABLE_MAP");
        let table_id = reader.uint(6)?;
        let flags = reader.u16()?;
        let database = name(&mut reader)?;
        let table = name(&mut reader)?;
        let count = reader.lenenc()?;
        let types = reader.take_u64(count)?;
        let meta_len = reader.lenenc()?;
        let mut meta = Reader::new(reader.take_u64(meta_len)?, "column metadata of TABLE_MAP");
        let columns =
            types.iter().map(|&code| column(code, &mut meta)).collect::<Result<Vec<_>, _>>()?;
        if !meta.is_empty() {
            return Err(meta.malformed());
        }
        let nullable = reader.take(types.len().div_ceil(8))?.to_vec();
        let optional = reader.rest().to_vec();
        Ok(TableMap { table_id, flags, database, table, columns, nullable, optional })
    }

    /// `true` if the column may be NULL.
    pub fn is_nullable(&self, column: usize) -> bool {
        self.nullable.get(column / 8).is_some_and(|bits| bits >> (column % 8) & 1 == 1)
    }

    /// The optional metadata: `binlog_row_metadata` says how much of it the server writes.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn metadata(&self) -> Result<TableMetadata<'_>, Error> {
        TableMetadata::decode(&self.optional)
    }

    pub(super) fn json_columns(&self) -> usize {
        self.columns.iter().filter(|column| column.code == JSON).count()
    }
}

fn name(reader: &mut Reader<'_>) -> Result<Vec<u8>, Error> {
    let len = reader.u8()?;
    let name = reader.take(usize::from(len))?.to_vec();
    if reader.u8()? != 0 {
        return Err(reader.malformed());
    }
    Ok(name)
}

fn column(code: u8, meta: &mut Reader<'_>) -> Result<ColumnType, Error> {
    let (code, meta) = match code {
        4 | 5 | 17..=19 | 140 | 242 | JSON | 249..=252 | 255 => (code, u16::from(meta.u8()?)),
        15 | 16 | 141 | 246 => (code, meta.u16()?),
        ENUM | SET | STRING => string_column(meta.u8()?, meta.u8()?),
        TYPED_ARRAY => {
            let inner = meta.u8()?;
            let width = match inner {
                15 => 3,
                4 | 5 | 17..=19 | 242 | JSON | 249..=252 | 255 => 1,
                16 | 246 | ENUM | SET | STRING => 2,
                _ => 0,
            };
            meta.take(width)?;
            (TYPED_ARRAY, u16::from(inner))
        }
        0..=3 | 6..=14 => (code, 0),
        unknown => return Err(Error::UnknownColumnType(unknown)),
    };
    Ok(ColumnType { code, meta })
}

/// CHAR, BINARY, ENUM, SET share one code; the real type and the length are folded into two bytes,
/// with the two high bits of a long CHAR's length hidden, inverted, in the type.
fn string_column(first: u8, second: u8) -> (u8, u16) {
    match first {
        ENUM | SET => (first, u16::from(second)),
        _ if first & 0x30 == 0x30 => (STRING, u16::from(second)),
        _ => (STRING, u16::from(second) | u16::from((first & 0x30) ^ 0x30) << 4),
    }
}

/// Optional metadata. `None` or empty: the server did not write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableMetadata<'a> {
    /// One bit per numeric column, highest bit first: unsigned.
    pub unsigned: Option<&'a [u8]>,
    /// Names of all columns.
    pub names: Vec<&'a [u8]>,
    /// Columns of the primary key, by index, with the length of the prefix (0: all of the column).
    pub primary_key: Vec<(u64, u64)>,
    /// One bit per column, highest bit first: visible.
    pub visible: Option<&'a [u8]>,
    /// All other fields, by type: character sets, values of ENUM and SET, geometry, vectors.
    pub others: Vec<(u8, &'a [u8])>,
}

impl<'a> TableMetadata<'a> {
    fn decode(bytes: &'a [u8]) -> Result<TableMetadata<'a>, Error> {
        let mut reader = Reader::new(bytes, "optional metadata of TABLE_MAP");
        let mut metadata = TableMetadata::default();
        while !reader.is_empty() {
            let field = reader.u8()?;
            let len = reader.lenenc()?;
            let value = reader.take_u64(len)?;
            let mut inner = Reader::new(value, "optional metadata of TABLE_MAP");
            match field {
                1 => metadata.unsigned = Some(value),
                4 => {
                    while !inner.is_empty() {
                        let len = inner.lenenc()?;
                        metadata.names.push(inner.take_u64(len)?);
                    }
                }
                8 => {
                    while !inner.is_empty() {
                        metadata.primary_key.push((inner.lenenc()?, 0));
                    }
                }
                9 => {
                    while !inner.is_empty() {
                        metadata.primary_key.push((inner.lenenc()?, inner.lenenc()?));
                    }
                }
                12 => metadata.visible = Some(value),
                other => metadata.others.push((other, value)),
            }
        }
        Ok(metadata)
    }
}
