//! XA transactions: a prepared one is parked by its record's number and applied at its XA COMMIT.

use plimsoll::binlog::EventKind as E;

use super::case::{BOTH, Case};

pub const CASES: &[Case] = &[
    Case::applied(
        "XA in one phase",
        BOTH,
        &[
            "CREATE TABLE t (a INT PRIMARY KEY)",
            "XA START 'c_one'",
            "INSERT INTO t VALUES (1)",
            "XA END 'c_one'",
            "XA COMMIT 'c_one' ONE PHASE",
        ],
    ),
    Case::applied(
        "XA in two phases, from another session",
        BOTH,
        &[
            "CREATE TABLE t (a INT PRIMARY KEY)",
            "XA START 'c_two', 'branch', 77",
            "INSERT INTO t VALUES (2)",
            "XA END 'c_two', 'branch', 77",
            "XA PREPARE 'c_two', 'branch', 77",
            "-- new session",
            "INSERT INTO t VALUES (100)",
            "CREATE TABLE meanwhile (a INT)",
            "XA COMMIT 'c_two', 'branch', 77",
        ],
    )
    .events(&[E::XA_PREPARE]),
    Case::applied(
        "XA rolled back, empty, and with an id of bytes",
        BOTH,
        &[
            "CREATE TABLE t (a INT PRIMARY KEY)",
            "XA START 'c_undone'",
            "INSERT INTO t VALUES (3)",
            "XA END 'c_undone'",
            "XA PREPARE 'c_undone'",
            "XA ROLLBACK 'c_undone'",
            "XA START 'c_empty'",
            "XA END 'c_empty'",
            "XA PREPARE 'c_empty'",
            "XA COMMIT 'c_empty'",
            "XA START X'00FF27'",
            "INSERT INTO t VALUES (5)",
            "XA END X'00FF27'",
            "XA PREPARE X'00FF27'",
            "XA COMMIT X'00FF27'",
            "INSERT INTO t VALUES (3)",
        ],
    ),
    Case::applied(
        "Two prepared at once, committed in the other order",
        BOTH,
        &[
            "CREATE TABLE t (a INT PRIMARY KEY, b INT)",
            "XA START 'c_first'",
            "INSERT INTO t VALUES (1, 1)",
            "XA END 'c_first'",
            "XA PREPARE 'c_first'",
            "-- new session",
            "XA START 'c_second'",
            "INSERT INTO t VALUES (2, 2)",
            "XA END 'c_second'",
            "XA PREPARE 'c_second'",
            "-- new session",
            "XA COMMIT 'c_second'",
            "UPDATE t SET b = 5 WHERE a = 2",
            "XA COMMIT 'c_first'",
            "UPDATE t SET b = 6 WHERE a = 1",
        ],
    ),
];
