//! What the guard makes of one look at the server after another. Pure: the clock is handed in.

use std::time::{Duration, Instant};

use wal::Lsn;

use crate::binlog::GtidSet;
use crate::doctor;
use crate::explain::{Code, Coded};
use crate::server::{Family, SemiSync, Variables};

/// So long a COMMIT that returned without an ACK is told of at least: nobody looks each second.
const TOLD: Duration = Duration::from_secs(30);

/// COMMITs that wait so long although the quorum is there wait for something that does not come.
const STUCK: Duration = Duration::from_secs(10);

/// One look.
pub(super) struct Look<'a> {
    pub family: Family,
    pub variables: &'a Variables,
    pub status: &'a Variables,
    /// The binlog position that was acknowledged last.
    pub acknowledged: Option<&'a str>,
    /// The record that was released last. It grows each second while the quorum is there.
    pub released: Option<Lsn>,
    pub now: Instant,
}

/// What is to be told after a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Why COMMITs do not depend on our quorum alone.
    pub reasons: Vec<Coded>,
    /// Why COMMITs wait although the quorum is there.
    pub stuck: Option<Coded>,
    /// COMMITs that have returned without an ACK since the last look.
    pub passed: u64,
}

/// What is remembered between looks, also from one reign to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// COMMITs without an ACK, as the server counted them at the last look.
    passed: Option<u64>,
    /// When that grew last, and by how much since it was last quiet.
    grew: Option<(Instant, u64)>,
    /// Everything that its binlog has held.
    executed: Option<GtidSet>,
    /// The ACK for which COMMITs wait, since when, and what was released then.
    waits: Option<(Option<String>, Instant, Option<Lsn>)>,
}

impl Memory {
    pub fn look(&mut self, look: &Look) -> Told {
        let mut told = Told {
            reasons: doctor::unprotected(look.family, look.variables, look.status),
            ..Told::default()
        };
        let semi_sync = SemiSync::of(look.variables, look.status);
        if let Some(now) = &semi_sync {
            told.passed = self.count(now.passed, look.now);
        }
        if let Some((_, commits)) = self.grew {
            let text = format!(
                "{commits} COMMITs returned without our acknowledgement (a KILL, or semi-sync was off): \
                 they are shipped like the others, but until then stand on the source's disk alone"
            );
            told.reasons.push(Coded::new(Code::UNPROTECTED_PASSED, text));
        }
        if self.was_reset(look.family, look.variables) {
            let text = "the server's binlog was RESET under the agent: what is written now is in no \
                        log, and COMMITs wait; stop the clients, end the server with SIGKILL, and \
                        rebuild it from a replica's backup";
            told.reasons.push(Coded::new(Code::UNPROTECTED_RESET, text));
        }
        told.stuck = self.stuck(semi_sync.map_or(0, |now| now.waiting), look);
        told
    }

    /// COMMITs that passed our last ACK (I3). The first look, and one after the counter began anew,
    /// only remember it.
    fn count(&mut self, passed: u64, now: Instant) -> u64 {
        let more = passed.saturating_sub(self.passed.unwrap_or(passed));
        self.passed = Some(passed);
        let told = self.grew.filter(|(since, _)| now.duration_since(*since) < TOLD);
        let before = told.map_or(0, |(_, commits)| commits);
        self.grew = if more > 0 { Some((now, before + more)) } else { told };
        more
    }

    /// A binlog only grows. After a RESET both families keep our connection open and send nothing.
    fn was_reset(&mut self, family: Family, variables: &Variables) -> bool {
        let name = match family {
            Family::Mysql => "gtid_executed",
            Family::Mariadb => "gtid_binlog_pos",
        };
        let text: String = variables.get(name).unwrap_or_default().split_whitespace().collect();
        let now: Option<GtidSet> = if text.is_empty() { None } else { text.parse().ok() };
        if let Some(before) = self.executed.as_ref().filter(|before| !before.is_empty()) {
            let grown = now.as_ref().is_some_and(|now| before.is_within(now));
            if !grown {
                return true;
            }
        }
        self.executed = now;
        false
    }

    fn stuck(&mut self, waiting: u64, look: &Look) -> Option<Coded> {
        let acknowledged = look.acknowledged.map(str::to_owned);
        if waiting == 0 {
            self.waits = None;
            return None;
        }
        match &self.waits {
            Some((at, since, released)) if *at == acknowledged => {
                let long = look.now.duration_since(*since) >= STUCK;
                let quorum = look.released > *released;
                (long && quorum).then(|| {
                    let text = format!(
                        "{waiting} COMMITs wait at the server, but it sends nothing that could be \
                         acknowledged, and the quorum is there: was its binlog RESET, or does a large \
                         transaction come slowly?"
                    );
                    Coded::new(Code::COMMITS_STUCK, text)
                })
            }
            _ => {
                self.waits = Some((acknowledged, look.now, look.released));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        memory: Memory,
        start: Instant,
        variables: Vec<(&'static str, String)>,
        status: Vec<(&'static str, String)>,
    }

    impl Rig {
        fn new() -> Rig {
            let variables = [
                ("rpl_semi_sync_master_enabled", "ON"),
                ("rpl_semi_sync_master_timeout", "4294967295"),
                ("rpl_semi_sync_master_wait_point", "AFTER_SYNC"),
                ("rpl_semi_sync_master_wait_no_slave", "ON"),
                ("sync_binlog", "1"),
                ("gtid_binlog_pos", "0-1-7"),
            ];
            let status = [
                ("rpl_semi_sync_master_status", "ON"),
                ("rpl_semi_sync_master_clients", "1"),
                ("rpl_semi_sync_master_no_tx", "3"),
                ("rpl_semi_sync_master_wait_sessions", "0"),
            ];
            let own = |pairs: &[(&'static str, &str)]| {
                pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
            };
            let (variables, status) = (own(&variables), own(&status));
            Rig { memory: Memory::default(), start: Instant::now(), variables, status }
        }

        fn set(&mut self, name: &'static str, value: &str) {
            let at = if self.status.iter().any(|(known, _)| *known == name) {
                &mut self.status
            } else {
                &mut self.variables
            };
            at.retain(|(known, _)| *known != name);
            at.push((name, value.to_owned()));
        }

        fn look(&mut self, seconds: u64, acknowledged: &str, released: u64) -> Told {
            let variables = self.variables.iter().cloned().collect();
            let status = self.status.iter().cloned().collect();
            self.memory.look(&Look {
                family: Family::Mariadb,
                variables: &variables,
                status: &status,
                acknowledged: Some(acknowledged),
                released: Lsn::new(released),
                now: self.start + Duration::from_secs(seconds),
            })
        }
    }

    #[test]
    fn a_quiet_source_is_protected() {
        let mut rig = Rig::new();
        for second in 0..20 {
            assert_eq!(rig.look(second, "bin.1:4", 5 + second), Told::default());
        }
    }

    #[test]
    fn each_dangerous_change_is_a_reason_until_it_is_mended() {
        for (name, bad, good) in [
            ("rpl_semi_sync_master_enabled", "OFF", "ON"),
            ("rpl_semi_sync_master_status", "OFF", "ON"),
            ("rpl_semi_sync_master_clients", "2", "1"),
            ("rpl_semi_sync_master_timeout", "10000", "4294967295"),
            ("rpl_semi_sync_master_wait_point", "AFTER_COMMIT", "AFTER_SYNC"),
            ("rpl_semi_sync_master_wait_no_slave", "OFF", "ON"),
            ("rpl_semi_sync_master_wait_for_slave_count", "2", "1"),
            ("sync_binlog", "0", "1"),
            ("innodb_flush_log_at_trx_commit", "2", "1"),
            ("binlog_format", "MIXED", "ROW"),
            ("binlog_checksum", "NONE", "CRC32"),
        ] {
            let mut rig = Rig::new();
            assert_eq!(rig.look(0, "bin.1:4", 5).reasons, [], "{name}");
            rig.set(name, bad);
            assert_eq!(rig.look(1, "bin.1:4", 6).reasons.len(), 1, "{name}");
            rig.set(name, good);
            assert_eq!(rig.look(2, "bin.1:4", 7).reasons, [], "{name}");
        }
    }

    #[test]
    fn a_commit_without_our_ack_is_told_of_for_a_while() {
        let mut rig = Rig::new();
        rig.look(0, "bin.1:4", 5);
        rig.set("rpl_semi_sync_master_no_tx", "5");
        let told = rig.look(1, "bin.1:4", 6);
        assert_eq!(told.passed, 2);
        assert!(told.reasons[0].text.starts_with("2 COMMITs returned"), "{told:?}");
        assert_eq!(rig.look(2, "bin.1:4", 7).reasons.len(), 1);
        assert_eq!(rig.look(40, "bin.1:4", 8), Told::default());
        // A restarted server counts from 0.
        rig.set("rpl_semi_sync_master_no_tx", "0");
        assert_eq!(rig.look(41, "bin.1:4", 9), Told::default());
    }

    #[test]
    fn a_binlog_that_shrinks_was_reset() {
        for now in ["", "0-1-1", "0-2-2"] {
            let mut rig = Rig::new();
            rig.look(0, "bin.1:4", 5);
            rig.set("gtid_binlog_pos", now);
            assert!(rig.look(1, "bin.1:4", 6).reasons[0].text.contains("RESET"), "{now}");
            // It stays so until what was there is there again.
            assert_eq!(rig.look(2, "bin.1:4", 7).reasons.len(), 1, "{now}");
        }
        let mut rig = Rig::new();
        rig.look(0, "bin.1:4", 5);
        rig.set("gtid_binlog_pos", "0-1-9,3-1-1");
        assert_eq!(rig.look(1, "bin.1:4", 6), Told::default());
    }

    #[test]
    fn waiting_is_stuck_only_where_the_quorum_goes_on_and_no_ack_does() {
        let mut rig = Rig::new();
        rig.set("rpl_semi_sync_master_wait_sessions", "1");
        assert_eq!(rig.look(0, "bin.1:4", 5).stuck, None);
        assert_eq!(rig.look(9, "bin.1:4", 14).stuck, None);
        assert!(rig.look(10, "bin.1:4", 15).stuck.is_some());
        assert_eq!(rig.look(11, "bin.1:9", 16).stuck, None, "an ACK went out");
        assert_eq!(rig.look(22, "bin.1:9", 16).stuck, None, "the quorum is away");
        assert!(rig.look(23, "bin.1:9", 17).stuck.is_some());
        rig.set("rpl_semi_sync_master_wait_sessions", "0");
        assert_eq!(rig.look(24, "bin.1:9", 18).stuck, None);
    }
}
