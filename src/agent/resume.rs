//! Where a shipper goes on in its server's binlog. [pure]
//!
//! Home of I17's first half: it resumes at *this server's* last position in the log, and the last
//! logged transaction is read once more and compared, because a RESET reuses names.

use wal::{BinlogPosition, Gtid, SourceContext, Transaction};

use super::Error;

/// Where to start, and what must be found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resume {
    /// Nothing of any server is in the log: as the configuration says.
    First,
    /// Behind what the log has of this server.
    Behind {
        /// Start the dump here.
        from: BinlogPosition,
        /// The first transaction that comes must be this one, and is not logged again.
        known: Option<Known>,
        /// The log's end in this server's binlog.
        end: BinlogPosition,
    },
}

/// The last logged transaction, as it must stand in the binlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub end: BinlogPosition,
    pub gtid: Option<Gtid>,
    /// CRC32 of its last event.
    pub end_crc: u32,
}

/// Decides from the adopted log's context, its last transaction of that server, and who is here.
///
/// # Errors
/// [`Error::OtherServer`]: the log follows another server.
pub(super) fn resume(
    context: Option<&SourceContext>,
    last: Option<&Transaction>,
    here: &str,
) -> Result<Resume, Error> {
    let Some(context) = context else {
        return Ok(Resume::First);
    };
    if context.server_uuid != here {
        let logged = context.server_uuid.clone();
        return Err(Error::OtherServer { logged, here: here.to_owned() });
    }
    let end = context.position.clone();
    Ok(match last {
        Some(last) => {
            Resume::Behind { from: last.start.clone(), known: Some(Known::of(last)), end }
        }
        None => Resume::Behind { from: end.clone(), known: None, end },
    })
}

impl Known {
    /// How `last` must stand there.
    pub(super) fn of(last: &Transaction) -> Known {
        let (end, gtid) = (last.end.clone(), last.gtid.clone());
        Known { end, gtid, end_crc: last.end_crc }
    }

    /// Compares what the server has there; `Some` says what is different.
    pub(super) fn differs(&self, found: &Transaction) -> Option<String> {
        if found.gtid != self.gtid {
            let name = found.gtid.as_ref().map_or("no GTID".to_owned(), ToString::to_string);
            return Some(format!("there its binlog has a transaction with {name}"));
        }
        if found.end != self.end {
            return Some(format!("there that transaction ends at {}", found.end));
        }
        (found.end_crc != self.end_crc).then(|| {
            format!(
                "there that transaction has CRC {:08x}, not {:08x}",
                found.end_crc, self.end_crc
            )
        })
    }

    /// As the error that refuses the server.
    pub(super) fn lost(&self, server: &str, found: String) -> Error {
        let gtid = self.gtid.as_ref().map_or(String::new(), |gtid| format!(" ({gtid})"));
        Error::LostItsTail { server: server.to_owned(), position: self.end.clone(), gtid, found }
    }
}

#[cfg(test)]
mod tests {
    use wal::{Lsn, TransactionClass};

    use super::*;

    fn context() -> SourceContext {
        SourceContext {
            member: "s1".to_owned(),
            server_uuid: "uuid-1".to_owned(),
            server_version: "10.11".to_owned(),
            epoch_start: Lsn::FIRST,
            format_lsn: Lsn::FIRST,
            position: BinlogPosition::new("bin.000002", 900),
            last_gtid: "0-1-7".parse().ok(),
            end_crc: Some(0xabcd),
            last_transaction: Some((Lsn::FIRST.next(), BinlogPosition::new("bin.000002", 700))),
        }
    }

    fn found() -> Transaction {
        Transaction {
            class: TransactionClass::Rows,
            start: BinlogPosition::new("bin.000002", 700),
            end: BinlogPosition::new("bin.000002", 900),
            gtid: "0-1-7".parse().ok(),
            commit_micros: 0,
            end_crc: 0xabcd,
            events: bytes::Bytes::new(),
        }
    }

    #[test]
    fn the_last_transaction_is_read_again_and_must_be_the_same() {
        let Ok(Resume::Behind { from, known: Some(known), .. }) =
            resume(Some(&context()), Some(&found()), "uuid-1")
        else {
            panic!("resumes behind the log")
        };
        assert_eq!(from.offset, 700);
        assert_eq!(known.differs(&found()), None);
        let other_gtid = Transaction { gtid: "0-1-8".parse().ok(), ..found() };
        let other_end = Transaction { end: BinlogPosition::new("bin.000002", 901), ..found() };
        let other_crc = Transaction { end_crc: 1, ..found() };
        for other in [other_gtid, other_end, other_crc] {
            assert!(known.differs(&other).is_some());
        }
    }

    #[test]
    fn another_server_is_refused_and_an_empty_log_starts_as_configured() {
        assert!(matches!(resume(Some(&context()), None, "uuid-2"), Err(Error::OtherServer { .. })));
        assert!(matches!(resume(None, None, "uuid-2"), Ok(Resume::First)));
    }
}
