//! From the log to items, ahead of the server, on a thread of its own.
//!
//! Reading, decompressing and base64 run while the server executes what came before.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wal::{
    BinlogPosition, Body, Epoch, Gtid, LogReader, Lsn, Record, Transaction, TransactionClass,
};

use super::changes::{Changes, changes};
use super::checkpoint::Origin;
use super::error::Place;
use super::packet::PacketLimit;
use super::pieces::Run;
use super::schedule::{Item, Kind, Mark};
use super::{Error, Format};
use crate::binlog::FormatDescription;

/// Frames read ahead. A frame is about 128 KiB: enough that neither side waits for the other, little
/// enough to throw away at a reconnect.
const FRAMES_AHEAD: usize = 16;
/// Told apart from a batch's rows: a frame with nothing to do still has a size.
const CONTROL_BYTES: usize = 0;

/// What is to be done for a record.
#[derive(Debug, Clone)]
pub enum Work {
    /// Nothing at the server.
    Control,
    /// The server needs this format description from here on.
    Format(Format),
    /// Something at the server.
    Apply(Box<Apply>),
}

/// A transaction to apply.
#[derive(Debug, Clone)]
pub struct Apply {
    /// How.
    pub class: TransactionClass,
    /// What.
    pub changes: Changes,
    /// Where it comes from.
    pub origin: Origin,
    /// For messages.
    pub place: Place,
}

/// Items of one frame, or why there are no more.
pub type Fed = Result<Vec<Item<Work>>, Error>;

/// How records become items.
#[derive(Debug, Clone, Copy)]
pub struct FeedOptions {
    /// The server's limit.
    pub limit: PacketLimit,
    /// Each transaction keeps its name, so it keeps its own server transaction.
    pub single: bool,
}

/// Starts the thread: items from `from` on, up to `visible` as it rises. Ends when the receiver is
/// dropped, `cancel` is called, or with an error as its last word.
pub fn start(
    reader: LogReader,
    from: Lsn,
    format: Format,
    options: FeedOptions,
    visible: watch::Receiver<Option<Lsn>>,
    cancel: CancellationToken,
) -> mpsc::Receiver<Fed> {
    let (sender, receiver) = mpsc::channel(FRAMES_AHEAD);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut feed = Feed { reader, next: from, format, options, visible, run: None };
        if let Err(error) = feed.run(&sender, &runtime, &cancel) {
            // Nobody listens any more if this fails: the worker has gone.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

struct Feed {
    reader: LogReader,
    next: Lsn,
    format: Format,
    options: FeedOptions,
    visible: watch::Receiver<Option<Lsn>>,
    /// A large transaction whose end has not come.
    run: Option<Run>,
}

impl Feed {
    fn run(
        &mut self,
        sender: &mpsc::Sender<Fed>,
        runtime: &tokio::runtime::Handle,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        if !runtime.block_on(self.rise(sender, cancel)) {
            return Ok(());
        }
        let mut cursor = self.reader.cursor(self.next)?;
        loop {
            let visible = *self.visible.borrow_and_update();
            let ready = visible.filter(|&visible| visible >= self.next);
            let frame = match ready {
                Some(visible) => cursor.next_frame(visible)?,
                None => None,
            };
            let Some(frame) = frame else {
                if !runtime.block_on(self.change(sender, cancel)) {
                    return Ok(());
                }
                continue;
            };
            let epoch = frame.header().epoch;
            let items = frame
                .records()?
                .into_iter()
                // The first frame may begin before what is needed.
                .filter(|record| record.lsn >= self.next)
                .collect::<Vec<_>>();
            let mut done = Vec::with_capacity(items.len());
            for record in items {
                self.next = record.lsn.next();
                match self.item(record, epoch) {
                    Ok(item) => done.push(item),
                    Err(error) => {
                        // What came before it is sound, and goes first.
                        let _ = sender.blocking_send(Ok(done));
                        return Err(error);
                    }
                }
            }
            if sender.blocking_send(Ok(done)).is_err() {
                return Ok(());
            }
        }
    }

    /// Waits until the first record is visible; `false` if nobody wants it any more.
    async fn rise(&mut self, sender: &mpsc::Sender<Fed>, cancel: &CancellationToken) -> bool {
        let next = self.next;
        tokio::select! {
            done = self.visible.wait_for(|visible| visible.is_some_and(|lsn| lsn >= next)) => {
                done.is_ok()
            }
            () = cancel.cancelled() => false,
            () = sender.closed() => false,
        }
    }

    async fn change(&mut self, sender: &mpsc::Sender<Fed>, cancel: &CancellationToken) -> bool {
        tokio::select! {
            done = self.visible.changed() => done.is_ok(),
            () = cancel.cancelled() => false,
            () = sender.closed() => false,
        }
    }

    fn item(&mut self, record: Record, epoch: Epoch) -> Result<Item<Work>, Error> {
        let mark = Mark { lsn: record.lsn, timestamp: record.timestamp, epoch };
        let (event, control) = match record.body {
            Body::Transaction(transaction) => return self.transaction(mark, &transaction),
            Body::Chunk(events) => return self.piece(mark, &events),
            Body::ChunkEnd(transaction) => return self.last_piece(mark, &transaction),
            Body::EpochStart(start) => {
                self.run = None;
                (start.format_description, Kind::Start)
            }
            Body::FormatDescription { event, .. } => (event, Kind::Control),
            Body::Heartbeat { .. } | Body::Membership(_) => {
                return Ok(Item {
                    mark,
                    kind: Kind::Control,
                    bytes: CONTROL_BYTES,
                    work: Work::Control,
                });
            }
        };
        let same = event == self.format.event;
        self.format = Format::new(mark.lsn, event)?;
        let (kind, work) = match same {
            // The session knows it already; only its number in the log is new.
            true => (control, Work::Control),
            false => (Kind::Barrier, Work::Format(self.format.clone())),
        };
        Ok(Item { mark, kind, bytes: CONTROL_BYTES, work })
    }

    fn transaction(&mut self, mark: Mark, transaction: &Transaction) -> Result<Item<Work>, Error> {
        // What was begun before it was never committed.
        self.run = None;
        let mut place = place_of(mark, transaction.gtid.clone(), Some(transaction.start.clone()));
        let changes = changes(transaction, &self.format, self.options.limit);
        let mut changes = changes.map_err(|error| error.at(&place))?;
        if transaction.class == TransactionClass::XaPrepare {
            // Only noted now; its XA COMMIT reads them again.
            changes.parts.clear();
        }
        place.tables = changes.tables.iter().map(|table| table.display()).collect();
        let kind = match transaction.class {
            TransactionClass::Ddl | TransactionClass::CreateSelect => Kind::Barrier,
            // Reads what an earlier one has parked.
            TransactionClass::XaCommit => Kind::Single,
            _ if self.options.single => Kind::Single,
            _ => Kind::Share,
        };
        Ok(item_of(mark, kind, transaction, changes, place))
    }

    /// Its place at the source is not known yet: where it ends stands in the record that ends it.
    fn piece(&mut self, mark: Mark, events: &Bytes) -> Result<Item<Work>, Error> {
        let begun = Run::begun_by(events, &self.format)?;
        let begins = begun.is_some();
        self.run = begun.or(self.run.take());
        let run = self.run.as_mut().ok_or_else(|| without_beginning(mark))?;
        let mut place = place_of(mark, run.gtid.clone(), None);
        let changes = run.piece(events, self.options.limit).map_err(|error| error.at(&place))?;
        place.tables = changes.tables.iter().map(|table| table.display()).collect();
        let origin = Origin { gtid: run.gtid.clone(), end: BinlogPosition::new("", 0) };
        let (class, bytes) = (TransactionClass::Rows, changes.len());
        let work = Work::Apply(Box::new(Apply { class, changes, origin, place }));
        Ok(Item { mark, kind: Kind::Piece { begins }, bytes, work })
    }

    fn last_piece(&mut self, mark: Mark, transaction: &Transaction) -> Result<Item<Work>, Error> {
        let run = self.run.take().ok_or_else(|| without_beginning(mark))?;
        let mut place = place_of(mark, transaction.gtid.clone(), Some(transaction.start.clone()));
        let changes = run.last(&transaction.events, self.options.limit);
        let changes = changes.map_err(|error| error.at(&place))?;
        place.tables = changes.tables.iter().map(|table| table.display()).collect();
        Ok(item_of(mark, Kind::LastPiece, transaction, changes, place))
    }
}

fn item_of(
    mark: Mark,
    kind: Kind,
    transaction: &Transaction,
    changes: Changes,
    place: Place,
) -> Item<Work> {
    let origin = Origin { gtid: transaction.gtid.clone(), end: transaction.end.clone() };
    let (class, bytes) = (transaction.class, changes.len());
    let apply = Box::new(Apply { class, changes, origin, place });
    Item { mark, kind, bytes, work: Work::Apply(apply) }
}

fn place_of(mark: Mark, gtid: Option<Gtid>, position: Option<BinlogPosition>) -> Place {
    let Mark { lsn, timestamp, .. } = mark;
    Place { lsn, timestamp, gtid, position, tables: Vec::new() }
}

fn without_beginning(mark: Mark) -> Error {
    let what = format!("record {}: a piece of a transaction whose beginning is not here", mark.lsn);
    Error::NotApplicable { what }
}

/// Reads one prepared XA transaction again, for its XA COMMIT.
///
/// # Errors
/// [`Error::UnknownXa`] if the record is no such transaction; [`Error::Log`].
pub fn parked(
    reader: &LogReader,
    lsn: Lsn,
    xid: &str,
    limit: PacketLimit,
) -> Result<(Format, Arc<Changes>), Error> {
    let (format_lsn, event) = reader.format_at(lsn)?;
    let format = Format::new(format_lsn, event)?;
    let frame = reader.cursor(lsn)?.next_frame(lsn)?;
    let records = frame.map(|frame| frame.records()).transpose()?.unwrap_or_default();
    let record = records.into_iter().find(|record| record.lsn == lsn);
    match record.map(|record| record.body) {
        Some(Body::Transaction(transaction))
            if transaction.class == TransactionClass::XaPrepare =>
        {
            let changes = changes(&transaction, &format, limit)?;
            Ok((format, Arc::new(changes)))
        }
        _ => Err(Error::UnknownXa { xid: xid.to_owned() }),
    }
}

impl Format {
    /// From a raw format description and the record it stands in.
    ///
    /// # Errors
    /// [`Error::Binlog`].
    pub fn new(lsn: Lsn, event: Bytes) -> Result<Format, Error> {
        let checksum = FormatDescription::decode(&event)?.checksum;
        Ok(Format { lsn, event, checksum })
    }
}
