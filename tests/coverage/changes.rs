//! Kinds of statements, each in row format.

use plimsoll::binlog::EventKind as E;

use super::case::{BOTH, Case, MARIADB, MYSQL};

pub const CASES: &[Case] = &[
    Case::applied(
        "INSERT, UPDATE, DELETE, REPLACE",
        MARIADB,
        DML,
    )
    .events(&[E::MARIADB_GTID, E::TABLE_MAP, E::WRITE_ROWS_V1, E::UPDATE_ROWS_V1, E::DELETE_ROWS_V1, E::XID, E::ANNOTATE_ROWS, E::QUERY]),
    Case::applied("INSERT, UPDATE, DELETE, REPLACE ", MYSQL, DML).events(&[
        E::GTID,
        E::QUERY,
        E::TABLE_MAP,
        E::WRITE_ROWS,
        E::UPDATE_ROWS,
        E::DELETE_ROWS,
        E::XID,
    ]),
    Case::applied(
        "Tables without a primary key",
        BOTH,
        &[
            "CREATE TABLE t (a INT, b VARCHAR(20), c DOUBLE)",
            "INSERT INTO t VALUES (1, 'x', 0.1), (1, 'x', 0.1), (NULL, NULL, NULL), (2, 'y', 3)",
            "UPDATE t SET b = 'again' WHERE a = 1 LIMIT 1",
            "UPDATE t SET a = 9 WHERE a IS NULL",
            "DELETE FROM t WHERE a = 1 LIMIT 1",
            "CREATE TABLE u (a INT, b INT, UNIQUE KEY (a))",
            "INSERT INTO u VALUES (1, 1), (NULL, 2), (NULL, 3)",
            "UPDATE u SET b = 9 WHERE b = 3",
            "DELETE FROM u WHERE b = 2",
        ],
    )
    .remark("each changed row is searched for by all of its columns, as in native replication"),
    Case::applied(
        "Multi-table UPDATE and DELETE, cascades, triggers",
        BOTH,
        &[
            "CREATE TABLE a (id INT PRIMARY KEY, v INT)",
            "CREATE TABLE b (id INT PRIMARY KEY, v INT, FOREIGN KEY (id) REFERENCES a (id) \
             ON DELETE CASCADE ON UPDATE CASCADE)",
            "CREATE TABLE c (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) \
             ON DELETE SET NULL ON UPDATE SET NULL)",
            "CREATE TABLE said (what TEXT)",
            "CREATE TRIGGER changed AFTER UPDATE ON a FOR EACH ROW \
             INSERT INTO said VALUES (CONCAT(OLD.v, '>', NEW.v))",
            "CREATE TRIGGER gone BEFORE DELETE ON a FOR EACH ROW \
             INSERT INTO said VALUES (CONCAT('gone ', OLD.id))",
            "INSERT INTO a VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
            "INSERT INTO b VALUES (1, 1), (2, 2), (3, 3)",
            "INSERT INTO c VALUES (1, 1), (2, 3), (3, 4)",
            "UPDATE a JOIN b USING (id) SET a.v = 10, b.v = 20 WHERE id < 3",
            "UPDATE a SET id = id + 10 ORDER BY id DESC",
            "DELETE FROM a WHERE id = 12",
            "DELETE b, a FROM b JOIN a USING (id) WHERE id = 11",
            "DELETE FROM a WHERE id = 14",
        ],
    ),
    Case::applied(
        "SAVEPOINT and ROLLBACK TO",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "BEGIN",
            "INSERT INTO t VALUES (1)",
            "SAVEPOINT a",
            "INSERT INTO t VALUES (2)",
            "SAVEPOINT b",
            "INSERT INTO t VALUES (3)",
            "ROLLBACK TO b",
            "INSERT INTO t VALUES (4)",
            "ROLLBACK TO a",
            "INSERT INTO t VALUES (5)",
            "RELEASE SAVEPOINT a",
            "COMMIT",
            "BEGIN",
            "INSERT INTO t VALUES (6)",
            "ROLLBACK",
        ],
    ),
    Case::applied(
        "TRUNCATE, RENAME, DROP",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
            "TRUNCATE TABLE t",
            "INSERT INTO t VALUES (1)",
            "CREATE TABLE u LIKE t",
            "RENAME TABLE t TO x, u TO t, x TO u",
            "INSERT INTO u VALUES (2)",
            "DROP TABLE IF EXISTS t, nosuch",
            "CREATE TABLE v (id INT)",
            "-- fails 1051: DROP TABLE v, nosuch",
            "-- fails 1146: RENAME TABLE u TO y, nosuch TO z",
        ],
    ),
    Case::applied(
        "CREATE … SELECT",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "INSERT INTO t VALUES (1, 1), (2, 2)",
            "CREATE TABLE copy AS SELECT * FROM t",
            "CREATE TABLE more (id INT PRIMARY KEY, twice INT AS (id * 2)) SELECT id + 10 AS id FROM t",
            "CREATE TABLE IF NOT EXISTS copy AS SELECT 7 AS z",
            "INSERT INTO copy SELECT id + 5, v FROM t",
        ],
    ),
    Case::applied(
        "CREATE OR REPLACE … SELECT",
        MARIADB,
        &[
            "CREATE TABLE t AS SELECT 1 AS a",
            "CREATE OR REPLACE TABLE t AS SELECT 2 AS b",
            "CREATE OR REPLACE TABLE t (c INT)",
            "INSERT INTO t VALUES (3)",
        ],
    ),
    Case::applied(
        "ALTER of all kinds",
        BOTH,
        &[
            "CREATE TABLE t (a INT PRIMARY KEY, b INT, c TEXT)",
            "INSERT INTO t VALUES (1, 1, 'x')",
            "ALTER TABLE t ADD COLUMN d INT DEFAULT 3, ALGORITHM=INSTANT",
            "ALTER TABLE t ADD INDEX (b), ALGORITHM=INPLACE, LOCK=NONE",
            "ALTER TABLE t MODIFY b BIGINT, ALGORITHM=COPY",
            "ALTER TABLE t DROP COLUMN c",
            "ALTER TABLE t ADD e INT FIRST",
            "INSERT INTO t VALUES (9, 2, 2, 2)",
            "ALTER TABLE t ALTER COLUMN d SET DEFAULT 4",
            "ALTER TABLE t RENAME COLUMN d TO dd",
            "ALTER TABLE t CONVERT TO CHARACTER SET latin1",
            "ALTER TABLE t RENAME TO u",
            "CREATE INDEX i ON u (dd)",
            "DROP INDEX i ON u",
            "ALTER TABLE u ENGINE=InnoDB",
            "ALTER DATABASE CHARACTER SET latin1",
            "CREATE TABLE after_it (v VARCHAR(10))",
            "-- fails 1072: ALTER TABLE u ADD INDEX (nosuch)",
            "OPTIMIZE TABLE u",
            "ANALYZE TABLE u",
            "FLUSH TABLES",
        ],
    ),
    Case::applied(
        "Transactions of many tables and megabytes",
        BOTH,
        &[
            "CREATE TABLE t1 (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200))",
            "CREATE TABLE t2 LIKE t1",
            "CREATE TABLE t3 LIKE t1",
            "BEGIN",
            "INSERT INTO t1 (v) VALUES (REPEAT('a', 200)), (REPEAT('b', 200)), (REPEAT('c', 200))",
            "INSERT INTO t1 (v) SELECT x.v FROM t1 x, t1 y, t1 z, t1 w",
            "INSERT INTO t2 (v) SELECT x.v FROM t1 x, t1 y",
            "INSERT INTO t3 (v) SELECT v FROM t2",
            "UPDATE t2 SET v = REVERSE(v), id = id + 1000000 ORDER BY id DESC",
            "DELETE FROM t3 WHERE id % 3 = 0",
            "COMMIT",
        ],
    ),
    Case::applied(
        "LOAD DATA",
        BOTH,
        &[
            "CREATE TABLE t (a INT, b VARCHAR(20) CHARACTER SET utf8mb4)",
            "INSERT INTO t VALUES (1, 'x'), (2, '\u{1F6A2}'), (3, NULL)",
            "SELECT * FROM t INTO OUTFILE '../plimsoll_rows.txt'",
            "LOAD DATA INFILE '../plimsoll_rows.txt' INTO TABLE t",
        ],
    ),
    Case::applied(
        "Temporary tables",
        BOTH,
        &[
            "CREATE TEMPORARY TABLE x (a INT)",
            "INSERT INTO x VALUES (1)",
            "CREATE TABLE t (a INT)",
            "INSERT INTO t SELECT * FROM x",
            "DROP TEMPORARY TABLE x",
            "CREATE TEMPORARY TABLE y (b INT)",
            "CREATE TABLE u LIKE y",
            "DROP TABLE y, u",
        ],
    ),
    Case::applied(
        "Files of the binlog",
        MARIADB,
        ROTATES,
    )
    .events(&[E::ROTATE, E::FORMAT_DESCRIPTION, E::GTID_LIST, E::BINLOG_CHECKPOINT]),
    Case::applied("Files of the binlog ", MYSQL, ROTATES).events(&[
        E::ROTATE,
        E::FORMAT_DESCRIPTION,
        E::PREVIOUS_GTIDS,
    ]),
    Case::applied(
        "Without GTIDs, and with tagged ones",
        MYSQL,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "SET GLOBAL gtid_mode = ON_PERMISSIVE",
            "SET GLOBAL gtid_mode = OFF_PERMISSIVE",
            "INSERT INTO t VALUES (1)",
            "ALTER TABLE t ADD v INT",
            "SET GLOBAL gtid_mode = ON_PERMISSIVE",
            "SET GLOBAL gtid_mode = ON",
            "SET SESSION gtid_next = 'AUTOMATIC:some_tag'",
            "INSERT INTO t VALUES (2, 2)",
        ],
    )
    .events(&[E::ANONYMOUS_GTID, E::GTID_TAGGED]),
];

const DML: &[&str] = &[
    "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT, UNIQUE KEY (v))",
    "INSERT INTO t (v) VALUES (1), (2), (3)",
    "UPDATE t SET v = v + 10 WHERE id < 3",
    "REPLACE INTO t (v) VALUES (11), (4)",
    "INSERT INTO t (v) VALUES (4) ON DUPLICATE KEY UPDATE v = 5",
    "INSERT IGNORE INTO t (v) VALUES (5), (6)",
    "DELETE FROM t WHERE v = 3",
    "SET SESSION foreign_key_checks = 0, unique_checks = 0",
    "INSERT INTO t (v) VALUES (100)",
];

const ROTATES: &[&str] = &[
    "CREATE TABLE t (id INT PRIMARY KEY)",
    "INSERT INTO t VALUES (1)",
    "FLUSH BINARY LOGS",
    "INSERT INTO t VALUES (2)",
    "FLUSH BINARY LOGS",
];
