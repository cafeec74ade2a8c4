//! Any run of appends, syncs, restarts and adoptions leaves what a plain list would hold.

use bytes::Bytes;
use proptest::prelude::*;
use wal::{Body, Log, Lsn, Record, verify};

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    /// So many transactions of such a size in one frame.
    Append {
        count: usize,
        bytes: usize,
    },
    NewEpoch,
    Format,
    Sync,
    Reopen,
    /// Cut behind the frame at this share of the log.
    Cut(f64),
    /// A write broke off: so many bytes of garbage behind the end, then a restart.
    Tear(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..5, 0usize..900).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        1 => Just(Step::Append { count: 1, bytes: 9000 }),
        1 => Just(Step::NewEpoch),
        1 => Just(Step::Format),
        2 => Just(Step::Sync),
        2 => Just(Step::Reopen),
        1 => (0.0..=1.0f64).prop_map(Step::Cut),
        1 => (1usize..120).prop_map(Step::Tear),
    ]
}

/// The list: every record, and where frames end.
struct Model {
    records: Vec<Record>,
    ends: Vec<usize>,
    epoch: u32,
}

impl Model {
    fn append(&mut self, log: &mut Log, bodies: &[Body]) {
        let starts = matches!(bodies, [Body::EpochStart(_)]);
        if self.records.is_empty() && !starts {
            // As every log does.
            self.append(log, &[Body::EpochStart(epoch_start("s1"))]);
        }
        let frame = append(log, epoch(self.epoch), bodies);
        self.records.extend(frame.records().unwrap());
        self.ends.push(self.records.len());
    }

    fn check(&self, log: &Log) {
        assert_eq!(read_all(log), self.records);
        assert_eq!(log.tail().map(|tail| tail.lsn), Lsn::new(self.records.len() as u64));
        assert_eq!(log.last_timestamp(), self.records.last().map(|record| record.timestamp));
        let last_start = self.records.iter().rev().find_map(|record| match &record.body {
            Body::EpochStart(_) => Some(record.lsn),
            _ => None,
        });
        assert_eq!(log.context().map(|context| context.epoch_start), last_start);
        let last_format = self.records.iter().rev().find_map(|record| match &record.body {
            Body::EpochStart(_) | Body::FormatDescription { .. } => Some(record.lsn),
            _ => None,
        });
        let format = log.tail().and_then(|tail| log.reader().format_at(tail.lsn).ok());
        assert_eq!(format.map(|format| format.0), last_format);
    }
}

fn run(steps: &[Step]) {
    let folder = Folder::fast();
    let mut log = Some(folder.create());
    let mut model = Model { records: Vec::new(), ends: Vec::new(), epoch: 1 };
    for step in steps {
        let mut open = log.take().unwrap();
        match step {
            Step::Append { count, bytes } => {
                let first = model.records.len() as u64 + 2;
                let one = |index| Body::Transaction(transaction(first + index, *bytes));
                let bodies: Vec<Body> = (0..*count as u64).map(one).collect();
                model.append(&mut open, &bodies);
            }
            Step::NewEpoch => {
                model.epoch += 1;
                model.append(&mut open, &[Body::EpochStart(epoch_start("s2"))]);
            }
            Step::Format => {
                let position = transaction(1, 0).start;
                let event = Bytes::from_static(b"other format");
                model.append(&mut open, &[Body::FormatDescription { position, event }]);
            }
            Step::Sync => open.sync().unwrap(),
            Step::Reopen => {
                drop(open);
                open = folder.open();
                model.check(&open);
            }
            Step::Cut(share) => {
                let index = (model.ends.len() as f64 * share) as usize;
                model.ends.truncate(index);
                let keep = model.ends.last().copied().unwrap_or(0);
                model.records.truncate(keep);
                open.truncate_after(Lsn::new(keep as u64)).unwrap();
                model.check(&open);
            }
            Step::Tear(bytes) => {
                drop(open);
                if let Some(path) = folder.segments().pop() {
                    let end = match frames_in(&path).last() {
                        Some((_, end)) => *end,
                        None => u64::from(u32::from_le_bytes(
                            std::fs::read(&path).unwrap()[12..16].try_into().unwrap(),
                        )),
                    };
                    overwrite(&path, end, &vec![0xf1; *bytes]);
                }
                open = folder.open();
                model.check(&open);
            }
        }
        log = Some(open);
    }
    let open = log.unwrap();
    model.check(&open);
    drop(open);
    model.check(&folder.open());
    assert_eq!(verify(&folder.path).unwrap().records, model.records.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list(steps in prop::collection::vec(step(), 1..50)) {
        run(&steps);
    }
}
