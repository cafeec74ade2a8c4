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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Code;
    use crate::report::Error as Answer;

    /// PLM716: a coordinator of another version does not understand, until it is upgraded.
    #[tokio::test]
    async fn an_answer_that_is_not_understood_is_its_own_alarm_until_it_is() {
        let shared = Shared::of("s1");
        let other = Coded::new(Code::COORDINATOR_ANSWER, "another duty's");
        shared.alarm(Topic::Change, Some(other.clone()));
        let unexpected = Answer::Unexpected { asked: "a note of its epoch", got: "an epoch" };
        let mut answers = vec![Ok(()), Err(unexpected.clone()), Err(unexpected)].into_iter();
        let mut seen = Vec::new();
        let told = persist(&shared, Topic::Completion, || {
            seen.push(shared.now().alarms.get(&Topic::Completion).map(|alarm| alarm.code));
            let answer = answers.next_back().unwrap();
            async { answer }
        });
        told.await.unwrap();
        let alarmed = Some(Code::COORDINATOR_ANSWER);
        assert_eq!(seen, [None, alarmed, alarmed], "commits go on; it is asked again");
        let left: Vec<_> = shared.now().alarms.into_iter().collect();
        assert_eq!(left, [(Topic::Change, other)]);
    }

    #[tokio::test]
    async fn a_newer_epoch_ends_the_reign() {
        let shared = Shared::of("s1");
        let told = persist(&shared, Topic::Completion, async || Err(Answer::Fenced)).await;
        assert!(matches!(told, Err(Error::Fenced { .. })));
    }
}
