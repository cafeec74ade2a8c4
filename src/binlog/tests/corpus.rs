//! The captured files, and their events.

use bytes::Bytes;
use wal::BinlogPosition;

use crate::binlog::*;

/// A binlog file that a real server wrote; `tests/corpus/binlog/README.md` says with which SQL.
pub struct Captured {
    pub name: &'static str,
    pub bytes: &'static [u8],
    /// What its transactions are, reviewed by hand.
    pub expected: &'static str,
}

pub const MYSQL: Captured = Captured {
    name: "mysql-9.7",
    bytes: include_bytes!("../../../tests/corpus/binlog/mysql-9.7.bin"),
    expected: include_str!("../../../tests/corpus/binlog/mysql-9.7.txt"),
};

pub const MARIADB: Captured = Captured {
    name: "mariadb-10.11",
    bytes: include_bytes!("../../../tests/corpus/binlog/mariadb-10.11.bin"),
    expected: include_str!("../../../tests/corpus/binlog/mariadb-10.11.txt"),
};

impl Captured {
    /// The file's events, behind its four magic bytes.
    pub fn events(&self) -> Vec<Event> {
        events(&Bytes::from_static(&self.bytes[4..])).map(|event| event.unwrap()).collect()
    }

    /// An assembler that stands at the start of the file.
    pub fn assembler(&self) -> Assembler {
        Assembler::new(AssemblerOptions {
            start: Some(BinlogPosition::new("bin.000002", BinlogPosition::FIRST_OFFSET)),
            checksum: Checksum::Crc32,
            may_skip: false,
            max_transaction_bytes: 1 << 20,
        })
    }

    pub fn transactions(&self) -> Vec<wal::Transaction> {
        let mut assembler = self.assembler();
        let mut transactions = Vec::new();
        for event in self.events() {
            if let Some(Assembled::Transaction(transaction, _)) =
                assembler.push(&event.raw, false).unwrap()
            {
                transactions.push(transaction);
            }
        }
        transactions
    }
}
