//! The process's metrics, as Prometheus reads them.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds, in seconds, of every histogram whose name ends in `_seconds`: from a fast disk's
/// fsync to a stall.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Renders what the process has counted.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Takes over the process's counters; once a process, before anything is counted.
    ///
    /// # Errors
    /// It was called before.
    pub fn install() -> anyhow::Result<Exporter> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
        Ok(Exporter(builder.install_recorder()?))
    }

    /// The Prometheus text format.
    pub fn render(&self) -> String {
        // Without a listener of its own the exporter tidies up only when asked.
        self.0.run_upkeep();
        self.0.render()
    }
}
