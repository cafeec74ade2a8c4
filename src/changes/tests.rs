use bytes::Bytes;
use proptest::prelude::*;
use wal::{BinlogPosition, Lsn, Timestamp, Transaction, TransactionClass};

use super::*;
use crate::binlog::{Checksum, EventHeader, events};
