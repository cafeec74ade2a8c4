//! One server transaction, given piece by piece (I14): nobody sees any of it before its last.
//!
//! A ROLLBACK must undo it, so its tables have transactions; others stop the replica.

use super::Error;
use super::checkpoint;
use super::feed::Apply;
use super::packet;
use super::schedule::Mark;
use super::worker::Worker;
use crate::binlog::PIECE_BYTES;
use crate::server::Family;

impl Worker<'_> {
    /// The next piece; `begins` if it is the first.
    pub async fn piece(&mut self, mark: Mark, apply: &Apply, begins: bool) -> Result<(), Error> {
        self.rows_of_piece(mark, apply, begins).await.map_err(|error| error.at(&apply.place))
    }

    /// The last piece, the checkpoint, and the COMMIT.
    pub async fn last_piece(&mut self, mark: Mark, apply: &Apply) -> Result<(), Error> {
        let done = async {
            self.rows_of_piece(mark, apply, false).await?;
            let sql = checkpoint::advance(&mark, self.format.lsn, Some(&apply.origin));
            if self.session.execute_unbounded(sql).await?.first() != Some(&1) {
                return Err(Error::CheckpointLost);
            }
            let (_, end) = self.frame(&[apply]);
            self.session.execute_unbounded(end).await?;
            Ok(())
        };
        done.await.map_err(|error| error.at(&apply.place))
    }

    /// The source never committed what was begun.
    pub async fn abandon(&mut self) -> Result<(), Error> {
        let named = match self.session.family() {
            _ if !self.parts.options.replica_binlog => "",
            Family::Mysql => ";SET gtid_next='AUTOMATIC';SET sql_log_bin=0",
            Family::Mariadb => ";SET sql_log_bin=0",
        };
        self.session.execute_unbounded(format!("ROLLBACK{named}")).await?;
        Ok(())
    }

    async fn rows_of_piece(
        &mut self,
        mark: Mark,
        apply: &Apply,
        begins: bool,
    ) -> Result<(), Error> {
        if let Some(intent) = &self.intent {
            return Err(Error::StrayIntent { intent: intent.lsn.get(), next: mark.lsn });
        }
        let tables = &apply.changes.tables;
        // Asked before BEGIN: the answer must not depend on a snapshot.
        self.engines.learn(&mut self.session, tables.iter()).await?;
        if let Some(table) = tables.iter().find(|table| !self.engines.transactional(table)) {
            let (table, most) = (table.display(), PIECE_BYTES >> 20);
            let what = format!(
                "a transaction of more than {most} MiB that changes {table}, which has no transactions"
            );
            return Err(Error::NotApplicable { what });
        }
        if begins {
            let (begin, _) = self.frame(&[apply]);
            self.session.execute_unbounded(begin.join(";")).await?;
        }
        let parts = apply.changes.parts.iter();
        for packet in packet::packets("", parts, "", self.checksum(), self.limit) {
            if !packet.is_empty() {
                self.session.execute_unbounded(packet).await?;
            }
        }
        Ok(())
    }
}
