//! What the coordinator must have noted, told until it has.

use std::time::Duration;

use super::Error;
use super::state::{Shared, Topic};
use crate::backoff::Backoff;
use crate::cluster::{ErrorClass, causes};
use crate::explain::Coded;
use crate::report;

/// Pauses while the coordinator does not answer.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Tells the coordinator until it has noted it: commits do not wait for that, and go on also where it
/// does not understand, as one of another version may not; that is an alarm of `topic`, which is this
/// duty's alone, until it does.
pub(super) async fn persist<F>(
    shared: &Shared,
    topic: Topic,
    mut tell: impl FnMut() -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), report::Error>>,
{
    let mut pause = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        let error = match tell().await {
            Ok(()) => {
                shared.alarm(topic, None);
                return Ok(());
            }
            Err(error) => error,
        };
        match error.class() {
            ErrorClass::Fenced => {
                return Err(Error::Fenced { by: "the coordinator".to_owned() });
            }
            ErrorClass::Fatal => {
                let alarm = Coded::new(error.code(), causes(&error));
                shared.alarm(topic, Some(alarm));
            }
            ErrorClass::Retry | ErrorClass::Reconnect => {
                tracing::debug!(error = causes(&error), "the coordinator does not answer");
            }
        }
        pause.wait().await;
    }
}
