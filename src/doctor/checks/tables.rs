//! The tables that are replicated.

use super::super::facts::Inventory;
use super::super::finding::{Finding, Verdict};

pub(super) fn tables(inventory: &Inventory) -> [Finding; 2] {
    [without_key(inventory), not_transactional(inventory)]
}

fn without_key(inventory: &Inventory) -> Finding {
    let topic = "primary_keys";
    if inventory.without_key.count == 0 {
        return Finding::good(topic, "every table has a primary key");
    }
    let what = format!(
        "tables without a primary key, {}: a replica finds each changed row by reading the table",
        inventory.without_key.text()
    );
    Finding::new(topic, Verdict::Warning, what).by_hand("give them a primary key")
}

fn not_transactional(inventory: &Inventory) -> Finding {
    let topic = "engines";
    if inventory.not_transactional.count == 0 {
        return Finding::good(topic, "every table is transactional");
    }
    let what = format!(
        "tables without transactions, {}: a crash in the middle of a statement leaves half of it, and \
         a replica cannot apply them exactly once",
        inventory.not_transactional.text()
    );
    Finding::new(topic, Verdict::Warning, what).by_hand("ALTER TABLE … ENGINE=InnoDB")
}
