//! What only a replica must not be or do.

use super::super::facts::{Facts, Inventory, Role};
use super::super::finding::{Finding, Verdict};
use crate::server::Family;

pub(super) fn replica(facts: &Facts, inventory: &Inventory) -> Vec<Finding> {
    let mut found = vec![privileged_events(inventory)];
    if facts.role == Role::Source {
        return found;
    }
    found.push(writers(inventory));
    found.push(native(facts, inventory));
    found
}

/// They write while the server is closed: after a restart of the source, and at a replica.
fn privileged_events(inventory: &Inventory) -> Finding {
    let topic = "privileged_events";
    if inventory.privileged_events.count == 0 {
        return Finding::good(topic, "no enabled event writes under read_only");
    }
    let what = format!(
        "enabled events whose definer may write under read_only, {}: they write while the server is \
         closed, wherever the event scheduler runs",
        inventory.privileged_events.text()
    );
    let way_out = "give them a definer without SUPER, CONNECTION_ADMIN or READ_ONLY ADMIN, or keep \
                   event_scheduler=OFF in the option files of all servers and switch it on at the \
                   source by hand";
    Finding::new(topic, Verdict::Warning, what).by_hand(way_out)
}

fn writers(inventory: &Inventory) -> Finding {
    let topic = "writers";
    if inventory.writers.count == 0 {
        return Finding::good(topic, "nobody but the agent may write under read_only");
    }
    let what = format!(
        "accounts that may write at this replica although it is read_only, {}",
        inventory.writers.text()
    );
    let way_out = "keep them for administrators; what they write here is nowhere else";
    Finding::new(topic, Verdict::Note, what).by_hand(way_out)
}

fn native(facts: &Facts, inventory: &Inventory) -> Finding {
    let topic = "native_replication";
    let Some(sources) = &inventory.native_sources else {
        let what = "whether native replication runs here too cannot be seen";
        let unseen = Finding::new(topic, Verdict::Warning, what);
        return unseen.by_hand("grant our account SLAVE MONITOR");
    };
    if sources.count == 0 {
        return Finding::good(topic, "no native replication runs here");
    }
    let what = format!(
        "native replication runs here, from {}: it and the agent apply the same transactions",
        sources.text()
    );
    let way_out = match facts.family {
        Family::Mysql => {
            "STOP REPLICA; RESET REPLICA ALL, once its place is known to the agent \
                          (plimsoll adopt)"
        }
        Family::Mariadb => {
            "STOP ALL SLAVES; RESET SLAVE ALL, once its place is known to the agent \
                            (plimsoll adopt)"
        }
    };
    Finding::new(topic, Verdict::Wrong, what).by_hand(way_out)
}
