//! The question of `/v1/throttle`, at agents and coordinators alike.

use std::time::Duration;

use serde::Deserialize;

use crate::config::duration;

/// gh-ost's own default, `--max-lag-millis`.
const DEFAULT: Duration = Duration::from_millis(1500);

/// `?max_lag=1s`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxLag {
    max_lag: Option<String>,
}

impl MaxLag {
    /// What was asked for, or 1.5 s.
    ///
    /// # Errors
    /// What the text should look like.
    pub fn parse(&self) -> Result<Duration, String> {
        self.max_lag.as_deref().map_or(Ok(DEFAULT), duration)
    }
}
