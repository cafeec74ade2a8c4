//! What the tail has said and the reign has not yet taken.
//!
//! While a large run is stamped and compressed on another thread, the next one is read: in bulk the
//! two take about as long as each other. Bounded by [`AHEAD_BYTES`]; behind that the server waits.
//! Order is the tail's, and a tail that is lost is told of only behind everything that came before.

use std::collections::VecDeque;
use std::convert::Infallible;

use crate::tail::{Error, Tail, Tailed};

/// Read ahead until there is so much: the next run, and some of the one behind it. The last
/// transaction may be larger.
const AHEAD_BYTES: usize = 2 << 20;

/// The tail, and what was read ahead of the reign.
#[derive(Default)]
pub(super) struct Intake {
    tail: Option<Tail>,
    ahead: VecDeque<Tailed>,
    bytes: usize,
    /// What ended the tail while it was read ahead.
    lost: Option<Error>,
}

impl Intake {
    /// A new connection, where the last one's words end.
    pub fn attach(&mut self, tail: Tail) {
        *self = Intake { tail: Some(tail), ..Intake::default() };
    }

    /// The tail is of no more use.
    pub fn detach(&mut self) {
        *self = Intake::default();
    }

    /// The next word; waits for ever while there is no tail. Cancel-safe.
    pub async fn next(&mut self) -> Result<Tailed, Error> {
        if let Some(tailed) = self.take_ahead() {
            return Ok(tailed);
        }
        match (self.lost.take(), &mut self.tail) {
            (Some(error), _) => Err(error),
            (None, Some(tail)) => tail.next().await,
            (None, None) => std::future::pending().await,
        }
    }

    /// What has already come, without waiting. That the tail is lost is `next`'s to say.
    pub fn try_next(&mut self) -> Option<Tailed> {
        if let Some(tailed) = self.take_ahead() {
            return Some(tailed);
        }
        let tailed = self.tail.as_mut()?.try_next();
        tailed.unwrap_or_else(|error| self.lose(error))
    }

    fn take_ahead(&mut self) -> Option<Tailed> {
        let tailed = self.ahead.pop_front()?;
        self.bytes -= size(&tailed);
        Some(tailed)
    }

    fn lose(&mut self, error: Error) -> Option<Tailed> {
        self.tail = None;
        self.lost = Some(error);
        None
    }

    /// Waits for `work`, and reads ahead meanwhile.
    pub async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            // The work first: what is read ahead is of use only behind it.
            biased;
            done = work => done,
            never = self.read_ahead() => match never {},
        }
    }

    async fn read_ahead(&mut self) -> Infallible {
        while let Some(tail) = self.tail.as_mut().filter(|_| self.bytes < AHEAD_BYTES) {
            match tail.next().await {
                Ok(tailed) => {
                    self.bytes += size(&tailed);
                    self.ahead.push_back(tailed);
                }
                Err(error) => drop(self.lose(error)),
            }
        }
        std::future::pending().await
    }

    /// The tail, where nothing stands between what it has read and what the reign has taken.
    pub fn in_step(&self) -> Option<&Tail> {
        self.tail.as_ref().filter(|_| self.ahead.is_empty())
    }
}

fn size(tailed: &Tailed) -> usize {
    match tailed {
        Tailed::Transaction(transaction, _) | Tailed::Pieced(transaction, _) => {
            transaction.events.len()
        }
        Tailed::Piece(events) => events.len(),
        Tailed::FormatDescription { event, .. } => event.len(),
        Tailed::Heartbeat { .. } | Tailed::Rotated(_) => 0,
    }
}
