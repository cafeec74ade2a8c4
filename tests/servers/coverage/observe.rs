//! What the source's binlog holds, read from its files.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use plimsoll::binlog::{
    Checksum, Event, EventKind, TableMap, events, expand_compressed, expand_payload,
};

use crate::support::{Context, Playground, Result};

/// Of one payload or compressed event.
const EXPANDED_MAX: u64 = 256 << 20;

/// Types of events and of columns.
#[derive(Debug, Default)]
pub struct Seen {
    pub events: BTreeSet<EventKind>,
    pub columns: BTreeSet<u8>,
}

impl Seen {
    /// From `start` (`FILE:POS`) to the end of the newest file. Expanded events count as what they
    /// are and as what they hold.
    pub fn since(play: &Playground, start: &str) -> Result<Seen> {
        let mut seen = Seen::default();
        seen.add_from(play, start)?;
        Ok(seen)
    }

    /// The same; what was seen before an error stays.
    pub fn add_from(&mut self, play: &Playground, start: &str) -> Result<()> {
        let (file, offset) = start.rsplit_once(':').context("no position")?;
        let (stem, number) = file.rsplit_once('.').context("no number")?;
        let (first, offset): (u32, usize) = (number.parse()?, offset.parse()?);
        for number in first.. {
            let path = play.dir().join("s1").join(format!("{stem}.{number:06}"));
            if !path.exists() {
                break;
            }
            self.file(&path, if number == first { offset } else { 4 })?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, offset: usize) -> Result<()> {
        let bytes = Bytes::from(std::fs::read(path).context("read a binlog")?);
        let rest = bytes.slice(offset.min(bytes.len())..);
        events(&rest).try_for_each(|event| self.event(&event?))
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        self.events.insert(event.header.kind);
        if event.header.kind == EventKind::TABLE_MAP {
            let map = TableMap::decode(event.body(Checksum::Crc32)?)?;
            self.columns.extend(map.columns.iter().map(|column| column.code));
        }
        if event.header.kind == EventKind::TRANSACTION_PAYLOAD {
            let inner = expand_payload(event, Checksum::Crc32, EXPANDED_MAX)?;
            return events(&inner).try_for_each(|event| self.event(&event?));
        }
        let expanded = expand_compressed(event, Checksum::Crc32, EXPANDED_MAX)?;
        if expanded.header.kind != event.header.kind {
            self.event(&expanded)?;
        }
        Ok(())
    }
}
