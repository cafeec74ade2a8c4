//! The statements that read a table. [pure]

use super::Error;
use super::column::{encoded, quoted};
use super::key::{Key, Range, condition, order, selected};
use super::message::{Chunk, Table, TableName};

/// Most rows that are looked at one by one.
pub(super) const ROWS_MAX: u64 = 200;

/// Added to each row's number, so that the sum also counts the rows that gave one: 1 and 38 zeros,
/// far above what 64-bit numbers of a table add up to, and DECIMAL holds 65 digits.
const UNIT: &str = "100000000000000000000000000000000000000";
const UNIT_ZEROS: usize = 38;

/// Rows and digest of a range.
pub(super) fn digest(table: &Table, range: &Range) -> Result<String, Error> {
    let columns: Vec<String> = table.columns.iter().map(encoded).collect();
    let row = format!("SHA2(CONCAT({}),256)", columns.join(",',',"));
    let (from, filter) = (from(table), condition(&table.key, range)?);
    Ok(format!(
        "SELECT COUNT(*),SUM(CAST(CONV(LEFT({row},16),16,10) AS DECIMAL(20,0))+{UNIT}){from}{filter}"
    ))
}

/// The key of the `rows`-th row of a range.
pub(super) fn boundary(table: &Table, range: &Range, rows: u64) -> Result<String, Error> {
    let (keys, by) = (selected(&table.key), order(&table.key));
    let (from, filter) = (from(table), condition(&table.key, range)?);
    let skip = rows.saturating_sub(1);
    Ok(format!("SELECT {keys}{from}{filter} ORDER BY {by} LIMIT 1 OFFSET {skip}"))
}

/// Keys and digests of columns of a range's first rows.
pub(super) fn rows(table: &Table, range: &Range) -> Result<String, Error> {
    let one = |column| format!("LEFT(SHA2({},256),16)", encoded(column));
    let columns: Vec<String> = table.columns.iter().map(one).collect();
    let (keys, by) = (selected(&table.key), order(&table.key));
    let (from, filter) = (from(table), condition(&table.key, range)?);
    let columns = columns.join(",");
    Ok(format!("SELECT {keys},{columns}{from}{filter} ORDER BY {by} LIMIT {ROWS_MAX}"))
}

fn from(table: &Table) -> String {
    let TableName { schema, name } = &table.name;
    let all = if table.versioned { " FOR SYSTEM_TIME ALL" } else { "" };
    // Without it a server may read the whole table for a chunk.
    let index = if table.primary { " FORCE INDEX (PRIMARY)" } else { "" };
    format!(" FROM {}.{}{all}{index}", quoted(schema), quoted(name))
}

/// What [`digest`] answered; `through` as it is.
pub(super) fn chunk(
    table: &Table,
    (rows, sum): (&str, Option<&str>),
    through: Option<Key>,
) -> Result<Chunk, Error> {
    const WHAT: &str = "a digest";
    let rows: u64 = rows.parse().map_err(|_| Error::Answer(WHAT))?;
    let sum = sum.unwrap_or("0");
    let (counted, digest) = match sum.len().checked_sub(UNIT_ZEROS) {
        Some(cut) if cut > 0 => sum.split_at_checked(cut).ok_or(Error::Answer(WHAT))?,
        _ => ("0", sum),
    };
    let counted: u64 = counted.parse().map_err(|_| Error::Answer(WHAT))?;
    if counted != rows {
        let undigested = rows.saturating_sub(counted);
        return Err(Error::Undigested { table: table.name.clone(), undigested });
    }
    Ok(Chunk { rows, digest: digest.trim_start_matches('0').to_owned(), through })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::message::Column;
    use crate::verify::{KeyColumn, KeyKind};

    fn table() -> Table {
        let column = |name: &str| Column {
            name: name.to_owned(),
            data_type: "int".to_owned(),
            octets: None,
        };
        Table {
            name: TableName { schema: "s".to_owned(), name: "t".to_owned() },
            estimate: 0,
            key: vec![KeyColumn { name: "id".to_owned(), kind: KeyKind::Number }],
            primary: true,
            columns: vec![column("id"), column("v")],
            transactional: true,
            versioned: false,
        }
    }

    #[test]
    fn statements_read_the_range_and_nothing_else() {
        let range = Range { after: Some(vec!["5".into()]), through: None };
        let sql = digest(&table(), &range).unwrap();
        assert!(sql.contains("CONCAT(IF(`id` IS NULL,'-',`id`),',',IF(`v` IS NULL,'-',`v`))"));
        assert!(sql.ends_with(" FROM `s`.`t` FORCE INDEX (PRIMARY) WHERE (`id`>5)"), "{sql}");
        let sql = boundary(&table(), &range, 100).unwrap();
        assert!(sql.ends_with("WHERE (`id`>5) ORDER BY `id` LIMIT 1 OFFSET 99"), "{sql}");
        let old = Table { versioned: true, primary: false, ..table() };
        let sql = rows(&old, &Range::default()).unwrap();
        assert!(sql.contains(" FROM `s`.`t` FOR SYSTEM_TIME ALL ORDER BY"), "{sql}");
    }

    #[test]
    fn a_row_that_gave_no_number_is_an_error() {
        let sum = format!("2{:0>38}", "1209752697733451320278178");
        let good = chunk(&table(), ("2", Some(&sum)), None).unwrap();
        assert_eq!((good.rows, good.digest.as_str()), (2, "1209752697733451320278178"));
        let bad = chunk(&table(), ("3", Some(&sum)), None).unwrap_err();
        assert!(matches!(bad, Error::Undigested { undigested: 1, .. }), "{bad}");
        assert!(matches!(chunk(&table(), ("1", None), None), Err(Error::Undigested { .. })));
        assert_eq!(chunk(&table(), ("0", None), None).unwrap().rows, 0);
        assert!(chunk(&table(), ("x", None), None).is_err());
    }
}
