//! The thread that owns the log: write what waits, fsync once, publish.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use wal::{
    Beginning, ClusterId, Damage, Frame, Incarnation, Log, LogPoint, LogReader, Lsn, Mended,
    Recompressor, Removal, SourceContext, Timestamp,
};

use super::gate::{Admission, Gate};
use super::{Error, PromiseFile, Refusal};
use crate::cluster::Shipper;

/// Requests that wait for the log's thread. Each holds at most one message's frames, whose bytes the
/// shipper's window bounds; behind it the network connections are not read.
const QUEUE: usize = 128;

/// Requests written before one fsync: bounds how long the first of them waits for the last.
const GROUP: usize = 256;

/// Where this member's log stands. Every field is durable except `written`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// To whom this member has promised.
    pub promised: Option<Shipper>,
    /// The log's end, perhaps not yet fsynced.
    pub written: Option<LogPoint>,
    /// The log's end on disk.
    pub flushed: Option<LogPoint>,
    /// What may be reported to `promised` as flushed: flushed and matched with it (I15).
    pub reportable: Option<LogPoint>,
    /// What may be applied and handed out (I4).
    pub visible: Option<Lsn>,
    /// The disk is full: nothing more is written, and so nothing acknowledged.
    pub no_room: bool,
}

/// The log's end and history, as answered to a shipper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The last record, flushed.
    pub tail: Option<LogPoint>,
    /// For each epoch in the log its last record, ascending.
    pub epochs: Vec<LogPoint>,
    /// The running hash behind the last frame.
    pub chain: u32,
    /// The last record's timestamp.
    pub last_timestamp: Option<Timestamp>,
    /// Which server's binlog the log follows, and up to where (I17).
    pub context: Option<SourceContext>,
}

/// Frames of a shipper, and the record that they follow.
#[derive(Debug)]
pub struct Append {
    /// Who ships.
    pub shipper: Shipper,
    /// The record before the first frame; `None` at the log's start.
    pub before: Option<LogPoint>,
    /// Whole frames, consecutive; none at all to match, or to tell the commit point.
    pub frames: Vec<Frame>,
    /// The shipper's commit point.
    pub commit: Option<Lsn>,
    /// Where a refusal goes; an append that is written is seen in [`Progress`].
    pub refusals: mpsc::Sender<Refusal>,
}

pub(super) enum Request {
    Append(Append),
    Promise(Shipper, oneshot::Sender<Result<Standing, Refusal>>),
    Standing(oneshot::Sender<Standing>),
    Cut(Shipper, Option<LogPoint>, oneshot::Sender<Result<(), Refusal>>),
    Begin(Shipper, Box<Beginning>, oneshot::Sender<Result<(), Refusal>>),
    Remove(Lsn, oneshot::Sender<Result<Removal, wal::Error>>),
    Damage(String, oneshot::Sender<Option<Damage>>),
    Mend(Box<Mended>, oneshot::Sender<bool>),
}

/// The way to the log's thread; cheap to clone.
#[derive(Clone)]
pub struct LogHandle {
    requests: mpsc::Sender<Request>,
    progress: watch::Receiver<Progress>,
    visible: watch::Receiver<Option<Lsn>>,
    runtime: tokio::runtime::Handle,
    reader: LogReader,
    recompressor: Recompressor,
    incarnation: Incarnation,
    cluster: ClusterId,
}

impl std::fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogHandle").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

impl LogHandle {
    /// Hands an append over; waits only for a place in the queue.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn append(&self, append: Append) -> Result<(), Error> {
        self.requests.send(Request::Append(append)).await.map_err(|_| Error::Stopped)
    }

    /// Promises to `shipper`; durable on return, with everything written before it flushed.
    ///
    /// # Errors
    /// [`Error::Refused`] by an earlier promise.
    pub async fn promise(&self, shipper: Shipper) -> Result<Standing, Error> {
        self.ask(|reply| Request::Promise(shipper, reply)).await?.map_err(Error::Refused)
    }

    /// The log's end and history, everything written flushed first.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn standing(&self) -> Result<Standing, Error> {
        self.ask(Request::Standing).await
    }

    /// Cuts the log behind `keep` for the adoption of `shipper`; durable on return (I13).
    ///
    /// # Errors
    /// [`Error::Refused`] by a promise to somebody else.
    pub async fn cut(&self, shipper: Shipper, keep: Option<LogPoint>) -> Result<(), Error> {
        self.ask(|reply| Request::Cut(shipper, keep, reply)).await?.map_err(Error::Refused)
    }

    /// What is wanted to mend the segment of this file name; `None` where there is none (any more).
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn damage(&self, segment: String) -> Result<Option<Damage>, Error> {
        self.ask(|reply| Request::Damage(segment, reply)).await
    }

    /// Puts a mended segment in place, durably; `false` where it was cut off meanwhile.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn mend(&self, mended: Mended) -> Result<bool, Error> {
        self.ask(|reply| Request::Mend(Box::new(mended), reply)).await
    }

    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Where the log stands, now and from now on.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// What may be applied and handed out (I4), now and from now on.
    pub fn visible(&self) -> watch::Receiver<Option<Lsn>> {
        self.visible.clone()
    }

    /// The log's own thread, for tasks that bring it frames and tell of its fsyncs: between them and
    /// the log no other thread is woken. They wait while it fsyncs, as their requests would.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// Reads the log from any LSN.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Makes old segments smaller, away from the log's thread.
    pub fn recompressor(&self) -> &Recompressor {
        &self.recompressor
    }

    /// Whose log this is.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The life of this log folder (I16).
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

/// The log's thread.
pub struct LogService {
    pub(super) log: Log,
    pub(super) gate: Gate,
    promise: PromiseFile,
    history: Arc<[LogPoint]>,
    requests: mpsc::Receiver<Request>,
    progress: watch::Sender<Progress>,
    visible: watch::Sender<Option<Lsn>>,
    no_room: bool,
    fsync_seconds: metrics::Histogram,
}

impl LogService {
    /// Starts the thread over an opened `log` in `folder`. The join handle gives the error that ended
    /// it, or `Ok` once every [`LogHandle`] is gone.
    ///
    /// # Errors
    /// The stored promise is damaged, or no thread could be made.
    pub fn start(
        folder: &Path,
        log: Log,
    ) -> Result<(LogHandle, JoinHandle<Result<(), Error>>), Error> {
        let promise = PromiseFile::new(folder);
        let gate = Gate::new(promise.load()?);
        let (sender, requests) = mpsc::channel(QUEUE);
        let (progress, watched) = watch::channel(Progress::default());
        let (visible, seen) = watch::channel(None);
        let failed = |source| Error::Thread { path: folder.to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let handle = LogHandle {
            requests: sender,
            progress: watched,
            visible: seen,
            runtime: runtime.handle().clone(),
            reader: log.reader(),
            recompressor: log.recompressor(),
            incarnation: log.incarnation(),
            cluster: log.cluster(),
        };
        let mut service = LogService {
            history: log.epochs().into(),
            log,
            gate,
            promise,
            requests,
            progress,
            visible,
            no_room: false,
            fsync_seconds: metrics::histogram!(crate::metrics::LOG_FSYNC),
        };
        service.publish();
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                // As a task: what `block_on` itself runs is woken by a system call.
                let running = runtime.spawn(async move { service.run().await });
                runtime.block_on(running).unwrap_or(Err(Error::Stopped))
            })
            .map_err(failed)?;
        Ok((handle, thread))
    }

    /// Writes and fsyncs block the thread on purpose: what else is on it waits for them anyway.
    async fn run(&mut self) -> Result<(), Error> {
        while let Some(first) = self.requests.recv().await {
            self.handle(first)?;
            for _ in 1..GROUP {
                match self.requests.try_recv() {
                    Ok(request) => self.handle(request)?,
                    Err(_) => break,
                }
            }
            self.flush()?;
            self.publish();
            // The connections on this thread: a promise must not wait for a busy shipper's frames.
            tokio::task::yield_now().await;
        }
        self.flush()
    }

    fn handle(&mut self, request: Request) -> Result<(), Error> {
        match request {
            Request::Append(append) => {
                if let Err(refusal) = self.append(&append)? {
                    // A full channel already holds a refusal: the shipper learns of that one.
                    let _ = append.refusals.try_send(refusal);
                }
            }
            Request::Promise(shipper, reply) => {
                let answer = self.answer_promise(shipper)?;
                let _ = reply.send(answer);
            }
            Request::Standing(reply) => {
                self.flush()?;
                self.publish();
                let _ = reply.send(self.standing());
            }
            Request::Cut(shipper, keep, reply) => {
                let answer = self.cut_for(shipper, keep)?;
                let _ = reply.send(answer);
            }
            Request::Begin(shipper, beginning, reply) => {
                let answer = self.begin(shipper, *beginning)?;
                let _ = reply.send(answer);
            }
            Request::Remove(keep, reply) => {
                let _ = reply.send(self.remove_before(keep));
            }
            Request::Damage(segment, reply) => {
                let _ = reply.send(self.log.damage(&segment)?);
            }
            Request::Mend(mended, reply) => {
                let _ = reply.send(self.log.publish(*mended)?);
            }
        }
        Ok(())
    }

    fn append(&mut self, append: &Append) -> Result<Result<(), Refusal>, Error> {
        if let Some(refusal) = self.admit(append.shipper, append.before)? {
            return Ok(Err(refusal));
        }
        let mut last = append.before;
        for frame in &append.frames {
            match self.write(append.shipper, last, frame) {
                Ok(()) => last = Some(frame.last()),
                Err(error) => {
                    self.gate.matched_through(last, append.commit);
                    return self.not_written(error).map(Err);
                }
            }
        }
        if !append.frames.is_empty() {
            self.no_room = false;
        }
        self.gate.matched_through(last, append.commit);
        Ok(Ok(()))
    }

    /// May `shipper` write behind `before`? Its promise is durable then.
    pub(super) fn admit(
        &mut self,
        shipper: Shipper,
        before: Option<LogPoint>,
    ) -> Result<Option<Refusal>, Error> {
        match self.gate.admit(shipper, before, &self.history) {
            Admission::Refuse(refusal) => Ok(Some(refusal)),
            Admission::Write { promise: false } => Ok(None),
            Admission::Write { promise: true } => match self.make_promise(shipper) {
                Err(Error::Refused(refusal)) => Ok(Some(self.no_room(refusal))),
                made => made.map(|()| None),
            },
        }
    }

    /// A full disk: said in [`Progress`], and nothing is promised or written.
    fn no_room(&mut self, refusal: Refusal) -> Refusal {
        self.no_room = true;
        refusal
    }

    /// What a failed write means to the shipper; an error of this member's own ends the process.
    pub(super) fn not_written(&mut self, error: Error) -> Result<Refusal, Error> {
        match error {
            Error::Log(wal::Error::Full { .. }) => {
                self.no_room = true;
                Ok(Refusal::NoRoom)
            }
            Error::Log(wal::Error::BadFrame(_) | wal::Error::Refused(_))
            | Error::OutOfOrder { .. } => {
                tracing::error!(code = %error.code(), error = %error,
                    "a frame does not continue this log: not written");
                Ok(Refusal::BadFrame)
            }
            error => Err(error),
        }
    }

    /// Writes one frame behind `before`, unless it is here already; what conflicts with it is cut.
    fn write(
        &mut self,
        shipper: Shipper,
        before: Option<LogPoint>,
        frame: &Frame,
    ) -> Result<(), Error> {
        let header = frame.header();
        let before = before.map(|point| point.lsn);
        if header.epoch > shipper.epoch || header.first_lsn != Lsn::after(before) {
            return Err(Error::OutOfOrder {
                epoch: shipper.epoch,
                frame_epoch: header.epoch,
                first: header.first_lsn,
                before,
            });
        }
        // The same epoch and number are the same record: a frame that was sent again.
        if super::history::holds(&self.history, frame.last()) {
            return Ok(());
        }
        if self.log.tail().map(|tail| tail.lsn) > before {
            self.cut(shipper, before)?;
        }
        self.log.append(frame)?;
        self.note_end();
        Ok(())
    }

    fn cut_for(
        &mut self,
        shipper: Shipper,
        keep: Option<LogPoint>,
    ) -> Result<Result<(), Refusal>, Error> {
        if let Some(refusal) = self.admit(shipper, keep)? {
            return Ok(Err(refusal));
        }
        if self.log.tail() > keep {
            self.cut(shipper, keep.map(|point| point.lsn))?;
        }
        self.gate.matched_through(keep, None);
        Ok(Ok(()))
    }

    fn cut(&mut self, shipper: Shipper, keep: Option<Lsn>) -> Result<(), Error> {
        if let Some(visible) = self.gate.visible().filter(|&visible| Some(visible) > keep) {
            return Err(Error::CutBelowVisible { epoch: shipper.epoch, keep, visible });
        }
        tracing::info!(epoch = %shipper.epoch, keep = ?keep, tail = ?self.log.tail(),
            "cutting a tail that the adopted log does not have");
        self.log.truncate_after(keep)?;
        self.note_end();
        Ok(())
    }

    fn answer_promise(&mut self, shipper: Shipper) -> Result<Result<Standing, Refusal>, Error> {
        if let Err(refusal) = self.gate.may_promise(shipper) {
            return Ok(Err(refusal));
        }
        if self.gate.promised() != Some(shipper) {
            match self.make_promise(shipper) {
                Err(Error::Refused(refusal)) => return Ok(Err(self.no_room(refusal))),
                made => made?,
            }
        }
        self.flush()?;
        self.publish();
        Ok(Ok(self.standing()))
    }

    /// Durable before it takes effect. What was written before it is flushed and published first, so
    /// that the answer names it: no later fsync can add to what the old shipper may count (I5).
    fn make_promise(&mut self, shipper: Shipper) -> Result<(), Error> {
        self.flush()?;
        self.promise.store(shipper)?;
        self.gate.promise(shipper);
        self.publish();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.log.flushed() != self.log.tail() {
            let start = Instant::now();
            self.log.sync()?;
            self.fsync_seconds.record(start.elapsed());
        }
        self.gate.flushed(self.log.flushed());
        Ok(())
    }

    pub(super) fn note_end(&mut self) {
        // Only the last entry changes but at an epoch's start or a cut.
        let unchanged = match (self.history.last(), self.log.tail()) {
            (Some(last), Some(tail)) => last.epoch == tail.epoch && last.lsn <= tail.lsn,
            (last, tail) => last.is_none() && tail.is_none(),
        };
        match (Arc::get_mut(&mut self.history), self.log.tail()) {
            (Some([.., last]), Some(tail)) if unchanged => *last = tail,
            _ => self.history = self.log.epochs().into(),
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            tail: self.log.flushed(),
            epochs: self.history.to_vec(),
            chain: self.log.chain(),
            last_timestamp: self.log.last_timestamp(),
            context: self.log.context(),
        }
    }

    fn publish(&mut self) {
        let flushed = self.log.flushed();
        let now = Progress {
            promised: self.gate.promised(),
            written: self.log.tail(),
            flushed,
            reportable: self.gate.reportable(flushed),
            visible: self.gate.visible(),
            no_room: self.no_room,
        };
        let visible = now.visible;
        replace(&self.progress, now);
        replace(&self.visible, visible);
    }
}

/// Wakes nobody where nothing changed.
fn replace<T: PartialEq>(watched: &watch::Sender<T>, now: T) {
    watched.send_if_modified(|known| {
        let changed = *known != now;
        *known = now;
        changed
    });
}
