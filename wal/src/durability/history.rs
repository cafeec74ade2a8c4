//! A log's life, and at each step of its disk what a crash may leave of it.

use std::sync::Arc;

use crate::sim::SimDisk;
use crate::{Frame, Log, Lsn};

use super::{create, next, open};

/// What holds from a step of the disk on, until the next mark.
#[derive(Clone)]
pub struct Mark {
    pub step: usize,
    /// `create` has returned.
    pub created: bool,
    /// So many frames were reported flushed, and nobody has asked to cut them off.
    pub must: usize,
    /// What was appended: nothing but a prefix of it may be found.
    pub may: Arc<Vec<Frame>>,
}

/// A log and the list that it should be.
pub struct History {
    pub disk: SimDisk,
    pub marks: Vec<Mark>,
    log: Option<Log>,
    frames: Vec<Frame>,
    epoch: u32,
    salt: u64,
}

/// What is done to it.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// A frame with so many bytes.
    Append(usize),
    Sync,
    NewEpoch,
    /// Cuts behind so many frames.
    Cut(usize),
    Reopen,
}

impl History {
    /// A log just made.
    pub fn new() -> History {
        let disk = SimDisk::new();
        let none = Arc::new(Vec::new());
        let mut history = History {
            marks: vec![Mark { step: 0, created: false, must: 0, may: none }],
            log: None,
            frames: Vec::new(),
            epoch: 1,
            salt: 0,
            disk,
        };
        history.log = Some(create(&history.disk));
        history.mark(0, history.frames.clone());
        history
    }

    fn mark(&mut self, must: usize, may: Vec<Frame>) {
        self.marks.push(Mark { step: self.disk.steps(), created: true, must, may: Arc::new(may) });
    }

    fn flushed(&self) -> usize {
        let flushed = self.log.as_ref().and_then(Log::flushed).map(|point| point.lsn);
        self.frames.iter().filter(|frame| Some(frame.last().lsn) <= flushed).count()
    }

    pub fn act(&mut self, act: Act) {
        self.salt += 1;
        let flushed = self.flushed();
        let mut log = self.log.take().unwrap();
        match act {
            Act::Append(bytes) => {
                let frame = next(&log, self.epoch, bytes, self.salt);
                self.frames.push(frame.clone());
                self.mark(flushed, self.frames.clone());
                log.append(&frame).unwrap();
            }
            Act::Sync => log.sync().unwrap(),
            Act::NewEpoch => self.epoch += 1,
            Act::Cut(keep) => {
                self.mark(flushed.min(keep), self.frames.clone());
                let last = keep.checked_sub(1).map(|last| self.frames[last].last().lsn);
                log.truncate_after(last).unwrap();
                self.frames.truncate(keep);
            }
            Act::Reopen => {
                drop(log);
                log = open(&self.disk).unwrap();
            }
        }
        self.log = Some(log);
        self.mark(self.flushed(), self.frames.clone());
    }

    /// What holds when `steps` steps were taken.
    pub fn at(&self, steps: usize) -> &Mark {
        let behind = self.marks.partition_point(|mark| mark.step <= steps);
        &self.marks[behind - 1]
    }
}

/// Appends of several sizes, a frame larger than a segment, fsyncs, new segments, adoptions (within
/// the newest segment, within an older one, at a segment's very end, of everything, with and
/// without unflushed frames), new epochs, restarts.
pub fn script() -> Vec<Act> {
    use Act::{Append, Cut, NewEpoch, Reopen, Sync};
    vec![
        Append(20),
        Append(1),
        Append(90),
        Sync,
        Append(60),
        Append(120),
        Append(33),
        Append(200),
        Append(180),
        Sync,
        Append(400),
        Append(1500),
        Append(10),
        NewEpoch,
        Append(40),
        Append(70),
        Sync,
        Append(25),
        Append(25),
        Cut(13),
        NewEpoch,
        Append(44),
        Sync,
        Append(300),
        Reopen,
        Append(500),
        Append(500),
        Append(500),
        Append(15),
        Cut(7),
        NewEpoch,
        Append(80),
        Append(81),
        Sync,
        Append(82),
        Cut(0),
        NewEpoch,
        Append(50),
        Append(51),
        Append(52),
        Reopen,
        Append(600),
        Append(600),
        Append(53),
        NewEpoch,
        Append(54),
        Append(55),
        Cut(6),
        Reopen,
        Append(56),
        Append(57),
        Sync,
        Append(58),
    ]
}

/// The numbers of the first records of the log's segments.
pub fn bases(log: &Log) -> Vec<Lsn> {
    log.reader().segments().iter().map(|segment| segment.base_lsn).collect()
}
