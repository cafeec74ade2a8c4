//! Rows and the checkpoint in one server transaction (I8).

use wal::{Gtid, TransactionClass};

use super::changes::{Changes, TableName};
use super::checkpoint::{self, Origin};
use super::feed::{self, Apply, Work};
use super::intent::{self, Intent, Step};
use super::packet::{self, Part};
use super::schedule::{Item, Mark};
use super::worker::Worker;
use super::{Error, Format, fingerprint};
use crate::cluster::ErrorClass;
use crate::server::{Family, quote_bytes};

impl Worker<'_> {
    /// Applies items that may go together; splits off those that, at this server, may not.
    pub async fn batch(&mut self, items: Vec<Item<Work>>) -> Result<(), Error> {
        let session = &mut self.session;
        self.engines.learn(session, items.iter().flat_map(tables)).await?;
        let mut rest = items.as_slice();
        while !rest.is_empty() {
            let alone = |item: &Item<Work>| {
                matches!(item.work, Work::Apply(_)) && !self.is_transactional(item)
                    || is_xa_commit(item)
            };
            let together = rest.iter().position(alone).unwrap_or(rest.len());
            let (now, later) = rest.split_at(together.max(1));
            match &now[0].work {
                Work::Apply(apply) if together == 0 => self.alone(now[0].mark, apply).await?,
                _ => self.share(now).await?,
            }
            rest = later;
            (self.reached)(now[now.len() - 1].mark);
        }
        Ok(())
    }

    fn is_transactional(&self, item: &Item<Work>) -> bool {
        tables(item).all(|table| self.engines.transactional(table))
    }

    async fn alone(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        let done = match apply.class {
            TransactionClass::XaCommit => self.xa_commit(mark, apply).await,
            _ => self.without_transactions(mark, apply).await,
        };
        done.map_err(|error| error.at(&apply.place))
    }

    /// One server transaction. Where the server refuses a joined one, it is told so to the service,
    /// which goes on one by one: to find whom, and to apply those before it.
    async fn share(&mut self, items: &[Item<Work>]) -> Result<(), Error> {
        let applies: Vec<(Mark, &Apply)> = items.iter().filter_map(apply_of).collect();
        let (Some(&(_, last)), Some(end)) = (applies.last(), items.last()) else { return Ok(()) };
        let all: Vec<&Apply> = applies.iter().map(|(_, apply)| *apply).collect();
        let done = self.transaction(end.mark, &all, None, &last.origin).await;
        done.map_err(|error| match applies.len() > 1 && error.class() == ErrorClass::Fatal {
            true => Error::Joined { to: end.mark.lsn, source: Box::new(error) },
            false => error.at(&last.place),
        })
    }

    /// BEGIN, `also` (a statement of our own, or nothing), the checkpoint, what `applies` do, COMMIT:
    /// two round trips where it fits in a packet.
    async fn transaction(
        &mut self,
        mark: Mark,
        applies: &[&Apply],
        also: Option<&str>,
        origin: &Origin,
    ) -> Result<(), Error> {
        if let Some(intent) = &self.intent {
            return Err(Error::StrayIntent { intent: intent.lsn.get(), next: mark.lsn });
        }
        let (mut begin, end) = self.frame(applies);
        begin.extend(also.map(str::to_owned));
        let checkpoint_at = begin.len();
        begin.push(checkpoint::advance(&mark, self.format.lsn, Some(origin)));
        let begin = begin.join(";") + ";";
        let own: Vec<Vec<Part>> = applies.iter().map(|apply| own_parts(apply)).collect();
        let parts = applies.iter().zip(&own);
        let parts = parts.flat_map(|(apply, own)| apply.changes.parts.iter().chain(own));
        let packets = packet::packets(&begin, parts, end, self.checksum(), self.limit);
        for (index, packet) in packets.into_iter().enumerate() {
            let affected = self.session.execute_unbounded(packet).await?;
            // It always changes its row. Nothing is committed yet, except where there was nothing
            // to do but our own statements.
            if index == 0 && affected.get(checkpoint_at) != Some(&1) {
                return Err(Error::CheckpointLost);
            }
        }
        Ok(())
    }

    /// How the transaction begins, and how it ends.
    pub fn frame(&self, applies: &[&Apply]) -> (Vec<String>, &'static str) {
        let begin = "BEGIN".to_owned();
        if !self.parts.options.replica_binlog {
            return (vec![begin], "COMMIT");
        }
        let mut all = named(applies.first().and_then(|apply| apply.origin.gtid.as_ref()));
        all.push(begin);
        let end = match self.session.family() {
            Family::Mysql => "COMMIT;SET gtid_next='AUTOMATIC';SET sql_log_bin=0",
            Family::Mariadb => "COMMIT;SET sql_log_bin=0",
        };
        (all, end)
    }

    /// XA COMMIT: the rows that were parked, read again from the log.
    async fn xa_commit(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        let xid = apply.changes.xid.clone().unwrap_or_default();
        let sql = format!(
            "SELECT lsn FROM plimsoll.xa_parked WHERE xid = {}",
            quote_bytes(xid.as_bytes())
        );
        let lsn = self.session.value(sql).await?.and_then(|text| text.parse().ok());
        let Some(lsn) = lsn.and_then(wal::Lsn::new) else { return Err(Error::UnknownXa { xid }) };
        let (reader, limit) = (self.parts.reader.clone(), self.limit);
        let read = tokio::task::spawn_blocking(move || feed::parked(&reader, lsn, &xid, limit));
        let (format, changes) = read.await.map_err(|_| Error::ReaderGone)??;
        let changes = Changes { xid: apply.changes.xid.clone(), ..Changes::clone(&changes) };
        let apply = Apply { changes, ..apply.clone() };
        self.engines.learn(&mut self.session, apply.changes.tables.iter()).await?;
        let now = self.format.clone();
        if format.event == now.event {
            return self.transaction(mark, &[&apply], None, &apply.origin).await;
        }
        // Prepared under another server version: its rows have that one's layout.
        self.set_format(Format { lsn: now.lsn, ..format }).await?;
        self.transaction(mark, &[&apply], None, &apply.origin).await?;
        self.set_format(now).await
    }

    /// Rows of tables without transactions: with an intent, because they stay when the checkpoint
    /// does not.
    async fn without_transactions(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        let tables: Vec<TableName> = apply.changes.tables.clone();
        let tables: Vec<TableName> =
            tables.into_iter().filter(|table| !self.engines.transactional(table)).collect();
        let before = fingerprint::of_contents(&mut self.session, &tables).await?;
        let intent = Intent { lsn: mark.lsn, step: Step::Rows, before };
        let untouched = self.enter(intent).await?;
        let named = self.parts.options.replica_binlog && apply.origin.gtid.is_some();
        if !named || self.session.family() == Family::Mariadb {
            return match untouched {
                true => self.rows_after_intent(mark, apply).await,
                false => Err(Error::Ambiguous),
            };
        }
        // MySQL lets no transaction of a name touch both kinds of tables (1785): rows, then the
        // checkpoint. The name, once taken, says that the rows are in.
        if !self.is_executed(apply).await? {
            if !untouched {
                return Err(Error::Ambiguous);
            }
            let (begin, end) = self.frame(&[apply]);
            let begin = begin.join(";") + ";";
            let parts = apply.changes.parts.iter();
            for packet in packet::packets(&begin, parts, end, self.checksum(), self.limit) {
                self.session.execute_unbounded(packet).await?;
            }
        }
        self.finish(mark, apply).await
    }

    /// Whether a MySQL server has executed a transaction of this name.
    async fn is_executed(&mut self, apply: &Apply) -> Result<bool, Error> {
        let name = apply.origin.gtid.as_ref().map(Gtid::to_string);
        let name = name.unwrap_or_default();
        let sql = format!("SELECT GTID_SUBSET('{name}', @@GLOBAL.gtid_executed)");
        Ok(self.session.value(sql).await?.as_deref() == Some("1"))
    }

    /// The rows, the end of the intent and the checkpoint in one transaction.
    pub async fn rows_after_intent(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        self.transaction(mark, &[apply], Some(intent::DELETE), &apply.origin).await
    }

    /// Notes an intent, or finds it noted: `false` if things are not as they were when it was, so
    /// that what it announced has begun.
    pub async fn enter(&mut self, intent: Intent) -> Result<bool, Error> {
        match self.intent.take() {
            None => {
                intent::write(&mut self.session, &intent).await?;
                Ok(true)
            }
            Some(found) if found.lsn == intent.lsn && found.step == intent.step => {
                Ok(found.before == intent.before)
            }
            Some(found) => Err(Error::StrayIntent { intent: found.lsn.get(), next: intent.lsn }),
        }
    }
}

fn apply_of(item: &Item<Work>) -> Option<(Mark, &Apply)> {
    match &item.work {
        Work::Apply(apply) => Some((item.mark, apply)),
        Work::Control | Work::Format(_) => None,
    }
}

fn tables(item: &Item<Work>) -> impl Iterator<Item = &TableName> {
    // A prepared transaction's tables matter at its commit.
    let apply = apply_of(item).filter(|(_, apply)| apply.class != TransactionClass::XaPrepare);
    apply.into_iter().flat_map(|(_, apply)| apply.changes.tables.iter())
}

fn is_xa_commit(item: &Item<Work>) -> bool {
    apply_of(item).is_some_and(|(_, apply)| apply.class == TransactionClass::XaCommit)
}

/// Our own statements about an XA transaction.
fn own_parts(apply: &Apply) -> Vec<Part> {
    let xid = || quote_bytes(apply.changes.xid.as_deref().unwrap_or_default().as_bytes());
    let sql = match apply.class {
        TransactionClass::XaPrepare => format!(
            "REPLACE INTO plimsoll.xa_parked (xid, lsn) VALUES ({}, {})",
            xid(),
            apply.place.lsn
        ),
        TransactionClass::XaCommit | TransactionClass::XaRollback => {
            format!("DELETE FROM plimsoll.xa_parked WHERE xid = {}", xid())
        }
        _ => return Vec::new(),
    };
    vec![Part::Statement(sql.into_bytes())]
}

/// Statements that give what follows the source's name, and switch this server's binlog on.
pub(super) fn named(gtid: Option<&Gtid>) -> Vec<String> {
    let on = "SET sql_log_bin=1".to_owned();
    match gtid {
        None => vec![on],
        Some(gtid @ Gtid::Mysql { .. }) => vec![on, format!("SET gtid_next='{gtid}'")],
        Some(Gtid::Mariadb { domain, server, sequence }) => vec![
            on,
            format!("SET gtid_domain_id={domain},server_id={server},gtid_seq_no={sequence}"),
        ],
    }
}
