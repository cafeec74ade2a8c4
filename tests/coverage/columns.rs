//! Every type code that a table map may hold.

use crate::support::Family;

/// A type: code, name, and whether a server of the family writes it (and it is then applied).
pub struct Column {
    pub code: u8,
    pub name: &'static str,
    pub mariadb: bool,
    pub mysql: bool,
    /// For people.
    pub remark: &'static str,
}

impl Column {
    pub fn written_by(&self, family: Family) -> bool {
        match family {
            Family::Mariadb => self.mariadb,
            Family::Mysql => self.mysql,
        }
    }
}

const fn both(code: u8, name: &'static str) -> Column {
    Column { code, name, mariadb: true, mysql: true, remark: "" }
}

const fn mariadb(code: u8, name: &'static str) -> Column {
    Column { code, name, mariadb: true, mysql: false, remark: "" }
}

const fn mysql(code: u8, name: &'static str) -> Column {
    Column { code, name, mariadb: false, mysql: true, remark: "" }
}

const fn never(code: u8, name: &'static str, remark: &'static str) -> Column {
    Column { code, name, mariadb: false, mysql: false, remark }
}

pub const COLUMNS: &[Column] = &[
    never(0, "DECIMAL of MySQL 4", "no supported server writes it"),
    both(1, "TINYINT, BOOL"),
    both(2, "SMALLINT"),
    both(3, "INT"),
    both(4, "FLOAT"),
    both(5, "DOUBLE"),
    never(6, "NULL", "no column has it"),
    mariadb(7, "TIMESTAMP of MariaDB 5.3"),
    both(8, "BIGINT"),
    both(9, "MEDIUMINT"),
    both(10, "DATE"),
    mariadb(11, "TIME of MariaDB 5.3"),
    mariadb(12, "DATETIME of MariaDB 5.3"),
    both(13, "YEAR"),
    never(14, "NEWDATE", "written as DATE"),
    both(15, "VARCHAR, VARBINARY"),
    both(16, "BIT"),
    both(17, "TIMESTAMP"),
    both(18, "DATETIME"),
    both(19, "TIME"),
    never(20, "array of a multi-valued index", "MySQL 9.7 does not log it: an index of JSON"),
    mariadb(140, "BLOB, TEXT compressed"),
    mariadb(141, "VARCHAR, VARBINARY compressed"),
    mysql(242, "VECTOR"),
    mysql(245, "JSON"),
    both(246, "DECIMAL"),
    both(247, "ENUM"),
    both(248, "SET"),
    never(249, "TINYBLOB", "written as BLOB"),
    never(250, "MEDIUMBLOB", "written as BLOB"),
    never(251, "LONGBLOB", "written as BLOB"),
    both(252, "BLOB, TEXT of all sizes; MariaDB's JSON"),
    both(254, "CHAR, BINARY; MariaDB's UUID, INET4, INET6"),
    both(255, "GEOMETRY"),
];
