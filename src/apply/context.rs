//! The session a statement ran in, said again in SQL. Pure.

use std::fmt::Write;

use crate::binlog::{QueryCharset, StatusVars};
use crate::server::{Family, quote, quote_bytes};

/// `OPTION_…` bits of a QUERY event's flags2, as both families write them.
const AUTO_IS_NULL: u32 = 1 << 14;
const NO_FOREIGN_KEY_CHECKS: u32 = 1 << 26;
const RELAXED_UNIQUE_CHECKS: u32 = 1 << 27;
/// MariaDB's own (seen on 10.11).
const NO_CHECK_CONSTRAINT_CHECKS: u32 = 1 << 23;
const EXPLICIT_DEFAULTS_FOR_TIMESTAMP: u32 = 1 << 24;
const IF_EXISTS: u32 = 1 << 28;
const INSERT_HISTORY: u32 = 1 << 30;

/// The session in which row events are applied, and our own statements run. `sql_mode` neither
/// refuses what the source has accepted (a generated column may divide by zero) nor makes numbers of
/// zeros. Row events bring their own foreign key and unique checks. The client's character set is that
/// of the servers' parsers, utf8mb3: any other has every BINLOG statement converted, a tenth of what
/// small transactions cost. Names have no characters beyond it; our texts that have go as X'…'.
pub const ROWS: &str = "SET sql_mode='NO_AUTO_VALUE_ON_ZERO',foreign_key_checks=1,unique_checks=1,\
    sql_auto_is_null=0,time_zone='SYSTEM',timestamp=DEFAULT,auto_increment_increment=1,\
    auto_increment_offset=1,lc_time_names='en_US',NAMES utf8mb4,character_set_client=utf8mb3";

/// The statements that make the session what it was at the source: one `SET`.
///
/// `seconds` is the event's own time. Every variable is set, where the server did not write it to
/// what it is then known to have been.
pub fn statement(vars: &StatusVars<'_>, seconds: u32, family: Family) -> String {
    let flags = vars.flags2.unwrap_or(0);
    let off = |bit: u32| u8::from(flags & bit == 0);
    let on = |bit: u32| u8::from(flags & bit != 0);
    let (increment, offset) = vars.auto_increment.unwrap_or((1, 1));
    let mut sql = format!(
        "SET timestamp={seconds}.{:06},sql_mode={},foreign_key_checks={},unique_checks={},\
         sql_auto_is_null={},auto_increment_increment={increment},auto_increment_offset={offset},\
         lc_time_names={}",
        vars.microseconds.unwrap_or(0),
        vars.sql_mode.unwrap_or(0),
        off(NO_FOREIGN_KEY_CHECKS),
        off(RELAXED_UNIQUE_CHECKS),
        on(AUTO_IS_NULL),
        vars.lc_time_names.unwrap_or(0),
    );
    // Writing to a String cannot fail.
    let _ = write!(sql, ",time_zone={}", vars.time_zone.map_or("'SYSTEM'".into(), text));
    if let Some(QueryCharset { client, connection, server }) = vars.charset {
        let _ = write!(
            sql,
            ",character_set_client={client},collation_connection={connection},\
             collation_server={server}"
        );
    }
    match family {
        Family::Mysql => mysql(vars, &mut sql),
        Family::Mariadb => {
            // ALTER of a table with history is refused without KEEP, which the binlog does not say:
            // the source has accepted it.
            let _ = write!(
                sql,
                ",check_constraint_checks={},explicit_defaults_for_timestamp={},\
                 system_versioning_alter_history=KEEP",
                off(NO_CHECK_CONSTRAINT_CHECKS),
                on(EXPLICIT_DEFAULTS_FOR_TIMESTAMP)
            );
            mariadb(vars, flags, &mut sql);
        }
    }
    sql
}

/// `collation_database`, said after `USE`, which sets it to the database's own.
pub fn after_use(vars: &StatusVars<'_>) -> Option<String> {
    // 0 is the servers' way to say "as collation_server was".
    let collation = vars.collation_database?;
    Some(match collation {
        0 => "SET collation_database=DEFAULT".to_owned(),
        id => format!("SET collation_database={id}"),
    })
}

fn mysql(vars: &StatusVars<'_>, sql: &mut String) {
    if let Some(explicit) = vars.explicit_defaults_for_timestamp {
        let _ = write!(sql, ",explicit_defaults_for_timestamp={}", u8::from(explicit));
    }
    if let Some(collation) = vars.default_collation_for_utf8mb4 {
        let _ = write!(sql, ",default_collation_for_utf8mb4={collation}");
    }
    if let Some(required) = vars.sql_require_primary_key {
        let _ = write!(sql, ",sql_require_primary_key={required}");
    }
    if let Some(encrypted) = vars.default_table_encryption {
        let _ = write!(sql, ",default_table_encryption={encrypted}");
    }
}

/// Names that only some versions know are set only where the source used them.
fn mariadb(vars: &StatusVars<'_>, flags: u32, sql: &mut String) {
    if flags & IF_EXISTS != 0 {
        sql.push_str(",sql_if_exists=1");
    }
    if flags & INSERT_HISTORY != 0 {
        sql.push_str(",system_versioning_insert_history=1");
    }
    if !vars.character_set_collations.is_empty() {
        let ids: Vec<String> =
            vars.character_set_collations.iter().map(|(_, id)| id.to_string()).collect();
        let _ = write!(
            sql,
            ",character_set_collations=(SELECT GROUP_CONCAT(CONCAT(CHARACTER_SET_NAME,'=',\
             FULL_COLLATION_NAME)) FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY \
             WHERE ID IN ({}))",
            ids.join(",")
        );
    }
}

/// What a statement's context may leave behind, besides what [`ROWS`] sets anyway.
pub fn reset(vars: &StatusVars<'_>, family: Family) -> String {
    let mut sql = ROWS.to_owned();
    let flags = vars.flags2.unwrap_or(0);
    if family == Family::Mariadb {
        sql.push_str(",check_constraint_checks=1");
        if flags & IF_EXISTS != 0 {
            sql.push_str(",sql_if_exists=0");
        }
        if flags & INSERT_HISTORY != 0 {
            sql.push_str(",system_versioning_insert_history=0");
        }
    }
    sql
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => quote(text),
        Err(_) => quote_bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_the_source_said_is_said_again() {
        let vars = StatusVars {
            flags2: Some(NO_FOREIGN_KEY_CHECKS | AUTO_IS_NULL),
            sql_mode: Some(1_411_383_296),
            auto_increment: Some((3, 2)),
            charset: Some(QueryCharset { client: 8, connection: 5, server: 45 }),
            time_zone: Some(b"+02:00"),
            lc_time_names: Some(17),
            microseconds: Some(42),
            explicit_defaults_for_timestamp: Some(true),
            sql_require_primary_key: Some(1),
            collation_database: Some(45),
            ..StatusVars::default()
        };
        let sql = statement(&vars, 1_700_000_000, Family::Mysql);
        for part in [
            "timestamp=1700000000.000042",
            "sql_mode=1411383296",
            "foreign_key_checks=0",
            "unique_checks=1",
            "sql_auto_is_null=1",
            "auto_increment_increment=3,auto_increment_offset=2",
            "lc_time_names=17",
            "time_zone='+02:00'",
            "character_set_client=8,collation_connection=5,collation_server=45",
            "explicit_defaults_for_timestamp=1",
            "sql_require_primary_key=1",
        ] {
            assert!(sql.contains(part), "{part} in {sql}");
        }
        assert_eq!(after_use(&vars).unwrap(), "SET collation_database=45");
    }

    #[test]
    fn mariadb_has_bits_of_its_own() {
        let flags = NO_CHECK_CONSTRAINT_CHECKS | EXPLICIT_DEFAULTS_FOR_TIMESTAMP | IF_EXISTS;
        let vars = StatusVars { flags2: Some(flags), ..StatusVars::default() };
        let sql = statement(&vars, 1, Family::Mariadb);
        assert!(sql.contains("check_constraint_checks=0,explicit_defaults_for_timestamp=1"));
        assert!(sql.contains("sql_if_exists=1"));
        assert!(reset(&vars, Family::Mariadb).contains("sql_if_exists=0"));
        assert!(!statement(&vars, 1, Family::Mysql).contains("sql_if_exists"));
    }
}
