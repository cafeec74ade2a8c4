//! Waiting for conditions, with a deadline and the last reason why it did not hold.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Asks again and again until the answer is `Ok`, which it returns.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(reason) if began.elapsed() > within => {
                return Err(reason.context(anyhow!("{what}: not within {within:?}")));
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}
