//! What one session can switch: the effect stands in its events, whatever the globals say.

use plimsoll::binlog::EventKind as E;

use super::case::{BOTH, Case, MARIADB, MYSQL};

pub const CASES: &[Case] = &[
    Case::applied(
        "binlog_row_image=MINIMAL",
        BOTH,
        &[
            "SET SESSION binlog_row_image = 'MINIMAL'",
            "CREATE TABLE t (id INT PRIMARY KEY, a INT DEFAULT 5, b VARCHAR(20), c TEXT, \
             g INT AS (a + 1) VIRTUAL, KEY (a))",
            "INSERT INTO t (id, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')",
            "UPDATE t SET b = 'q' WHERE id = 2",
            "UPDATE t SET a = a + 1",
            "DELETE FROM t WHERE id = 3",
        ],
    )
    .remark("a source that must undo its tail needs full images: the agent warns where the global is not FULL"),
    Case::applied(
        "binlog_row_image=MINIMAL without a primary key",
        BOTH,
        &[
            "SET SESSION binlog_row_image = 'MINIMAL'",
            "CREATE TABLE t (a INT, b VARCHAR(20), c TEXT)",
            "INSERT INTO t VALUES (1, 'x', 'c'), (1, 'x', 'c'), (2, 'y', 'd'), (NULL, NULL, NULL)",
            "INSERT INTO t (a) VALUES (7)",
            "UPDATE t SET b = 'q' WHERE a = 2",
            "UPDATE t SET b = 'q' WHERE a = 1 LIMIT 1",
            "DELETE FROM t WHERE a = 1 LIMIT 1",
            "CREATE TABLE u (a INT, b INT, UNIQUE KEY (a))",
            "INSERT INTO u VALUES (1, 1), (NULL, 2), (NULL, 3)",
            "UPDATE u SET b = 9 WHERE b = 3",
            "DELETE FROM u WHERE b = 2",
        ],
    )
    .remark("both families then log the whole row before, so it is found by all of its columns"),
    Case::applied(
        "binlog_row_image=NOBLOB",
        BOTH,
        &[
            "SET SESSION binlog_row_image = 'NOBLOB'",
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, b BLOB, c TEXT)",
            "INSERT INTO t VALUES (1, 1, 'x', 'c'), (2, 1, 'x', 'c')",
            "UPDATE t SET a = 2 WHERE id = 1",
            "UPDATE t SET c = 'zz' WHERE id = 1",
            "DELETE FROM t WHERE id = 2",
            "CREATE TABLE k (a INT, b BLOB)",
            "INSERT INTO k VALUES (1, 'x'), (1, 'y'), (2, 'z')",
            "UPDATE k SET a = 5 WHERE b = 'y'",
            "DELETE FROM k WHERE b = 'z'",
        ],
    ),
    Case::applied(
        "log_bin_compress",
        MARIADB,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, b TEXT)",
            "SET GLOBAL log_bin_compress = ON",
            "SET GLOBAL log_bin_compress_min_len = 10",
            "INSERT INTO t VALUES (1, REPEAT('a', 3000))",
            "UPDATE t SET b = REPEAT('b', 3000)",
            "DELETE FROM t",
            "INSERT INTO t VALUES (2, REPEAT('a', 3000))",
            "CREATE TABLE u (a INT COMMENT 'a comment that is long enough to be worth compressing')",
            "SET GLOBAL log_bin_compress = OFF",
            "SET GLOBAL log_bin_compress_min_len = 256",
            "INSERT INTO t VALUES (3, REPEAT('a', 3000))",
        ],
    )
    .events(&[
        E::QUERY_COMPRESSED,
        E::WRITE_ROWS_COMPRESSED_V1,
        E::UPDATE_ROWS_COMPRESSED_V1,
        E::DELETE_ROWS_COMPRESSED_V1,
    ])
    .remark("MariaDB has it for the whole server only; it changes from one event to the next"),
    Case::applied(
        "binlog_transaction_compression",
        MYSQL,
        &[
            "SET SESSION binlog_transaction_compression = ON",
            "CREATE TABLE t (id INT PRIMARY KEY, j TEXT)",
            "INSERT INTO t VALUES (1, REPEAT('x', 5000))",
            "BEGIN",
            "UPDATE t SET j = REPEAT('y', 9000)",
            "SAVEPOINT a",
            "INSERT INTO t VALUES (2, 'x')",
            "ROLLBACK TO a",
            "COMMIT",
            "CREATE TABLE u AS SELECT * FROM t",
            "XA START 'c_packed'",
            "INSERT INTO t VALUES (5, 'q')",
            "XA END 'c_packed'",
            "XA PREPARE 'c_packed'",
            "XA COMMIT 'c_packed'",
            "-- new session",
            "INSERT INTO t VALUES (6, 'not compressed')",
        ],
    )
    .events(&[E::TRANSACTION_PAYLOAD]),
    Case::applied(
        "binlog_row_value_options=PARTIAL_JSON",
        MYSQL,
        &[
            "SET SESSION binlog_row_value_options = PARTIAL_JSON",
            "CREATE TABLE t (id INT PRIMARY KEY, j JSON, k JSON)",
            "INSERT INTO t VALUES (1, JSON_OBJECT('a', 1, 'b', JSON_ARRAY(1, 2, 3), 'c', REPEAT('x', 90)), \
             JSON_OBJECT('q', 1, 'w', REPEAT('c', 90))), (2, NULL, '[]')",
            "UPDATE t SET j = JSON_SET(j, '$.a', 7), k = JSON_REMOVE(k, '$.q')",
            "UPDATE t SET j = JSON_REPLACE(j, '$.b[1]', 'zz')",
            "SET SESSION binlog_row_image = MINIMAL",
            "UPDATE t SET j = JSON_REPLACE(j, '$.a', 8)",
        ],
    )
    .events(&[E::PARTIAL_UPDATE_ROWS]),
    Case::applied(
        "binlog_rows_query_log_events",
        MYSQL,
        &[
            "SET SESSION binlog_rows_query_log_events = ON",
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
        ],
    )
    .events(&[E::ROWS_QUERY]),
    Case::applied(
        "binlog_annotate_row_events=OFF",
        MARIADB,
        &[
            "SET SESSION binlog_annotate_row_events = OFF",
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
        ],
    ),
    Case::applied(
        "binlog_alter_two_phase",
        MARIADB,
        &[
            "SET SESSION binlog_alter_two_phase = ON",
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "INSERT INTO t VALUES (1, 1), (2, 1)",
            "ALTER TABLE t ADD w INT DEFAULT 7",
            "-- fails 1062: ALTER TABLE t ADD UNIQUE KEY (v)",
            "INSERT INTO t VALUES (3, 3, 3)",
        ],
    )
    .remark("applied when its second half comes"),
    Case::applied(
        "binlog_format=MIXED, where the server chooses rows",
        BOTH,
        &[
            "SET SESSION binlog_format = 'MIXED'",
            "CREATE TABLE t (v VARCHAR(40))",
            "INSERT INTO t VALUES (UUID())",
        ],
    ),
    Case::applied(
        "sql_mode, time zone, names, counters of a DDL",
        BOTH,
        &[
            "SET SESSION time_zone = '+05:30', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
            "CREATE TABLE \"odd 'name'\" (id INT PRIMARY KEY, \"a b\" TIMESTAMP DEFAULT '2020-01-01 00:00:00', \
             v VARCHAR(20) DEFAULT 'back\\slash')",
            "SET SESSION auto_increment_increment = 7, auto_increment_offset = 3",
            "CREATE TABLE n (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
            "INSERT INTO n (v) VALUES (1), (2)",
            "ALTER TABLE n DROP id",
            "ALTER TABLE n ADD id INT AUTO_INCREMENT PRIMARY KEY FIRST",
            "SET NAMES latin1",
            "SET SESSION collation_server = latin1_german2_ci, timestamp = 1000000000.5",
            "CREATE TABLE x (a CHAR(5) DEFAULT _latin1 X'E9', b DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6))",
            "INSERT INTO x VALUES ()",
            "ALTER TABLE x ADD c DATETIME DEFAULT CURRENT_TIMESTAMP",
        ],
    ),
];
