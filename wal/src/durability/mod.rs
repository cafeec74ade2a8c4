//! The log on a simulated disk: what it promises when the power goes, when an fsync fails, and when
//! there is no room. See `disk/sim.rs`.

mod check;
mod crash;
mod full;
mod fsync;
mod history;

use std::path::Path;

use bytes::Bytes;

use crate::sim::SimDisk;
use crate::{
    BinlogPosition, Body, ClusterId, Disk, Epoch, Frame, FrameBuilder, Incarnation, Log,
    LogOptions, Lsn, Timestamp,
};

const SEGMENT_BYTES: u64 = 1024;
const OPTIONS: LogOptions = LogOptions { segment_bytes: SEGMENT_BYTES };

fn dir() -> &'static Path {
    Path::new("/folder/log")
}

fn create(disk: &SimDisk) -> Log {
    let (cluster, incarnation) = (ClusterId::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
    Log::create_on(&Disk::simulated(disk), dir(), cluster, incarnation, OPTIONS).unwrap()
}

fn open(disk: &SimDisk) -> Result<Log, crate::Error> {
    Log::open_on(&Disk::simulated(disk), dir(), OPTIONS)
}

/// The frame that `log` takes next: one record with `bytes` bytes that do not compress, different
/// for each `salt`.
fn next(log: &Log, epoch: u32, bytes: usize, salt: u64) -> Frame {
    let mut builder = FrameBuilder::new();
    let number = log.tail().map_or(0, |tail| tail.lsn.get()) + 1;
    let floor = log.last_timestamp().map_or(0, Timestamp::counter);
    let mut random = Random(number ^ (salt << 32));
    let event: Vec<u8> = (0..bytes).map(|_| random.next() as u8).collect();
    let position = BinlogPosition::new("bin.000001", number);
    let body = Body::FormatDescription { position, event: Bytes::from(event) };
    builder.push(Timestamp::new(floor + 1, 0).unwrap(), &body).unwrap();
    let epoch = Epoch::new(epoch).unwrap();
    builder.seal(epoch, Lsn::new(number).unwrap(), log.chain()).unwrap()
}

/// All frames of a log, read by a new cursor.
fn frames(log: &Log) -> Vec<Frame> {
    let reader = log.reader();
    let (Some(first), Some(last)) = (reader.first_lsn(), reader.written()) else {
        return Vec::new();
    };
    let mut cursor = reader.cursor(first).unwrap();
    std::iter::from_fn(|| cursor.next_frame(last.lsn).unwrap()).collect()
}

/// `SplitMix64`: the same numbers from the same seed, for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
