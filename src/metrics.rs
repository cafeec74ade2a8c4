//! The process's metrics, as Prometheus reads them: every name, and how they are rendered.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

// Of an agent.

/// Last record of the log.
pub const LOG_WRITTEN: &str = "plimsoll_log_written_lsn";
/// Fsynced up to here.
pub const LOG_FLUSHED: &str = "plimsoll_log_flushed_lsn";
/// Bytes of all segments.
pub const LOG_BYTES: &str = "plimsoll_log_bytes";
/// Bytes of segments that would have gone if nobody needed them.
pub const LOG_HELD_BYTES: &str = "plimsoll_log_held_bytes";
/// Age of the oldest of those.
pub const LOG_HELD_SECONDS: &str = "plimsoll_log_held_age_seconds";
/// 1 while the log's disk is full.
pub const LOG_NO_ROOM: &str = "plimsoll_log_no_room";
/// Segments that were compressed again since the start.
pub const LOG_RECOMPRESSED: &str = "plimsoll_log_recompressed_segments_total";
/// Bytes of disk that this saved.
pub const LOG_RECOMPRESSION_SAVED: &str = "plimsoll_log_recompression_saved_bytes_total";
/// Damaged segments that were written anew from another member's records.
pub const LOG_MENDED: &str = "plimsoll_log_mended_total";
/// Histogram: one fsync of the log.
pub const LOG_FSYNC: &str = "plimsoll_log_fsync_seconds";
/// Histogram, at the source: from shipped to released.
pub const COMMIT: &str = "plimsoll_commit_seconds";
/// Committed up to here, as this member knows.
pub const COMMIT_LSN: &str = "plimsoll_commit_lsn";
/// In this member's server up to here.
pub const APPLIED_LSN: &str = "plimsoll_applied_lsn";
/// At a replica: as `/v1/throttle` counts it.
pub const LAG: &str = "plimsoll_lag_seconds";
/// 1 while the server may serve reads.
pub const SERVING: &str = "plimsoll_serving";
/// At the source: 1 if COMMITs depend on our quorum alone.
pub const PROTECTED: &str = "plimsoll_protected";
/// At the source: COMMITs that returned without our ACK.
pub const UNACKNOWLEDGED_COMMITS: &str = "plimsoll_unacknowledged_commits_total";
/// How many alarms there are.
pub const ALARMS: &str = "plimsoll_alarms";
/// 1 while there is one, by `topic`.
pub const ALARM: &str = "plimsoll_alarm";
/// At the source: 1 for each `member` that commits wait for.
pub const QUORUM_WAITS_FOR: &str = "plimsoll_quorum_waits_for";

// Of agents and coordinators.

/// Seconds until a certificate ends, by `key` of the configuration.
pub const CERTIFICATE_EXPIRY: &str = "plimsoll_certificate_expiry_seconds";

// Of a coordinator.

/// 1 if commits can go on.
pub const CLUSTER_HEALTHY: &str = "plimsoll_cluster_healthy";
/// 1 if a COMMIT returns only when the quorum has it.
pub const CLUSTER_PROTECTED: &str = "plimsoll_cluster_protected";
/// The last epoch granted.
pub const CLUSTER_EPOCH: &str = "plimsoll_cluster_epoch";
/// 1 if that epoch's start is known to be committed.
pub const CLUSTER_EPOCH_COMPLETE: &str = "plimsoll_cluster_epoch_complete";
/// The highest commit point reported.
pub const CLUSTER_COMMIT_LSN: &str = "plimsoll_cluster_commit_lsn";
/// Alarms in `/v1/status`.
pub const CLUSTER_ALARMS: &str = "plimsoll_cluster_alarms";
/// Members that are waited for.
pub const CLUSTER_WAITING_FOR: &str = "plimsoll_cluster_waiting_for";
/// 1 if the member's agent is connected and reports.
pub const MEMBER_LIVE: &str = "plimsoll_member_live";
/// 1 if the member's log counts for commit and fence.
pub const MEMBER_COUNTS: &str = "plimsoll_member_counts";
/// 1 if the member's server may serve reads.
pub const MEMBER_SERVING: &str = "plimsoll_member_serving";
/// Last record of the member's log.
pub const MEMBER_WRITTEN: &str = "plimsoll_member_written_lsn";
/// Fsynced in the member's log up to here.
pub const MEMBER_FLUSHED: &str = "plimsoll_member_flushed_lsn";
/// In the member's server up to here.
pub const MEMBER_APPLIED: &str = "plimsoll_member_applied_lsn";
/// Committed records that the member does not have.
pub const MEMBER_LAG_RECORDS: &str = "plimsoll_member_lag_records";
/// Since when the member lacks one.
pub const MEMBER_LAG: &str = "plimsoll_member_lag_seconds";
/// Age of the member's newest report.
pub const MEMBER_REPORT_AGE: &str = "plimsoll_member_report_age_seconds";

/// Upper bounds, in seconds, of every histogram whose name ends in `_seconds`: from a fast disk's
/// fsync to a stall.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Renders what the process has counted.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Takes over the process's metrics; once a process, before anything is counted.
    ///
    /// # Errors
    /// It was called before.
    pub fn install() -> anyhow::Result<Exporter> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
        Ok(Exporter(builder.install_recorder()?))
    }

    /// One that is not the process's, for tests.
    #[cfg(test)]
    pub fn apart() -> Exporter {
        Exporter(PrometheusBuilder::new().build_recorder().handle())
    }

    /// The Prometheus text format.
    pub fn render(&self) -> String {
        // Without a listener of its own the exporter tidies up only when asked.
        self.0.run_upkeep();
        self.0.render()
    }
}
