//! `/metrics`: the status as Prometheus gauges, set when they are asked for.

use metrics::{Unit, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::status::{MemberStatus, Status};
use crate::report::Protection;

const HEALTHY: &str = "plimsoll_cluster_healthy";
const PROTECTED: &str = "plimsoll_cluster_protected";
const EPOCH: &str = "plimsoll_cluster_epoch";
const EPOCH_COMPLETE: &str = "plimsoll_cluster_epoch_complete";
const COMMIT_LSN: &str = "plimsoll_cluster_commit_lsn";
const ALARMS: &str = "plimsoll_cluster_alarms";
const WAITING_FOR: &str = "plimsoll_cluster_waiting_for";
const LIVE: &str = "plimsoll_member_live";
const COUNTS: &str = "plimsoll_member_counts";
const SERVING: &str = "plimsoll_member_serving";
const WRITTEN: &str = "plimsoll_member_written_lsn";
const FLUSHED: &str = "plimsoll_member_flushed_lsn";
const APPLIED: &str = "plimsoll_member_applied_lsn";
const LAG_RECORDS: &str = "plimsoll_member_lag_records";
const LAG_SECONDS: &str = "plimsoll_member_lag_seconds";
const REPORT_AGE: &str = "plimsoll_member_report_age_seconds";

/// A recorder of this coordinator's own; nothing is installed globally.
pub(super) struct Metrics {
    recorder: PrometheusRecorder,
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, describe);
        Metrics { recorder }
    }

    /// Prometheus' text format.
    pub(super) fn render(&self, status: &Status) -> String {
        with_local_recorder(&self.recorder, || {
            set(status);
            status.members.iter().for_each(set_member);
        });
        self.recorder.handle().render()
    }
}

fn describe() {
    describe_gauge!(HEALTHY, "1 if commits can go on");
    describe_gauge!(PROTECTED, "1 if a COMMIT returns only when the quorum has it");
    describe_gauge!(EPOCH, "The last epoch granted");
    describe_gauge!(EPOCH_COMPLETE, "1 if that epoch's start is known to be committed");
    describe_gauge!(COMMIT_LSN, "The highest commit point reported");
    describe_gauge!(ALARMS, Unit::Count, "Alarms in /v1/status");
    describe_gauge!(WAITING_FOR, Unit::Count, "Members that are waited for");
    describe_gauge!(LIVE, "1 if the member's agent is connected and reports");
    describe_gauge!(COUNTS, "1 if the member's log counts for commit and fence");
    describe_gauge!(SERVING, "1 if the member's server may serve reads");
    describe_gauge!(WRITTEN, "Last record of the member's log");
    describe_gauge!(FLUSHED, "Fsynced in the member's log up to here");
    describe_gauge!(APPLIED, "In the member's server up to here");
    describe_gauge!(LAG_RECORDS, Unit::Count, "Committed records that the member does not have");
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "Since when the member lacks one");
    describe_gauge!(REPORT_AGE, Unit::Seconds, "Age of the member's newest report");
}

fn set(status: &Status) {
    gauge!(HEALTHY).set(flag(status.healthy));
    gauge!(PROTECTED).set(flag(status.protection == Protection::Protected));
    gauge!(EPOCH).set(status.epoch.unwrap_or(0));
    gauge!(EPOCH_COMPLETE).set(flag(status.complete));
    gauge!(COMMIT_LSN).set(number(status.commit_lsn));
    gauge!(ALARMS).set(number(u64::try_from(status.alarms.len()).ok()));
    gauge!(WAITING_FOR).set(number(u64::try_from(status.waiting_for.len()).ok()));
}

fn set_member(member: &MemberStatus) {
    let name = || member.name.clone();
    gauge!(LIVE, "member" => name()).set(flag(member.live));
    gauge!(COUNTS, "member" => name()).set(flag(member.standing == "counts"));
    gauge!(SERVING, "member" => name()).set(flag(member.serving));
    gauge!(WRITTEN, "member" => name()).set(number(member.written_lsn));
    gauge!(FLUSHED, "member" => name()).set(number(member.flushed_lsn));
    gauge!(APPLIED, "member" => name()).set(number(member.applied_lsn));
    // Unknown is not zero: a member that never reported has no lag gauge.
    if let (Some(records), Some(seconds)) = (member.lag_records, member.lag_seconds) {
        gauge!(LAG_RECORDS, "member" => name()).set(number(Some(records)));
        gauge!(LAG_SECONDS, "member" => name()).set(seconds);
    }
    if let Some(age) = member.report_age_ms {
        gauge!(REPORT_AGE, "member" => name()).set(number(Some(age)) / 1000.0);
    }
}

fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

/// Prometheus has only doubles: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
fn number(value: Option<u64>) -> f64 {
    value.unwrap_or(0) as f64
}
