//! Every column type, with the values at its edges.

use super::case::{BOTH, Case, MARIADB, MYSQL};

pub const CASES: &[Case] = &[
    Case::applied(
        "Numbers",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, \
             su SMALLINT UNSIGNED, m MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, iu INT UNSIGNED, \
             b BIGINT, bu BIGINT UNSIGNED, f FLOAT, d DOUBLE, wide DECIMAL(65,30), \
             narrow DECIMAL(1,1), whole DECIMAL(65,0))",
            "INSERT INTO t VALUES (1, -128, 0, -32768, 0, -8388608, 0, -2147483648, 0, \
             -9223372036854775808, 0, -3.402823466E+38, -1.7976931348623157e308, \
             -99999999999999999999999999999999999.999999999999999999999999999999, -0.9, \
             -99999999999999999999999999999999999999999999999999999999999999999)",
            "INSERT INTO t VALUES (2, 127, 255, 32767, 65535, 8388607, 16777215, 2147483647, \
             4294967295, 9223372036854775807, 18446744073709551615, 3.402823466E+38, \
             1.7976931348623157e308, 99999999999999999999999999999999999.999999999999999999999999999999, \
             0.9, 99999999999999999999999999999999999999999999999999999999999999999)",
            "INSERT INTO t VALUES (3, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, 1.17549e-38, \
             2.2250738585072014e-308, -0.000000000000000000000000000001, 0, -1)",
            "INSERT INTO t (id, f, d) VALUES (4, 0.1, 0.1), (5, -0.0, -0.0), (6, NULL, NULL)",
            "UPDATE t SET m = -m, f = f / 3, d = d / 3, wide = wide / 7 WHERE id = 3",
            "DELETE FROM t WHERE id = 4",
        ],
    )
    .columns(&[1, 2, 3, 4, 5, 8, 9, 246]),
    Case::applied(
        "Dates and times",
        BOTH,
        &[
            "SET SESSION sql_mode = ''",
            "CREATE TABLE t (id INT PRIMARY KEY, d DATE, t TIME, t1 TIME(1), t3 TIME(3), t6 TIME(6), \
             dt DATETIME, dt2 DATETIME(2), dt6 DATETIME(6), ts TIMESTAMP NULL, ts5 TIMESTAMP(5) NULL, \
             ts6 TIMESTAMP(6) NULL, y YEAR)",
            "INSERT INTO t VALUES (1, '0000-00-00', '-838:59:59', '-838:59:58.9', '-00:00:00.001', \
             '-00:00:00.000001', '0000-00-00 00:00:00', '2024-00-00 00:00:00', \
             '0000-00-00 00:00:00.000001', '0000-00-00 00:00:00', '1970-01-01 00:00:01.00001', \
             '1970-01-02 00:00:00.000001', 0)",
            "INSERT INTO t VALUES (2, '9999-12-31', '838:59:59', '838:59:58.9', '23:59:59.999', \
             '99:59:59.999999', '9999-12-31 23:59:59', '9999-12-31 23:59:59.99', \
             '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', '2038-01-18 03:14:07.99999', \
             '2038-01-18 03:14:07.999999', 2155)",
            "INSERT INTO t VALUES (3, '1000-01-01', '00:00:00', 0, 0, 0, '1000-01-01 00:00:00', \
             '2024-02-29 12:00:00.5', '0001-01-01 00:00:00', NOW(), NOW(5), NOW(6), 1901)",
            "INSERT INTO t (id) VALUES (4)",
            "UPDATE t SET t6 = '-01:02:03.000004', dt6 = NOW(6) WHERE id = 2",
        ],
    )
    .columns(&[10, 13, 17, 18, 19]),
    Case::applied(
        "Texts and bytes",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, c CHAR(30) CHARACTER SET latin1, \
             cu CHAR(255) CHARACTER SET utf8mb4, v VARCHAR(40) CHARACTER SET latin1, \
             vl VARCHAR(3000) CHARACTER SET utf8mb4, j VARCHAR(20) CHARACTER SET sjis, \
             w VARCHAR(20) CHARACTER SET utf16, b BINARY(5), vb VARBINARY(300), \
             tt TINYTEXT CHARACTER SET latin1, te TEXT, mt MEDIUMTEXT, lt LONGTEXT, tb TINYBLOB, \
             bl BLOB, mb MEDIUMBLOB, lb LONGBLOB)",
            "INSERT INTO t VALUES (1, _latin1 X'E9FF80', REPEAT('\u{1F6A2}', 255), _latin1 X'E4F6FC', \
             REPEAT('\u{e9}', 3000), _sjis X'8365835C', _utf16 X'D83DDEA2', X'00FF00', X'FFFE00C328', \
             _latin1 X'FF', 'quote \\' backslash \\\\ nul \\0', REPEAT('m', 70000), 'l', X'C3', X'80', \
             REPEAT(X'FF', 70000), X'')",
            "INSERT INTO t VALUES (2, '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '')",
            "INSERT INTO t (id, c, v) VALUES (3, 'ends  ', 'ends  '), (4, NULL, NULL)",
            "UPDATE t SET vb = REPEAT(X'00FF', 150), v = _latin1 X'A0' WHERE id = 1",
        ],
    )
    .columns(&[15, 252, 254]),
    Case::applied(
        "A BLOB of 20 MB",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB)",
            "INSERT INTO t VALUES (1, REPEAT(X'00FF27', 7000000))",
            "DELETE FROM t",
            "INSERT INTO t VALUES (2, REPEAT(X'FE', 20971520))",
        ],
    )
    .columns(&[252])
    .remark("one row event of up to three quarters of the replica's `max_allowed_packet` is applied; a larger one stops that replica by name"),
    Case::applied(
        "BIT, ENUM, SET",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, b1 BIT(1), b8 BIT(8), b9 BIT(9), b33 BIT(33), \
             b63 BIT(63), b64 BIT(64), e ENUM('', 'a', '\u{fc}') CHARACTER SET utf8mb4, \
             s SET('x', 'y', 'z'))",
            "INSERT INTO t VALUES (1, b'1', b'10000001', b'100000001', 8589934591, \
             9223372036854775807, 18446744073709551615, '\u{fc}', 'x,z'), \
             (2, 0, 0, 0, 0, 0, 0, '', ''), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
            "UPDATE t SET b64 = b'1', s = 'x,y,z', e = 'a' WHERE id = 1",
            "CREATE TABLE wide (s SET('1','2','3','4','5','6','7','8','9','10','11','12','13','14',\
             '15','16','17','18','19','20','21','22','23','24','25','26','27','28','29','30','31',\
             '32','33','34','35','36','37','38','39','40','41','42','43','44','45','46','47','48',\
             '49','50','51','52','53','54','55','56','57','58','59','60','61','62','63','64'))",
            "INSERT INTO wide VALUES ('1,64'), ('64'), ('')",
        ],
    )
    .columns(&[16, 247, 248]),
    Case::applied(
        "GEOMETRY of all kinds",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, g GEOMETRY, p POINT, y POLYGON, mp MULTIPOINT, \
             gc GEOMETRYCOLLECTION)",
            "INSERT INTO t VALUES (1, ST_GeomFromText('LINESTRING(0 0,1 1,2 2)'), \
             ST_GeomFromText('POINT(-1.5 1e300)'), \
             ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0),(5 5,7 5,7 7,5 7,5 5))'), \
             ST_GeomFromText('MULTIPOINT(0 0,20 20)'), \
             ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')), \
             (2, NULL, NULL, NULL, NULL, NULL)",
            "UPDATE t SET g = ST_GeomFromText('POINT(3 4)') WHERE id = 1",
        ],
    )
    .columns(&[255]),
    Case::applied(
        "Invisible and generated columns",
        BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, a INT INVISIBLE DEFAULT 3, \
             v INT GENERATED ALWAYS AS (id * 2) VIRTUAL, s INT GENERATED ALWAYS AS (id + 1) STORED, \
             KEY (v), KEY (s))",
            "INSERT INTO t (id, a) VALUES (1, 9), (2, DEFAULT)",
            "UPDATE t SET a = 5, id = 7 WHERE id = 1",
            "DELETE FROM t WHERE v = 4",
        ],
    ),
    Case::applied(
        "JSON of MariaDB, a text",
        MARIADB,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, j JSON)",
            "INSERT INTO t VALUES (1, '{\"a\": [1, 2.5, null, \"\u{1F6A2}\"]}'), (2, 'null'), (3, NULL)",
            "UPDATE t SET j = JSON_SET(j, '$.b', 1) WHERE id = 1",
        ],
    ),
    Case::applied(
        "JSON of MySQL",
        MYSQL,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, j JSON)",
            "INSERT INTO t VALUES (1, '{\"a\": [1, 2.5, null, \"\u{1F6A2}\"], \"big\": 18446744073709551615}'), \
             (2, 'null'), (3, NULL), (4, CAST(NOW(6) AS JSON)), (5, CAST(1.234567890123456789 AS JSON))",
            "INSERT INTO t VALUES (6, JSON_OBJECT('long', REPEAT('x', 70000)))",
            "UPDATE t SET j = JSON_SET(j, '$.b', 1) WHERE id = 1",
        ],
    )
    .columns(&[245]),
    Case::applied(
        "Multi-valued index, functional index",
        MYSQL,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, j JSON, a INT, \
             INDEX many ((CAST(j->'$[*]' AS UNSIGNED ARRAY))), INDEX twice ((a * 2)))",
            "INSERT INTO t VALUES (1, '[1, 2, 3]', 4), (2, '[]', 5)",
            "UPDATE t SET j = '[4]' WHERE id = 1",
            "DELETE FROM t WHERE id = 2",
        ],
    )
    .columns(&[245]),
    Case::applied(
        "VECTOR",
        MYSQL,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v VECTOR(3), w VECTOR(2000))",
            "INSERT INTO t VALUES (1, TO_VECTOR('[1,-2.5,3e38]'), NULL), (2, NULL, NULL)",
            "UPDATE t SET v = TO_VECTOR('[0,0,0]') WHERE id = 2",
        ],
    )
    .columns(&[242]),
    Case::applied(
        "UUID, INET4, INET6",
        MARIADB,
        &[
            "CREATE TABLE t (u UUID PRIMARY KEY, i4 INET4, i6 INET6)",
            "INSERT INTO t VALUES ('ffffffff-ffff-ffff-ffff-fffffffffffe', '255.255.255.255', '::'), \
             ('00000000-0000-0000-0000-000000000001', '0.0.0.0', \
             'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'), (UUID(), NULL, NULL)",
            "UPDATE t SET i4 = '1.2.3.4', i6 = '::1' WHERE i4 IS NULL",
        ],
    )
    .columns(&[254]),
    Case::applied(
        "Compressed columns",
        MARIADB,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(2000) COMPRESSED, b BLOB COMPRESSED, \
             l LONGTEXT COMPRESSED)",
            "INSERT INTO t VALUES (1, REPEAT('x', 1500), REPEAT(X'00', 60000), REPEAT('y', 200000)), \
             (2, '', '', ''), (3, NULL, NULL, NULL), (4, 'short', X'FF', 's')",
            "UPDATE t SET v = 'n', b = REPEAT('q', 900), l = NULL WHERE id = 1",
        ],
    )
    .columns(&[140, 141]),
    Case::applied(
        "TIME, DATETIME, TIMESTAMP of MariaDB 5.3",
        MARIADB,
        &[
            "-- everywhere: SET GLOBAL mysql56_temporal_format = OFF",
            "CREATE TABLE t (id INT PRIMARY KEY, t TIME(3), dt DATETIME(6), ts TIMESTAMP(2) NULL, \
             t0 TIME, dt0 DATETIME, ts0 TIMESTAMP NULL)",
            "INSERT INTO t VALUES (1, '-12:13:14.567', '2020-01-02 03:04:05.678901', \
             '2020-01-01 00:00:01.23', '-838:59:59', '1000-01-01 00:00:00', '2001-01-01 00:00:00')",
            "UPDATE t SET t0 = '00:00:01'",
            "-- settle",
            "-- everywhere: SET GLOBAL mysql56_temporal_format = ON",
        ],
    )
    .columns(&[7, 11, 12])
    .remark("where `mysql56_temporal_format` differs, a replica keeps the same values in its own format"),
];
