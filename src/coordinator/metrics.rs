//! `/metrics`: the status as Prometheus gauges, set when they are asked for.

use metrics::{Unit, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::status::{MemberStatus, Status};
use crate::certificate::CertificateStatus;
use crate::metrics as names;
use crate::report::Protection;

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
            status.certificates.iter().for_each(set_certificate);
            status.members.iter().for_each(set_member);
        });
        self.recorder.handle().render()
    }
}

fn describe() {
    describe_gauge!(names::CLUSTER_HEALTHY, "1 if commits can go on");
    let protected = "1 if a COMMIT returns only when the quorum has it";
    describe_gauge!(names::CLUSTER_PROTECTED, protected);
    describe_gauge!(names::CLUSTER_EPOCH, "The last epoch granted");
    describe_gauge!(
        names::CLUSTER_EPOCH_COMPLETE,
        "1 if that epoch's start is known to be committed"
    );
    describe_gauge!(names::CLUSTER_COMMIT_LSN, "The highest commit point reported");
    describe_gauge!(names::CLUSTER_ALARMS, Unit::Count, "Alarms in /v1/status");
    describe_gauge!(names::CLUSTER_WAITING_FOR, Unit::Count, "Members that are waited for");
    describe_gauge!(names::MEMBER_LIVE, "1 if the member's agent is connected and reports");
    describe_gauge!(names::MEMBER_COUNTS, "1 if the member's log counts for commit and fence");
    describe_gauge!(names::MEMBER_SERVING, "1 if the member's server may serve reads");
    describe_gauge!(names::MEMBER_WRITTEN, "Last record of the member's log");
    describe_gauge!(names::MEMBER_FLUSHED, "Fsynced in the member's log up to here");
    describe_gauge!(names::MEMBER_APPLIED, "In the member's server up to here");
    describe_gauge!(
        names::MEMBER_LAG_RECORDS,
        Unit::Count,
        "Committed records that the member does not have"
    );
    describe_gauge!(names::MEMBER_LAG, Unit::Seconds, "Since when the member lacks one");
    let expiry = "Until the certificate ends";
    describe_gauge!(names::CERTIFICATE_EXPIRY, Unit::Seconds, expiry);
    describe_gauge!(names::MEMBER_REPORT_AGE, Unit::Seconds, "Age of the member's newest report");
}

fn set(status: &Status) {
    gauge!(names::CLUSTER_HEALTHY).set(flag(status.healthy));
    gauge!(names::CLUSTER_PROTECTED).set(flag(status.protection == Protection::Protected));
    gauge!(names::CLUSTER_EPOCH).set(status.epoch.unwrap_or(0));
    gauge!(names::CLUSTER_EPOCH_COMPLETE).set(flag(status.complete));
    gauge!(names::CLUSTER_COMMIT_LSN).set(number(status.commit_lsn));
    gauge!(names::CLUSTER_ALARMS).set(number(u64::try_from(status.alarms.len()).ok()));
    gauge!(names::CLUSTER_WAITING_FOR).set(number(u64::try_from(status.waiting_for.len()).ok()));
}

fn set_certificate(certificate: &CertificateStatus) {
    let key = certificate.key.clone();
    gauge!(names::CERTIFICATE_EXPIRY, "key" => key).set(certificate.seconds_left as f64);
}

fn set_member(member: &MemberStatus) {
    let name = || member.name.clone();
    gauge!(names::MEMBER_LIVE, "member" => name()).set(flag(member.live));
    gauge!(names::MEMBER_COUNTS, "member" => name()).set(flag(member.standing == "counts"));
    gauge!(names::MEMBER_SERVING, "member" => name()).set(flag(member.serving));
    gauge!(names::MEMBER_WRITTEN, "member" => name()).set(number(member.written_lsn));
    gauge!(names::MEMBER_FLUSHED, "member" => name()).set(number(member.flushed_lsn));
    gauge!(names::MEMBER_APPLIED, "member" => name()).set(number(member.applied_lsn));
    // Unknown is not zero: a member that never reported has no lag gauge.
    if let (Some(records), Some(seconds)) = (member.lag_records, member.lag_seconds) {
        gauge!(names::MEMBER_LAG_RECORDS, "member" => name()).set(number(Some(records)));
        gauge!(names::MEMBER_LAG, "member" => name()).set(seconds);
    }
    if let Some(age) = member.report_age_ms {
        gauge!(names::MEMBER_REPORT_AGE, "member" => name()).set(number(Some(age)) / 1000.0);
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
