//! Rows events: a borrowing walk over their cells. Nothing is allocated per row.

use super::reader::Reader;
use super::table_map::{ColumnType, JSON, TableMap};
use super::{Error, EventKind};

/// Which state of a row a cell belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// Before the change: deleted and updated rows.
    Before,
    /// After the change: inserted and updated rows.
    After,
}

/// One value of one row, as bytes of the binlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    /// Number of the row in the event, from 0.
    pub row: usize,
    /// Before or after.
    pub image: Image,
    /// Index of the column in the table map.
    pub column: usize,
    /// Its type.
    pub kind: ColumnType,
    /// The bytes, without the length that stands before some types; `None` for NULL.
    pub value: Option<&'a [u8]>,
    /// The bytes are differences to the JSON document before.
    pub partial: bool,
}

/// A rows event of any version, not compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsEvent<'a> {
    /// Type.
    pub kind: EventKind,
    /// The table map that it refers to.
    pub table_id: u64,
    /// Flags; bit 0: last of its statement.
    pub flags: u16,
    /// Extra data of version 2.
    pub extra: &'a [u8],
    /// Number of columns.
    pub columns: usize,
    /// Columns in the (first) image, one bit each.
    pub present: &'a [u8],
    /// Columns in the after image of an update.
    pub present_after: &'a [u8],
    rows: &'a [u8],
}

/// A row value may be replaced by JSON differences.
const PARTIAL_JSON: u64 = 1;

impl<'a> RowsEvent<'a> {
    /// Flag: last rows event of its statement.
    pub const STATEMENT_END: u16 = 1;

    /// From the event's body; a compressed one is expanded first.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Malformed`] also for a type that is no rows event.
    pub fn decode(kind: EventKind, body: &'a [u8]) -> Result<RowsEvent<'a>, Error> {
        let mut reader = Reader::new(body, "rows event");
        if !matches!(kind.0, 23..=25 | 30..=32 | 39) {
            return Err(reader.malformed());
        }
        let table_id = reader.uint(6)?;
        let flags = reader.u16()?;
        let mut extra = &body[..0];
        if kind.0 >= EventKind::WRITE_ROWS.0 {
            let len = usize::from(reader.u16()?);
            extra = reader.take(len.checked_sub(2).ok_or(reader.malformed())?)?;
        }
        let columns = reader.lenenc()?;
        let present = reader.take_u64(columns.div_ceil(8))?;
        let present_after = match kind.is_update_rows() {
            true => reader.take_u64(columns.div_ceil(8))?,
            false => present,
        };
        // It fits: the bitmap of that many bits was there.
        let columns = usize::try_from(columns).map_err(|_| reader.malformed())?;
        let rows = reader.rest();
        Ok(RowsEvent { kind, table_id, flags, extra, columns, present, present_after, rows })
    }

    /// `true` for the last rows event of a statement.
    pub fn ends_statement(&self) -> bool {
        self.flags & Self::STATEMENT_END != 0
    }

    /// Shows every cell to `visit`, row by row, before image first. The number of rows.
    ///
    /// # Errors
    /// [`Error::NoTableMap`] if `table` is another one; [`Error::Truncated`], [`Error::Malformed`],
    /// [`Error::UnknownColumnType`]. Cells seen before the error are right.
    pub fn walk<F>(&self, table: &TableMap, mut visit: F) -> Result<usize, Error>
    where
        F: FnMut(Cell<'a>),
    {
        let (mut row, mut offset) = (0, 0);
        while let Some(next) = self.row(table, row, offset, &mut visit)? {
            (row, offset) = (row + 1, next);
        }
        Ok(row)
    }

    /// Shows the cells of one row, before image first: number `row`, which begins `offset` bytes
    /// into the rows. Where the next one begins; `None` if none begins here.
    ///
    /// # Errors
    /// As [`RowsEvent::walk`].
    pub fn row<F>(
        &self,
        table: &TableMap,
        row: usize,
        offset: usize,
        visit: &mut F,
    ) -> Result<Option<usize>, Error>
    where
        F: FnMut(Cell<'a>),
    {
        if table.table_id != self.table_id {
            return Err(Error::NoTableMap(self.table_id));
        }
        let mut reader = Reader::new(self.rows, "row");
        reader.take(offset)?;
        if self.columns != table.columns.len() {
            return Err(reader.malformed());
        }
        if reader.is_empty() {
            return Ok(None);
        }
        let before = reader.rest().len();
        let first = match self.kind.is_update_rows() || self.kind.is_delete_rows() {
            true => Image::Before,
            false => Image::After,
        };
        self.image(&mut reader, table, (row, first, self.present), visit)?;
        if self.kind.is_update_rows() {
            self.image(&mut reader, table, (row, Image::After, self.present_after), visit)?;
        }
        let len = before - reader.rest().len();
        // A row of no bytes would go on for ever.
        if len == 0 {
            return Err(reader.malformed());
        }
        Ok(Some(offset + len))
    }

    fn image<F: FnMut(Cell<'a>)>(
        &self,
        reader: &mut Reader<'a>,
        table: &TableMap,
        (row, image, present): (usize, Image, &[u8]),
        visit: &mut F,
    ) -> Result<(), Error> {
        let mut partial_bits: &[u8] = &[];
        if self.kind == EventKind::PARTIAL_UPDATE_ROWS
            && image == Image::After
            && reader.lenenc()? & PARTIAL_JSON != 0
        {
            partial_bits = reader.take(table.json_columns().div_ceil(8))?;
        }
        let count = (0..self.columns).filter(|&column| bit(present, column)).count();
        let nulls = reader.take(count.div_ceil(8))?;
        let (mut shown, mut json) = (0, 0);
        for (column, &kind) in table.columns.iter().enumerate() {
            let mut partial = false;
            if kind.code == JSON {
                partial = bit(partial_bits, json);
                json += 1;
            }
            if !bit(present, column) {
                continue;
            }
            let value = if bit(nulls, shown) { None } else { Some(value(reader, kind)?) };
            shown += 1;
            visit(Cell { row, image, column, kind, value, partial });
        }
        Ok(())
    }
}

fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// The bytes of one value.
fn value<'a>(reader: &mut Reader<'a>, kind: ColumnType) -> Result<&'a [u8], Error> {
    let fraction = usize::from(kind.meta).div_ceil(2);
    let len = match kind.code {
        1 | 13 => 1,
        2 => 2,
        9..=11 | 14 => 3,
        3 | 4 | 7 => 4,
        5 | 8 | 12 => 8,
        17 if kind.meta <= 6 => 4 + fraction,
        18 if kind.meta <= 6 => 5 + fraction,
        19 if kind.meta <= 6 => 3 + fraction,
        246 => decimal_len(kind.meta).ok_or(reader.malformed())?,
        16 => usize::from(kind.meta >> 8) + usize::from(kind.meta & 0xff != 0),
        247 | 248 => usize::from(kind.meta),
        15 | 141 | 254 => return prefixed(reader, if kind.meta > 255 { 2 } else { 1 }),
        140 | 242 | 245 | 249..=252 | 255 if (1..=4).contains(&kind.meta) => {
            return prefixed(reader, usize::from(kind.meta));
        }
        17..=19 | 140 | 242 | 245 | 249..=252 | 255 => return Err(reader.malformed()),
        unknown => return Err(Error::UnknownColumnType(unknown)),
    };
    reader.take(len)
}

fn prefixed<'a>(reader: &mut Reader<'a>, width: usize) -> Result<&'a [u8], Error> {
    let len = reader.uint(width)?;
    reader.take_u64(len)
}

/// Bytes of a DECIMAL with precision in the low and scale in the high byte.
pub fn decimal_len(meta: u16) -> Option<usize> {
    const BYTES: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
    let (precision, scale) = (usize::from(meta & 0xff), usize::from(meta >> 8));
    let whole = precision.checked_sub(scale)?;
    Some(whole / 9 * 4 + BYTES[whole % 9] + scale / 9 * 4 + BYTES[scale % 9])
}
