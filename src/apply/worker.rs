//! One session's life: set up, told where it stands, fed until it ends.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use wal::{LogReader, Lsn, Timestamp};

use super::checkpoint::{self, Role};
use super::engines::Engines;
use super::error::epoch_text;
use super::feed::{self, Fed, FeedOptions, Work};
use super::intent::{self, Intent};
use super::packet::{self, PacketLimit};
use super::schedule::{Item, Kind, Mark, Scheduler, Step};
use super::service::ApplierOptions;
use super::{Error, Format, context};
use crate::server::{self, Family, Session};

/// Held by the session that applies. A session that was lost holds it until its last statement has
/// ended at the server: only then can the checkpoint and the catalog be believed.
pub(super) const LOCK: &str = "SELECT GET_LOCK('plimsoll.applier', 0)";
/// For each statement except those that may rightly take long.
const DEADLINE: Duration = Duration::from_secs(30);
/// A server that was given nothing to do for so long is asked whether it is there: it may have gone
/// away without a word, and would be taken for one that serves reads. Nothing that is to be applied
/// waits for the answer longer than for the server itself.
const IDLE: Duration = Duration::from_secs(1);

/// What a worker is given; stays the same from session to session.
pub(super) struct Parts {
    pub options: ApplierOptions,
    pub reader: LogReader,
    pub visible: watch::Receiver<Option<Lsn>>,
}

pub(super) struct Worker<'a> {
    pub parts: &'a Parts,
    pub session: Session,
    pub limit: PacketLimit,
    pub format: Format,
    pub intent: Option<Intent>,
    pub engines: Engines,
    /// Called with each mark that is reached, durable at the server.
    pub reached: &'a (dyn Fn(Mark) + Send + Sync),
}

/// A session that is set up, and where its server stands.
pub(super) struct Standing {
    session: Session,
    limit: PacketLimit,
    intent: Option<Intent>,
    /// The last applied record, by the checkpoint.
    pub applied: Option<(Lsn, Timestamp)>,
}

impl Standing {
    /// Logs in, makes the server a replica, and reads where it stands.
    pub async fn of(parts: &Parts) -> Result<Standing, Error> {
        let options = &parts.options;
        let mut session = Session::connect(&options.server, DEADLINE).await?;
        server::create_schema(&mut session).await?;
        if session.value(LOCK).await?.as_deref() != Some("1") {
            return Err(Error::Busy);
        }
        let applied = match checkpoint::read(&mut session).await? {
            None => first_start(&mut session, parts).await?,
            Some(found) => match found.role {
                Role::Source { epoch, position } => {
                    let (epoch, position) = (epoch_text(epoch), position.to_string());
                    return Err(Error::FormerSource { epoch, position });
                }
                Role::Replica if found.cluster != parts.reader.cluster().to_string() => {
                    let expected = parts.reader.cluster().to_string();
                    return Err(Error::OtherCluster { found: found.cluster, expected });
                }
                Role::Replica => found.applied,
            },
        };
        server::make_replica(&mut session).await?;
        if parts.options.replica_binlog {
            server::disable_semi_sync(&mut session).await?;
        }
        session.execute(context::ROWS).await?;
        let calm = match session.family() {
            Family::Mariadb => "SET wait_timeout=31536000,max_statement_time=0",
            Family::Mysql => "SET wait_timeout=31536000,gtid_next='AUTOMATIC'",
        };
        session.execute(calm).await?;
        let limit = session.value("SELECT @@max_allowed_packet").await?.unwrap_or_default();
        let limit = limit.parse().map_err(|_| server::Error::Answer {
            what: "@@max_allowed_packet",
            found: limit.clone(),
        })?;
        let intent = intent::read(&mut session).await?;
        Ok(Standing { session, limit: PacketLimit::new(limit), intent, applied })
    }

    /// Applies until cancelled (`Ok`) or something is wrong; up to `singly` in server transactions of
    /// one each.
    pub async fn work(
        mut self,
        parts: &Parts,
        singly: Option<Lsn>,
        reached: &(dyn Fn(Mark) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let next = Lsn::after(self.applied.map(|(lsn, _)| lsn));
        let mut visible = parts.visible.clone();
        while !visible.borrow_and_update().is_some_and(|lsn| lsn >= next) {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = visible.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = sleep(IDLE) => self.session.ping().await?,
            }
        }
        if let Some(first) = parts.reader.first_lsn().filter(|&first| first > next) {
            return Err(Error::LogGone { needed: next, first });
        }
        let reader = parts.reader.clone();
        let found = tokio::task::spawn_blocking(move || reader.format_at(next)).await;
        let (lsn, event) = found.map_err(|_| Error::ReaderGone)??;
        let format = Format::new(lsn, event)?;
        let mut worker = Worker {
            parts,
            session: self.session,
            limit: self.limit,
            format: format.clone(),
            intent: self.intent,
            engines: Engines::default(),
            reached,
        };
        worker.set_format(format.clone()).await?;
        let options = FeedOptions { limit: self.limit, single: parts.options.replica_binlog };
        // Ends with this session: the next one reads from its own checkpoint.
        let done = cancel.child_token();
        let _ends = done.clone().drop_guard();
        let feed = feed::start(parts.reader.clone(), next, format, options, visible, done);
        worker.run(feed, singly, cancel).await
    }
}

/// No checkpoint: right for an empty server, from the log's beginning; anything else must be placed.
async fn first_start(
    session: &mut Session,
    parts: &Parts,
) -> Result<Option<(Lsn, Timestamp)>, Error> {
    let example = session
        .value(
            "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES WHERE \
             TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'plimsoll', \
             'information_schema', 'performance_schema') LIMIT 1",
        )
        .await?;
    if let Some(example) = example {
        return Err(Error::Unplaced { example });
    }
    let cluster = parts.reader.cluster();
    checkpoint::place(session, cluster, &parts.options.member, None).await?;
    Ok(None)
}

impl Worker<'_> {
    async fn run(
        &mut self,
        mut feed: mpsc::Receiver<Fed>,
        singly: Option<Lsn>,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let mut scheduler = Scheduler::new(self.parts.options.limits);
        let mut visible = self.parts.visible.clone();
        let mut ended = None;
        let mut heard = Instant::now();
        loop {
            while ended.is_none() && scheduler.wants_more() {
                match feed.try_recv() {
                    Ok(fed) => ended = take(&mut scheduler, fed, singly),
                    Err(_) => break,
                }
            }
            if cancel.is_cancelled() {
                return Ok(());
            }
            let now = *visible.borrow_and_update();
            if let Some(step) = scheduler.next(now) {
                if let Some((items, time)) = self.step(step).await? {
                    scheduler.took(items, time);
                    heard = Instant::now();
                }
                continue;
            }
            if let Some(error) = ended {
                return Err(error);
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                fed = feed.recv(), if scheduler.wants_more() => match fed {
                    Some(fed) => ended = take(&mut scheduler, fed, singly),
                    None if cancel.is_cancelled() => return Ok(()),
                    None => return Err(Error::ReaderGone),
                },
                changed = visible.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = sleep_until(heard + IDLE) => {
                    self.session.ping().await?;
                    heard = Instant::now();
                }
            }
        }
    }

    /// One step. A batch's number of items, and how long it took.
    async fn step(&mut self, step: Step<Work>) -> Result<Option<(usize, Duration)>, Error> {
        match step {
            Step::Advance(mark) => (self.reached)(mark),
            Step::Batch(items) => {
                let (count, start) = (items.len(), Instant::now());
                self.batch(items).await?;
                return Ok(Some((count, start.elapsed())));
            }
            Step::Barrier(item) => {
                let mark = item.mark;
                match item.work {
                    Work::Format(format) => self.set_format(format).await?,
                    Work::Apply(apply) => self.barrier(mark, &apply).await?,
                    Work::Control => {}
                }
                (self.reached)(mark);
            }
            Step::Piece(Item { mark, kind, work: Work::Apply(apply), .. }) => {
                let begins = kind == Kind::Piece { begins: true };
                self.piece(mark, &apply, begins).await?;
            }
            Step::LastPiece(Item { mark, work: Work::Apply(apply), .. }) => {
                self.last_piece(mark, &apply).await?;
                (self.reached)(mark);
            }
            Step::Abandon => self.abandon().await?,
            Step::Stray(item) | Step::Piece(item) | Step::LastPiece(item) => {
                let what =
                    format!("record {}: a piece of a transaction that none began", item.mark.lsn);
                return Err(Error::NotApplicable { what });
            }
        }
        Ok(None)
    }

    /// Whether row events end with a CRC32.
    pub fn checksum(&self) -> bool {
        !self.format.checksum.is_empty()
    }

    /// Tells the session the format of the row events to come.
    pub async fn set_format(&mut self, format: Format) -> Result<(), Error> {
        let told = self.session.execute(packet::format_statement(&format.event)).await;
        told.map_err(|error| {
            error.or_privilege(
                "apply row events (BINLOG)",
                "SUPER (MySQL: BINLOG_ADMIN and REPLICATION_APPLIER; MariaDB: BINLOG REPLAY)",
            )
        })?;
        if self.session.family() == Family::Mysql {
            // It leaves gtid_next undetermined, and then the next BEGIN or write fails (1782).
            self.session.execute("SET gtid_next='AUTOMATIC'").await?;
        }
        self.format = format;
        Ok(())
    }
}

fn take(scheduler: &mut Scheduler<Work>, fed: Fed, singly: Option<Lsn>) -> Option<Error> {
    match fed {
        Ok(items) => {
            for mut item in items {
                if item.kind == Kind::Share && Some(item.mark.lsn) <= singly {
                    item.kind = Kind::Single;
                }
                scheduler.push(item);
            }
            None
        }
        Err(error) => Some(error),
    }
}
