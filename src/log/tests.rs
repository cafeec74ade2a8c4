//! The log's thread over a real log folder.

use tokio::sync::mpsc;
use wal::{
    BinlogPosition, Body, ClusterId, Epoch, EpochStart, Frame, FrameBuilder, Incarnation, Log,
    LogOptions, LogPoint, Lsn, Timestamp,
};

use super::{Append, Error, LogHandle, LogService, Refusal};
use crate::cluster::{GrantId, Shipper};

/// A log's end, as the next frame has to follow it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub point: Option<LogPoint>,
    pub chain: u32,
}

pub(crate) fn shipper(epoch: u32) -> Shipper {
    Shipper { epoch: Epoch::new(epoch).unwrap(), grant: GrantId(u64::from(epoch) * 1000) }
}

/// One frame of `count` heartbeats behind `end`; the first of an epoch holds its EpochStart.
pub(crate) fn frame(epoch: u32, end: &mut End, count: u64) -> Frame {
    let mut builder = FrameBuilder::new();
    let first = Lsn::after(end.point.map(|point| point.lsn));
    let new = end.point.is_none_or(|point| point.epoch.get() < epoch);
    for index in 0..count {
        let timestamp =
            Timestamp::new(first.plus(index).get() + 100 * u64::from(epoch), 0).unwrap();
        let body = match index {
            0 if new => Body::EpochStart(EpochStart {
                member: "s1".to_owned(),
                server_uuid: "uuid".to_owned(),
                server_version: "10.11".to_owned(),
                position: BinlogPosition::new("bin.000001", 4),
                last_gtid: None,
                end_crc: None,
                format_description: vec![1u8; 40].into(),
            }),
            _ => Body::Heartbeat { closed: timestamp },
        };
        builder.push(timestamp, &body).unwrap();
    }
    let frame = builder.seal(Epoch::new(epoch).unwrap(), first, end.chain).unwrap();
    *end = End { point: Some(frame.last()), chain: frame.header().chain };
    frame
}

pub(crate) fn start(folder: &std::path::Path) -> LogHandle {
    let log = if folder.exists() {
        Log::open(folder, LogOptions::default()).unwrap()
    } else {
        let (cluster, incarnation) =
            (ClusterId::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
        Log::create(folder, cluster, incarnation, LogOptions { segment_bytes: 1 << 16 }).unwrap()
    };
    LogService::start(folder, log).unwrap().0
}

/// The end of an empty log: its chain is tied to its cluster.
pub(crate) async fn origin(log: &LogHandle) -> End {
    End { point: None, chain: log.standing().await.unwrap().chain }
}

async fn append(
    log: &LogHandle,
    by: u32,
    before: Option<LogPoint>,
    frames: Vec<Frame>,
    commit: Option<u64>,
) -> Option<Refusal> {
    let (refusals, mut refused) = mpsc::channel(1);
    let commit = commit.and_then(Lsn::new);
    log.append(Append { shipper: shipper(by), before, frames, commit, refusals }).await.unwrap();
    log.standing().await.unwrap();
    refused.try_recv().ok()
}

fn number(lsn: Option<Lsn>) -> u64 {
    lsn.map_or(0, Lsn::get)
}

#[tokio::test]
async fn frames_are_written_once_and_visible_when_committed() {
    let folder = tempfile::tempdir().unwrap();
    let log = start(&folder.path().join("log"));
    let mut end = origin(&log).await;
    let first = frame(1, &mut end, 3);
    let middle = end;
    let second = frame(1, &mut end, 2);
    let both = vec![first.clone(), second.clone()];
    assert_eq!(append(&log, 1, None, both.clone(), Some(4)).await, None);
    assert_eq!(append(&log, 1, None, both, Some(4)).await, None, "sent again: held already");
    let progress = log.progress().borrow().clone();
    assert_eq!((progress.flushed, progress.reportable), (end.point, end.point));
    assert_eq!(number(progress.visible), 4);
    assert_eq!(append(&log, 1, middle.point, vec![second], Some(5)).await, None);
    assert_eq!(number(log.progress().borrow().visible), 5);
    assert_eq!(log.standing().await.unwrap().tail, end.point);
}

#[tokio::test]
async fn a_promise_outlives_a_restart_and_silences_the_old_shipper() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = start(&path);
    let mut end = origin(&log).await;
    let first = frame(1, &mut end, 3);
    assert_eq!(append(&log, 1, None, vec![first], None).await, None);
    assert_eq!(log.promise(shipper(3)).await.unwrap().tail, end.point);
    let progress = log.progress().borrow().clone();
    assert_eq!((progress.promised, progress.reportable), (Some(shipper(3)), None));
    drop(log);
    let log = loop {
        // The thread ends when its last handle is gone; the folder's lock goes with it.
        match Log::open(&path, LogOptions::default()) {
            Ok(log) => break LogService::start(&path, log).unwrap().0,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let refusal = append(&log, 2, end.point, vec![], None).await;
    assert_eq!(refusal, Some(Refusal::Fenced { promised: shipper(3) }));
    let other = Shipper { grant: GrantId(7), ..shipper(3) };
    assert!(matches!(log.promise(other).await, Err(Error::Refused(Refusal::Fenced { .. }))));
}

/// I13, I15: epoch 2 adopted up to 3; this member holds an uncommitted 4..5 of epoch 1.
#[tokio::test]
async fn a_conflicting_tail_is_cut_but_nothing_visible() {
    let folder = tempfile::tempdir().unwrap();
    let log = start(&folder.path().join("log"));
    let mut end = origin(&log).await;
    let first = frame(1, &mut end, 3);
    let adopted = end;
    let tail = frame(1, &mut end, 2);
    assert_eq!(append(&log, 1, None, vec![first, tail.clone()], Some(3)).await, None);
    // A heartbeat of epoch 2 that only matches: the old tail is neither reported nor visible.
    assert_eq!(append(&log, 2, adopted.point, vec![], Some(5)).await, None);
    let progress = log.progress().borrow().clone();
    assert_eq!((progress.flushed, progress.reportable), (end.point, adopted.point));
    assert_eq!(number(progress.visible), 3);
    let mut new = adopted;
    let start_2 = frame(2, &mut new, 1);
    assert_eq!(append(&log, 2, adopted.point, vec![start_2], Some(4)).await, None);
    let progress = log.progress().borrow().clone();
    assert_eq!((progress.flushed, number(progress.visible)), (new.point, 4));
    let refusal = append(
        &log,
        2,
        tail.header().last_lsn().previous().map(|lsn| LogPoint { epoch: Epoch::FIRST, lsn }),
        vec![],
        None,
    );
    assert_eq!(refusal.await, Some(Refusal::NotMatched), "that record was cut");
}

#[tokio::test]
async fn a_frame_that_does_not_follow_is_refused_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let log = start(&folder.path().join("log"));
    let mut end = origin(&log).await;
    let first = frame(1, &mut end, 3);
    let middle = end;
    let second = frame(1, &mut end, 2);
    assert_eq!(append(&log, 1, None, vec![first], None).await, None);
    let mut wrong_chain = End { chain: middle.chain ^ 1, ..middle };
    let wrong = frame(1, &mut wrong_chain, 2);
    assert_eq!(append(&log, 1, middle.point, vec![wrong], None).await, Some(Refusal::BadFrame));
    let mut ahead = frame(2, &mut End { point: middle.point, chain: middle.chain }, 1);
    assert_eq!(append(&log, 1, middle.point, vec![ahead], None).await, Some(Refusal::BadFrame));
    ahead = frame(1, &mut End { point: end.point, chain: middle.chain }, 1);
    assert_eq!(append(&log, 1, middle.point, vec![ahead], None).await, Some(Refusal::BadFrame));
    assert_eq!(append(&log, 1, middle.point, vec![second], None).await, None);
}
