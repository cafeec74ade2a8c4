//! The newest frames in memory, so that members in step are served without a read.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use wal::{Frame, LogPoint, Lsn};

/// Bytes of frames kept for members that are in step. A member further behind is served from disk.
pub const WINDOW_BYTES: usize = 32 << 20;

/// Recent frames of one reign, shared by the senders.
#[derive(Debug)]
pub struct Window {
    ring: Mutex<Ring>,
    end: watch::Sender<Option<LogPoint>>,
}

#[derive(Debug, Default)]
struct Ring {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Window {
    /// An empty window behind `end`, the last record of the adopted log.
    pub fn new(end: Option<LogPoint>) -> Window {
        Window { ring: Mutex::default(), end: watch::Sender::new(end) }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // No code that can panic runs under the lock.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next frame and tells the senders.
    pub fn push(&self, frame: Frame) {
        let end = frame.last();
        let mut ring = self.ring();
        ring.bytes += frame.bytes().len();
        ring.frames.push_back(frame);
        drop(ring);
        self.end.send_replace(Some(end));
    }

    /// Drops what is too much, but nothing that is not yet `written` to this member's own log, where
    /// a slow member's sender will look for it. `false`: still too much, wait for the log.
    pub fn shrink(&self, written: Option<LogPoint>) -> bool {
        let mut ring = self.ring();
        while ring.bytes > WINDOW_BYTES {
            match ring.frames.front() {
                Some(frame) if Some(frame.last()) <= written => {
                    ring.bytes -= frame.bytes().len();
                    ring.frames.pop_front();
                }
                _ => return ring.frames.len() <= 1,
            }
        }
        true
    }

    /// The frame that starts at `first`, if it is still here.
    pub fn frame(&self, first: Lsn) -> Option<Frame> {
        let ring = self.ring();
        let index = ring.frames.partition_point(|frame| frame.header().first_lsn < first);
        ring.frames.get(index).filter(|frame| frame.header().first_lsn == first).cloned()
    }

    /// The last record of the reign, now and from now on.
    pub fn end(&self) -> watch::Receiver<Option<LogPoint>> {
        self.end.subscribe()
    }
}
