//! The path of a transaction: a mixed workload on the source, and every replica equals it.

use mysql_async::prelude::Queryable;

use crate::differential;
use crate::support::playground::Server;
use crate::support::{
    Context, Family, Playground, Result, compare, ensure, on_both_families, random, sql,
};

on_both_families!(mixed_workload, rows_while_tables_change);

/// Tables of the common kinds, foreign keys, triggers, views, partitions, generated columns.
const SCHEMA: &[&str] = &[
    "CREATE DATABASE shop CHARACTER SET utf8mb4",
    "CREATE TABLE shop.customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL, \
     email VARCHAR(120) CHARACTER SET latin1, UNIQUE KEY (email)) ENGINE=InnoDB",
    "CREATE TABLE shop.orders (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, \
     total DECIMAL(20,6) NOT NULL, placed DATETIME(6) NOT NULL, \
     with_tax DECIMAL(22,6) GENERATED ALWAYS AS (total * 1.2) VIRTUAL, \
     rounded DECIMAL(20,0) GENERATED ALWAYS AS (ROUND(total)) STORED, \
     CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES shop.customers (id) \
     ON DELETE CASCADE ON UPDATE CASCADE) ENGINE=InnoDB",
    "CREATE TABLE shop.audit (what VARCHAR(40), order_id BIGINT UNSIGNED, at TIMESTAMP(3) \
     DEFAULT CURRENT_TIMESTAMP(3)) ENGINE=InnoDB",
    "CREATE TRIGGER shop.orders_added AFTER INSERT ON shop.orders FOR EACH ROW \
     INSERT INTO shop.audit (what, order_id) VALUES ('added', NEW.id)",
    "CREATE TRIGGER shop.orders_gone BEFORE DELETE ON shop.orders FOR EACH ROW \
     INSERT INTO shop.audit (what, order_id) VALUES ('gone', OLD.id)",
    "CREATE VIEW shop.totals AS SELECT customer, SUM(total) AS total FROM shop.orders GROUP BY customer",
    "CREATE TABLE shop.keyless (a INT, b VARCHAR(20), c DOUBLE) ENGINE=InnoDB",
    "CREATE TABLE shop.parts (id INT NOT NULL, year SMALLINT NOT NULL, word CHAR(10), \
     PRIMARY KEY (id, year)) ENGINE=InnoDB PARTITION BY RANGE (year) \
     (PARTITION old VALUES LESS THAN (2000), PARTITION new VALUES LESS THAN MAXVALUE)",
    "CREATE TABLE shop.kinds (id INT PRIMARY KEY, tiny TINYINT, small SMALLINT UNSIGNED, \
     medium MEDIUMINT, large BIGINT, unsigned_large BIGINT UNSIGNED, single FLOAT, double_one DOUBLE, \
     fixed DECIMAL(65,30), bits BIT(17), day DATE, clock TIME(3), moment DATETIME(6), \
     stamp TIMESTAMP(6) NULL, year_one YEAR, short_text CHAR(30), text_one TEXT, wide LONGTEXT, \
     bin_one BINARY(16), varbin VARBINARY(300), blob_one LONGBLOB, choice ENUM('a','b','ü'), \
     many SET('x','y','z'), doc JSON, place GEOMETRY) ENGINE=InnoDB",
];

const VALUES: &[&str] = &[
    "INSERT INTO shop.kinds (id) VALUES (0)",
    "INSERT INTO shop.kinds VALUES (1, -128, 65535, -8388608, -9223372036854775808, \
     18446744073709551615, 1.5, -2.25e-300, -12345678901234567890.123456789012345678901234567891, \
     b'10101010101010101', '9999-12-31', '-838:59:59.000', '1000-01-01 00:00:00.000001', \
     '2038-01-19 03:14:07.999999', 2155, 'ends ', 'na\\'ive \\\\ \u{1F6A2}', REPEAT('\u{e9}', 70000), \
     X'00FF00FF00FF00FF00FF00FF00FF0000', X'0001', REPEAT(X'00FE', 3000), '\u{fc}', 'x,z', \
     '{\"a\": [1, 2.5, null, \"\u{1F6A2}\"]}', ST_GeomFromText('POINT(1 2)'))",
    "INSERT INTO shop.kinds (id, day, moment, short_text, choice, many, doc) \
     VALUES (2, '2024-02-29', '2024-02-29 12:00:00', '', 'a', '', '[]')",
];

/// ER_DUP_ENTRY.
const DUPLICATE_KEY: u16 = 1062;

async fn mixed_workload(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    mix(&play.source()?).await?;
    compare::all_equal(&play).await?;
    binlogs_are_read_alike(&play)?;
    play.end().await
}

/// What just went through the cluster, by our reader of events and two others.
fn binlogs_are_read_alike(play: &Playground) -> Result<()> {
    let mut images = 0;
    for entry in std::fs::read_dir(play.dir().join("s1"))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("binlog.0") {
            let agreed = differential::compare(&file).context(name)?;
            images += agreed.iter().map(|agreed| agreed.images).sum::<usize>();
        }
    }
    ensure!(images > 200, "only {images} row images were compared");
    Ok(())
}

/// The mixed workload, on one session.
pub(super) async fn mix(source: &Server) -> Result<()> {
    sql::run(source, SCHEMA).await?;
    sql::run(source, VALUES).await?;
    let mut conn = sql::connect(source).await?;
    let mut random = random::Choices::new("mixed_workload");
    for round in 0..60 {
        for statement in step(round, &mut random) {
            let start: String = statement.chars().take(120).collect();
            match conn.query_drop(&statement).await {
                // The same random customer twice.
                Err(mysql_async::Error::Server(error)) if error.code == DUPLICATE_KEY => {}
                done => done.context(start)?,
            }
        }
        conn.query_drop("ROLLBACK").await?;
    }
    conn.query_drop(
        "INSERT INTO shop.kinds (id, blob_one) VALUES (5, REPEAT('0123456789', 524288))",
    )
    .await?;
    conn.query_drop("UPDATE shop.kinds SET wide = REPEAT('q', 5242880) WHERE id = 5").await?;
    Ok(conn.disconnect().await?)
}

/// The statements of one round.
fn step(round: u64, random: &mut random::Choices) -> Vec<String> {
    let (customer, n) = (random.pick(1..30), random.pick(0..1_000_000));
    let insert_customer = format!(
        "INSERT INTO shop.customers (name, email) VALUES ('c{n}\u{e9}\u{1F6A2}', 'c{n}@example')"
    );
    let order = format!(
        "INSERT INTO shop.orders (customer, total, placed) \
         SELECT id, {n} / 7, NOW(6) FROM shop.customers WHERE id <= {customer}"
    );
    let keyless = format!(
        "INSERT INTO shop.keyless VALUES ({round}, 'w{n}', {n} / 3), ({round}, NULL, NULL)"
    );
    let words: Vec<String> = match round % 12 {
        0 => vec![insert_customer, order],
        1 => ["BEGIN", &insert_customer, &order, &keyless, "COMMIT"].map(str::to_owned).to_vec(),
        2 => ["BEGIN", &order, &keyless, "ROLLBACK"].map(str::to_owned).to_vec(),
        3 => {
            ["BEGIN", &insert_customer, "SAVEPOINT a", &order, "ROLLBACK TO a", &keyless, "COMMIT"]
                .map(str::to_owned)
                .to_vec()
        }
        4 => vec![format!("UPDATE shop.orders SET total = total + 1 WHERE customer = {customer}")],
        5 => vec![format!("DELETE FROM shop.customers WHERE id = {customer}")],
        6 => vec![
            format!("UPDATE shop.keyless SET b = 'again' WHERE a % 5 = {}", n % 5),
            format!("DELETE FROM shop.keyless WHERE a % 11 = {} LIMIT 3", n % 11),
        ],
        7 => vec![
            format!("ALTER TABLE shop.customers ADD COLUMN extra{round} INT DEFAULT {n}"),
            insert_customer,
        ],
        8 => vec![
            format!("CREATE TABLE shop.copy{round} AS SELECT * FROM shop.orders"),
            format!("CREATE TABLE shop.like{round} LIKE shop.orders"),
            format!("RENAME TABLE shop.copy{round} TO shop.renamed{round}"),
        ],
        9 => vec![
            format!("INSERT INTO shop.parts VALUES ({round}, 1990, 'old'), ({round}, 2020, 'new')"),
            format!("UPDATE shop.parts SET year = 2021 WHERE id = {round} AND year = 1990"),
        ],
        10 => vec![
            "CREATE TABLE IF NOT EXISTS shop.emptied (id INT PRIMARY KEY)".to_owned(),
            format!("INSERT INTO shop.emptied VALUES ({n})"),
            "TRUNCATE TABLE shop.emptied".to_owned(),
            format!("INSERT INTO shop.emptied VALUES ({round})"),
        ],
        _ => vec![
            "SET SESSION time_zone = '+05:30', sql_mode = 'ANSI_QUOTES'".to_owned(),
            format!(
                "CREATE TABLE shop.\"odd {round}\" (\"a b\" TIMESTAMP DEFAULT '2020-01-01 00:00:00')"
            ),
            format!("INSERT INTO shop.\"odd {round}\" VALUES (DEFAULT), ('2024-06-01 12:00:00')"),
            "SET SESSION time_zone = 'SYSTEM', sql_mode = DEFAULT".to_owned(),
        ],
    };
    words
}

/// Several sessions at once write while a table of theirs is altered.
async fn rows_while_tables_change(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    let source = play.source()?;
    sql::run(
        &source,
        &["CREATE DATABASE busy", "CREATE TABLE busy.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)"],
    )
    .await?;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let source = source.clone();
        writers.spawn(async move {
            let mut conn = sql::connect(&source).await?;
            for n in 0..100 {
                conn.query_drop(format!("INSERT INTO busy.t (v) VALUES ({writer}), ({n})")).await?;
            }
            conn.disconnect().await?;
            anyhow::Ok(())
        });
    }
    for n in 0..5 {
        sql::run(&source, &[&format!("ALTER TABLE busy.t ADD COLUMN c{n} INT DEFAULT {n}")])
            .await?;
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    compare::all_equal(&play).await?;
    play.end().await
}
