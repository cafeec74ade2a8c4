//! How a column's value becomes text that two servers give alike, byte for byte. [pure]

use super::message::Column;

/// Longer strings are digested by themselves first: a row's text stays short, whatever it holds.
const HEX_OCTETS_MAX: u64 = 64;

/// SQL for the value: never NULL where the column is not, never with a comma in it, and different for
/// any two values that are stored differently.
pub(super) fn encoded(column: &Column) -> String {
    let name = quoted(&column.name);
    let value = match column.data_type.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "year" | "date"
        | "datetime" | "timestamp" | "time" => name.clone(),
        // As DOUBLE: a FLOAT's own text has six digits only. And -0 is not 0.
        "float" | "double" => format!("CONCAT({name}*1e0,IF(ATAN2({name},-1)<0,'-','+'))"),
        // The number, not the member's text; `+0` would go through DOUBLE.
        "bit" | "enum" | "set" => format!("CAST({name} AS UNSIGNED)"),
        "uuid" | "inet4" | "inet6" => format!("HEX({name})"),
        "char" | "varchar" | "binary" | "varbinary"
            if column.octets.is_some_and(|octets| octets <= HEX_OCTETS_MAX) =>
        {
            format!("HEX({name})")
        }
        _ => format!("SHA2({name},256)"),
    };
    // No encoding gives a lone minus: NULL and '' differ.
    format!("IF({name} IS NULL,'-',{value})")
}

/// An identifier in backquotes.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data_type: &str, octets: Option<u64>) -> String {
        encoded(&Column { name: "a`b".to_owned(), data_type: data_type.to_owned(), octets })
    }

    #[test]
    fn every_type_has_an_encoding_that_keeps_what_is_stored() {
        let table = [
            ("bigint", None, "`a``b`"),
            ("float", None, "CONCAT(`a``b`*1e0,IF(ATAN2(`a``b`,-1)<0,'-','+'))"),
            ("set", Some(20), "CAST(`a``b` AS UNSIGNED)"),
            ("char", Some(64), "HEX(`a``b`)"),
            ("char", Some(65), "SHA2(`a``b`,256)"),
            ("longtext", Some(4_294_967_295), "SHA2(`a``b`,256)"),
            ("json", None, "SHA2(`a``b`,256)"),
            ("a type of tomorrow", None, "SHA2(`a``b`,256)"),
        ];
        for (data_type, octets, expected) in table {
            let expected = format!("IF(`a``b` IS NULL,'-',{expected})");
            assert_eq!(of(data_type, octets), expected, "{data_type}");
        }
    }
}
