//! Facts in, findings out. Pure: a table or a rule in each file.

mod members;
mod privileges;
mod readers;
mod replica;
mod server;
mod settings;
mod tables;

use super::facts::{Facts, Inventory, Role};
use super::finding::Finding;

pub use members::{Examined, members};
pub(super) use readers::semi_sync;
pub(super) use settings::demanded;

/// What an agent looks at before a reign: settings, running and kept, and who reads the binlog.
pub fn quick(facts: &Facts) -> Vec<Finding> {
    let mut found = settings::settings(facts);
    found.extend(server::server_id(facts));
    found.extend(server::engine_binlog(facts));
    found.push(server::expiry(facts));
    if facts.role == Role::Source {
        found.extend(readers::semi_sync(&facts.variables, &facts.status, facts.own_clients));
        found.push(readers::asynchronous(facts));
    }
    found
}

/// Everything.
pub fn all(facts: &Facts, inventory: &Inventory) -> Vec<Finding> {
    let mut found = vec![server::version(facts)];
    found.extend(quick(facts));
    found.extend(server::plugin(facts));
    found.push(server::spare_port(facts, inventory));
    found.extend(privileges::privileges(facts, &inventory.account));
    found.extend(tables::tables(inventory));
    found.extend(replica::replica(facts, inventory));
    found
}
