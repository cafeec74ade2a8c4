//! What cannot be applied: every replica stops with its reason, and nothing is skipped.

use plimsoll::binlog::EventKind as E;

use super::case::{BOTH, Case, MARIADB};

const STATEMENT: &str = "PLM503";

pub const CASES: &[Case] = &[
    Case::stops(
        "A change in statement format",
        BOTH,
        STATEMENT,
        &[
            "SET SESSION binlog_format = 'STATEMENT'",
            "CREATE TABLE t (a INT AUTO_INCREMENT PRIMARY KEY, b DOUBLE)",
            "SET @x = 5",
            "INSERT INTO t (b) VALUES (@x)",
            "UPDATE t SET b = RAND()",
        ],
    )
    .events(&[E::INTVAR, E::USER_VAR, E::RAND])
    .remark("set binlog_format=ROW, also in running sessions; then make the change by hand and `plimsoll adopt`, or rebuild the replica"),
    Case::stops(
        "A change in mixed format",
        BOTH,
        STATEMENT,
        &[
            "SET SESSION binlog_format = 'MIXED'",
            "CREATE TABLE t (a INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
        ],
    ),
    Case::stops(
        "LOAD DATA in statement format",
        BOTH,
        STATEMENT,
        &[
            "CREATE TABLE t (a TEXT)",
            "CREATE TABLE f (a TEXT)",
            "INSERT INTO f VALUES (REPEAT('x', 60000)), (REPEAT('y', 60000)), (REPEAT('z', 60000))",
            "INSERT INTO f SELECT x.a FROM f x, f y",
            "SELECT * FROM f INTO OUTFILE '../plimsoll_large.txt'",
            "SET SESSION binlog_format = 'STATEMENT'",
            "LOAD DATA INFILE '../plimsoll_large.txt' INTO TABLE t",
        ],
    )
    .events(&[E::BEGIN_LOAD_QUERY, E::APPEND_BLOCK, E::EXECUTE_LOAD_QUERY]),
    Case::stops(
        "CREATE … SELECT in statement format",
        MARIADB,
        STATEMENT,
        &["SET SESSION binlog_format = 'STATEMENT'", "CREATE TABLE t AS SELECT 1 AS a"],
    ),
    Case::stops(
        "Tables with history by transaction number",
        MARIADB,
        STATEMENT,
        &[
            "CREATE TABLE t (x INT, s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, \
             e BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) \
             WITH SYSTEM VERSIONING ENGINE=InnoDB",
            "INSERT INTO t (x) VALUES (1), (2)",
        ],
    )
    .remark("MariaDB logs every change of such a table as a statement"),
    Case::stops(
        "Granting a role that another account administers",
        MARIADB,
        "1698",
        &["CREATE ROLE c_r2", "CREATE USER c_u5", "GRANT c_r2 TO c_u5"],
    )
    .remark("on the replica: `SET sql_log_bin=0; GRANT role TO plimsoll WITH ADMIN OPTION` as the role's administrator, then restart its agent"),
];
