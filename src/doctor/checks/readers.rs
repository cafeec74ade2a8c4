//! Who else reads the source's binlog, and whose ACK can let COMMITs go (I3).

use super::super::facts::{Facts, Reader};
use super::super::finding::{Finding, Verdict};
use crate::explain::Code;
use crate::server::{SemiSync, Variables};

/// Whether COMMITs wait, and for us alone. `own_clients`: how many acknowledging replicas are ours.
pub(in super::super) fn semi_sync(
    variables: &Variables,
    status: &Variables,
    own_clients: u32,
) -> Option<Finding> {
    let topic = "semi_sync";
    let Some(now) = SemiSync::of(variables, status) else {
        let what = "the server has no semi-sync plugin: COMMITs return without the quorum";
        let wrong = Finding::new(topic, Verdict::Wrong, what).code(Code::UNPROTECTED_NO_PLUGIN);
        return Some(wrong.by_hand("restart the agent: it installs the plugin"));
    };
    let own = own_clients;
    if !now.enabled && own == 0 {
        let what = "semi-sync is off; the agent switches it on before its first epoch";
        return Some(Finding::new(topic, Verdict::Note, what));
    }
    if !now.enabled {
        let what = "semi-sync is off: COMMITs return without the quorum";
        let set = format!("SET GLOBAL {}=ON", now.switch);
        return Some(
            Finding::new(topic, Verdict::Wrong, what).code(Code::UNPROTECTED_OFF).run([set]),
        );
    }
    if !now.active {
        let what = "the server has fallen back to asynchronous replication: COMMITs return without the \
                    quorum";
        let way_out = "set its semi-sync timeout to 4294967295 and restart the agent";
        let wrong = Finding::new(topic, Verdict::Wrong, what).code(Code::UNPROTECTED_FALLEN_BACK);
        return Some(wrong.by_hand(way_out));
    }
    if now.clients > own.max(1) {
        let what = format!(
            "{} semi-sync replicas are attached, {own} of them ours: a foreign replica's ACK releases \
             every COMMIT without the quorum",
            now.clients
        );
        let way_out = "at the other replicas, switch semi-sync off and restart the I/O thread: SET \
                       GLOBAL rpl_semi_sync_slave_enabled=0 (MySQL: rpl_semi_sync_replica_enabled), \
                       STOP REPLICA IO_THREAD, START REPLICA IO_THREAD; MySQL notices with \
                       its next transactions";
        let wrong = Finding::new(topic, Verdict::Wrong, what).code(Code::UNPROTECTED_FOREIGN_ACK);
        return Some(wrong.by_hand(way_out).refusing());
    }
    if now.clients > own {
        // Or our own of a moment ago, which the server has not missed yet.
        let what = "a semi-sync replica is attached, and the agent is not: its ACK releases every COMMIT \
                    without the quorum";
        return Some(Finding::new(topic, Verdict::Warning, what).by_hand(
            "look again; if it stays, \
            switch semi-sync off at that replica and restart its I/O thread",
        ));
    }
    Some(Finding::good(topic, "COMMIT waits, and nobody but us acknowledges"))
}

/// Native asynchronous replicas and readers of changes.
pub(super) fn asynchronous(facts: &Facts) -> Finding {
    let topic = "other_readers";
    let others: Vec<&Reader> = facts.readers.iter().filter(|reader| !reader.ours).collect();
    if others.is_empty() {
        return Finding::good(topic, "nobody else reads the binlog");
    }
    let names: Vec<String> =
        others.iter().map(|reader| format!("{}@{}", reader.user, reader.host)).collect();
    let what = format!(
        "others read the binlog, {}: {}. They see a transaction before the quorum has it, and keep it \
         if it is lost here",
        names.len(),
        names.join(", ")
    );
    let way_out = "let them read from a replica of the cluster instead";
    Finding::new(topic, Verdict::Warning, what).by_hand(way_out)
}
