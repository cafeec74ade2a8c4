//! One feed: a thread that reads the log and makes lines, and the channel that they come out of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use wal::{Body, ClusterId, Epoch, LogReader, Lsn, Record, Transaction, TransactionClass};

use super::pieces::pieces;
use super::xa::{Prepared, dialect_at};
use super::{Error, Tables};
use crate::binlog::begins_transaction;
use crate::changes::{self, Changes, Dialect, Envelope};
use crate::token::Token;

/// Feeds at a time: each has a thread.
const FEEDS_MAX: usize = 32;
/// Lines are handed on in pieces of this size, or when the log has no more for now.
const CHUNK_BYTES: usize = 64 << 10;
/// Pieces between the thread and the reader's socket: neither waits for the other.
const CHUNKS_AHEAD: usize = 4;
/// Whoever takes nothing for so long is given up: it asks again from its place.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// How often a consumer is told that nothing for it was passed over.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// The feeds of one member.
#[derive(Debug, Clone)]
pub struct Feeds {
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

/// What comes out of a feed.
#[derive(Debug)]
pub struct Feed {
    /// Whole lines, or as the last word why there are no more.
    pub chunks: mpsc::Receiver<Result<Bytes, Error>>,
}

impl Feeds {
    /// All end with `stop`.
    pub fn new(stop: CancellationToken) -> Feeds {
        Feeds { places: Arc::new(Semaphore::new(FEEDS_MAX)), stop }
    }

    /// Begins behind the record `behind` (`None`: with the first one), and goes on as `visible` rises.
    /// Ends when the [`Feed`] is dropped.
    ///
    /// # Errors
    /// [`Error::Ended`] where there are too many, [`Error::Log`] where the log begins behind the place.
    pub fn open(
        &self,
        reader: LogReader,
        visible: watch::Receiver<Option<Lsn>>,
        behind: Option<Lsn>,
        tables: Tables,
    ) -> Result<Feed, Error> {
        let full = "32 feeds are open here already; ask another member's agent";
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::Ended(full))?;
        let next = behind.map_or(Lsn::FIRST, Lsn::next);
        // What is asked for must be there, or to come.
        reader.cursor(next)?;
        // What is not visible yet may still be cut.
        let known = if *visible.borrow() >= Some(next) { Some(next) } else { behind };
        let dialect = match known.map(|known| dialect_at(&reader, known)) {
            None | Some(Err(Error::Log(wal::Error::NoFormat(_)))) => None,
            Some(found) => Some(found?),
        };
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let reading = Reading {
            cluster: reader.cluster(),
            reader,
            visible,
            next,
            tables,
            dialect,
            prepared: Prepared::default(),
            out: Out {
                lines: Vec::new(),
                sender,
                runtime: Handle::current(),
                told: Instant::now(),
                count: 0,
            },
            passed: None,
            run: None,
            stop: self.stop.clone(),
        };
        tokio::task::spawn_blocking(move || reading.run(place));
        Ok(Feed { chunks })
    }
}

struct Reading {
    cluster: ClusterId,
    reader: LogReader,
    visible: watch::Receiver<Option<Lsn>>,
    next: Lsn,
    tables: Tables,
    /// As the records before say.
    dialect: Option<Dialect>,
    prepared: Prepared,
    out: Out,
    /// The last record read since anything was told: its token and the rest of a progress line.
    passed: Option<(Token, Lsn)>,
    /// The first piece of a large transaction whose end has not come.
    run: Option<Lsn>,
    stop: CancellationToken,
}

/// Why the thread ends without a word: nobody listens.
struct Gone;

impl Reading {
    fn run(mut self, _place: OwnedSemaphorePermit) {
        if let Err(error) = self.all() {
            let _ = self.out.flush();
            // Nobody listens any more if this fails.
            let _ = self.out.send(Err(error));
        }
    }

    fn all(&mut self) -> Result<(), Error> {
        let mut cursor = self.reader.cursor(self.next)?;
        loop {
            let visible = *self.visible.borrow_and_update();
            let frame = match visible.filter(|visible| *visible >= self.next) {
                Some(visible) => cursor.next_frame(visible)?.map(|frame| (frame, visible)),
                None => None,
            };
            let Some((frame, visible)) = frame else {
                if self.out.flush().is_err() || !self.change()? {
                    return Ok(());
                }
                continue;
            };
            let epoch = frame.header().epoch;
            for record in frame.records()? {
                // The first frame may begin before what is needed; the last one may end behind what
                // is visible, and is read again then.
                if record.lsn < self.next {
                    continue;
                }
                if record.lsn > visible {
                    cursor = self.reader.cursor(self.next)?;
                    break;
                }
                self.next = record.lsn.next();
                if self.record(epoch, &record)?.is_err() {
                    return Ok(());
                }
            }
            if self.progress().is_err() {
                return Ok(());
            }
        }
    }

    /// Waits until there may be more; `false` if nobody wants it any more.
    fn change(&mut self) -> Result<bool, Error> {
        let due = self.out.told + PROGRESS_EVERY;
        let changed = self.out.runtime.clone().block_on(async {
            tokio::select! {
                changed = self.visible.changed() => changed.is_ok().then_some(true),
                () = self.stop.cancelled() => None,
                () = self.out.sender.closed() => Some(false),
                () = tokio::time::sleep_until(due.into()), if self.passed.is_some() => Some(true),
            }
        });
        let changed = changed.ok_or(Error::Ended("the agent is stopping; ask another one"))?;
        Ok(changed && self.progress().is_ok())
    }

    /// Where nothing was told for a while, how far the log was read.
    fn progress(&mut self) -> Result<(), Gone> {
        if self.out.told.elapsed() < PROGRESS_EVERY {
            return Ok(());
        }
        let Some((token, lsn)) = self.passed.take() else { return Ok(()) };
        let timestamp = token.timestamp.to_string();
        let line = json!({
            "token": token.to_string(), "lsn": lsn, "timestamp": timestamp, "op": "progress",
        });
        self.out.line(&line.to_string())?;
        self.out.flush()
    }

    fn record(&mut self, epoch: Epoch, record: &Record) -> Result<Result<(), Gone>, Error> {
        let lsn = record.lsn;
        let token = Token { cluster: self.cluster, epoch, timestamp: record.timestamp };
        let wrong = |source| Error::Changes { lsn, source };
        match &record.body {
            Body::Transaction(one) => {
                self.run = None;
                let told = self.out.count;
                if self.transaction(&token, lsn, one)?.is_err() {
                    return Ok(Err(Gone));
                }
                self.passed = (self.out.count == told).then_some((token, lsn));
                return Ok(Ok(()));
            }
            Body::EpochStart(start) => {
                self.run = None;
                self.dialect = Some(Dialect::of(&start.format_description).map_err(wrong)?);
            }
            Body::FormatDescription { event, .. } => {
                self.dialect = Some(Dialect::of(event).map_err(wrong)?);
            }
            Body::Chunk(events) => {
                if begins_transaction(events).map_err(changes::Error::from).map_err(wrong)? {
                    self.run = Some(lsn);
                }
            }
            Body::ChunkEnd(one) => {
                let told = self.out.count;
                let dialect = self.dialect.ok_or(wal::Error::NoFormat(lsn))?;
                let pieces = pieces(&self.reader, self.run.take(), lsn)?;
                if self.lines(&token, lsn, one, Changes::in_pieces(dialect, pieces))?.is_err() {
                    return Ok(Err(Gone));
                }
                self.passed = (self.out.count == told).then_some((token, lsn));
                return Ok(Ok(()));
            }
            Body::Heartbeat { .. } | Body::Membership(_) => {}
        }
        if self.run.is_some() {
            // Its first pieces are still to be told: no place behind them may be acknowledged.
            return Ok(Ok(()));
        }
        self.passed = Some((token, lsn));
        Ok(Ok(()))
    }

    fn transaction(
        &mut self,
        token: &Token,
        lsn: Lsn,
        one: &Transaction,
    ) -> Result<Result<(), Gone>, Error> {
        let dialect = self.dialect.ok_or(wal::Error::NoFormat(lsn))?;
        let changes = match one.class {
            TransactionClass::XaPrepare => return self.prepared.note(lsn, one, dialect).map(Ok),
            TransactionClass::XaRollback => return self.prepared.forget(lsn, one, dialect).map(Ok),
            TransactionClass::XaCommit => self.prepared.commit(&self.reader, lsn, one, dialect)?,
            TransactionClass::Rows | TransactionClass::Ddl | TransactionClass::CreateSelect => {
                Changes::of(one, dialect).map_err(|source| Error::Changes { lsn, source })?
            }
        };
        self.lines(token, lsn, one, changes)
    }

    fn lines(
        &mut self,
        token: &Token,
        lsn: Lsn,
        one: &Transaction,
        changes: Changes,
    ) -> Result<Result<(), Gone>, Error> {
        let envelope = Envelope::new(token.to_string(), lsn, token.timestamp, one);
        for line in envelope.lines(changes, |table| self.tables.wants(table)) {
            let line = line.map_err(|source| Error::Changes { lsn, source })?;
            if self.out.line(&line).is_err() {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(()))
    }
}

/// Lines on their way out.
struct Out {
    lines: Vec<u8>,
    sender: mpsc::Sender<Result<Bytes, Error>>,
    runtime: Handle,
    /// When the last line was made.
    told: Instant,
    count: u64,
}

impl Out {
    fn line(&mut self, line: &str) -> Result<(), Gone> {
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
        self.told = Instant::now();
        self.count += 1;
        if self.lines.len() < CHUNK_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.lines));
        self.send(Ok(chunk))
    }

    fn send(&mut self, chunk: Result<Bytes, Error>) -> Result<(), Gone> {
        let sending = self.sender.send_timeout(chunk, TAKEN_WITHIN);
        self.runtime.block_on(sending).map_err(|_| Gone)
    }
}
