//! Which records go to the server together. Pure: items in, steps out.
//!
//! One at a time while nothing waits; everything that waits, up to the limits, under backlog. How many
//! that is follows from how long the server took for the last ones. Never splits, reorders or drops an
//! item, and never passes `visible` (I4, I12).

use std::collections::VecDeque;
use std::time::Duration;

use wal::{Epoch, Lsn, Timestamp};

/// How much one server transaction may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Items, however fast the server is.
    pub items: usize,
    /// Bytes as sent. A larger single item still goes, alone.
    pub bytes: usize,
    /// How long one should take at the server: a reader sees a batch as a whole, so a larger one is
    /// later for its first transaction. A single item may take longer.
    pub time: Duration,
}

impl Default for Limits {
    /// 10,000 items, 8 MiB (in one packet of 16 MiB, what servers take by default), 100 ms: beyond
    /// these the server's work per row outweighs what a commit costs.
    fn default() -> Limits {
        Limits { items: 10_000, bytes: 8 << 20, time: Duration::from_millis(100) }
    }
}

/// Items that a batch begins with, before any has shown how long it takes.
const FIRST_ITEMS: usize = 200;

/// How many items take the time that a batch should.
#[derive(Debug, Clone, Copy)]
struct Pace {
    limits: Limits,
    items: usize,
}

impl Pace {
    fn new(limits: Limits) -> Pace {
        Pace { limits, items: FIRST_ITEMS.min(limits.items) }
    }

    /// `items` took `time`. Twice as many at most next time, half as many at least: one stall is no
    /// measure. Only a full batch shows that more would go.
    fn took(&mut self, items: usize, time: Duration) {
        let now = self.items;
        let full = items >= now;
        if time > self.limits.time && items > 1 {
            self.items = (now / 2).max(1);
        } else if full && time < self.limits.time / 2 {
            self.items = (now * 2).min(self.limits.items);
        }
    }
}

/// How an item may be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing to do at the server; it only moves the watermark.
    Control,
    /// Likewise, and what was begun before it was never committed: a new reign.
    Start,
    /// Rows: may share a server transaction with its neighbours.
    Share,
    /// Rows: a server transaction of its own, because it keeps its own name.
    Single,
    /// Cannot share a server transaction with the checkpoint: everything before it is committed
    /// first, nothing after it begins before it is done.
    Barrier,
    /// A piece of a large transaction; `begins` if it is the first. What was begun before it was never
    /// committed.
    Piece {
        /// Whether it is the first.
        begins: bool,
    },
    /// The last piece.
    LastPiece,
}

/// Where the log stands after an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub lsn: Lsn,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its frame's epoch.
    pub epoch: Epoch,
}

/// One record, with what is to be done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<W> {
    /// Where it stands.
    pub mark: Mark,
    /// How it may be applied.
    pub kind: Kind,
    /// Its size as sent to the server.
    pub bytes: usize,
    /// What is to be done.
    pub work: W,
}

/// What to do next, as a whole, before anything after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<W> {
    /// Nothing at the server: the watermark goes to the mark.
    Advance(Mark),
    /// One server transaction with the checkpoint. Not empty; its last item may be a control record.
    Batch(Vec<Item<W>>),
    /// This one alone, between commits.
    Barrier(Item<W>),
    /// Goes on with the transaction that is open, or begins it.
    Piece(Item<W>),
    /// Ends and commits it.
    LastPiece(Item<W>),
    /// Rolls it back.
    Abandon,
    /// A piece of a transaction of which none is open: it must not reach the server.
    Stray(Item<W>),
}

/// Items that wait, and the rule by which they go.
#[derive(Debug)]
pub struct Scheduler<W> {
    limits: Limits,
    pace: Pace,
    waiting: VecDeque<Item<W>>,
    bytes: usize,
    /// A large transaction is begun.
    open: bool,
}

impl<W> Scheduler<W> {
    /// An empty one.
    pub fn new(limits: Limits) -> Scheduler<W> {
        Scheduler {
            limits,
            pace: Pace::new(limits),
            waiting: VecDeque::new(),
            bytes: 0,
            open: false,
        }
    }

    /// Takes the next record. They must come without gaps (I12).
    ///
    /// # Panics
    /// If a number is left out or comes twice: a fault of the reader that must not reach the server.
    pub fn push(&mut self, item: Item<W>) {
        if let Some(last) = self.waiting.back() {
            assert_eq!(last.mark.lsn.next(), item.mark.lsn, "records come in order (I12)");
        }
        self.bytes += item.bytes;
        self.waiting.push_back(item);
    }

    /// A batch of so many items took the server so long.
    pub fn took(&mut self, items: usize, time: Duration) {
        self.pace.took(items, time);
    }

    /// `false` while a full batch waits: reading further would only fill memory (I14).
    pub fn wants_more(&self) -> bool {
        self.bytes < self.limits.bytes && self.waiting.len() < self.pace.items
    }

    /// The next step, of records up to `visible` alone; `None` if there is none yet.
    pub fn next(&mut self, visible: Option<Lsn>) -> Option<Step<W>> {
        let visible = visible?;
        loop {
            let first = self.waiting.front().filter(|item| item.mark.lsn <= visible)?;
            match first.kind {
                // The end of what is open moves the watermark beyond it.
                Kind::Control if self.open => drop(self.pop()),
                Kind::Piece { begins: false } if self.open => return self.pop().map(Step::Piece),
                Kind::LastPiece if self.open => {
                    self.open = false;
                    return self.pop().map(Step::LastPiece);
                }
                _ if self.open => {
                    self.open = false;
                    return Some(Step::Abandon);
                }
                Kind::Piece { begins: true } => {
                    self.open = true;
                    return self.pop().map(Step::Piece);
                }
                Kind::Barrier => return self.pop().map(Step::Barrier),
                Kind::Piece { begins: false } | Kind::LastPiece => {
                    return self.pop().map(Step::Stray);
                }
                Kind::Single => return self.pop().map(|item| Step::Batch(vec![item])),
                Kind::Control | Kind::Start | Kind::Share => return Some(self.shared(visible)),
            }
        }
    }

    fn shared(&mut self, visible: Lsn) -> Step<W> {
        let mut batch = Vec::new();
        let (mut mark, mut bytes) = (None, 0);
        while let Some(item) = self.waiting.front() {
            let fits = batch.is_empty()
                || batch.len() < self.pace.items && bytes + item.bytes <= self.limits.bytes;
            let joins = matches!(item.kind, Kind::Control | Kind::Start | Kind::Share);
            if item.mark.lsn > visible || !joins || !fits {
                break;
            }
            bytes += item.bytes;
            mark = Some(item.mark);
            batch.extend(self.pop());
        }
        match mark {
            Some(mark) if batch.iter().all(|item| item.kind != Kind::Share) => Step::Advance(mark),
            _ => Step::Batch(batch),
        }
    }

    fn pop(&mut self) -> Option<Item<W>> {
        let item = self.waiting.pop_front()?;
        self.bytes -= item.bytes;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(lsn: u64, kind: Kind, bytes: usize) -> Item<u64> {
        let mark = Mark {
            lsn: Lsn::new(lsn).unwrap(),
            timestamp: Timestamp::from_bits(lsn * 256).unwrap(),
            epoch: Epoch::new(1).unwrap(),
        };
        Item { mark, kind, bytes, work: lsn }
    }

    const TIME: Duration = Duration::from_millis(100);

    fn scheduler(items: usize, bytes: usize, kinds: &[Kind]) -> Scheduler<u64> {
        let mut scheduler = Scheduler::new(Limits { items, bytes, time: TIME });
        for (index, &kind) in kinds.iter().enumerate() {
            scheduler.push(item(
                index as u64 + 1,
                kind,
                if kind == Kind::Control { 0 } else { 10 },
            ));
        }
        scheduler
    }

    fn steps(mut scheduler: Scheduler<u64>, visible: u64) -> Vec<String> {
        std::iter::from_fn(|| scheduler.next(Lsn::new(visible)))
            .map(|step| match step {
                Step::Advance(mark) => format!("advance {}", mark.lsn),
                Step::Barrier(item) => format!("barrier {}", item.work),
                Step::Piece(item) => format!("piece {}", item.work),
                Step::LastPiece(item) => format!("last {}", item.work),
                Step::Abandon => "abandon".to_owned(),
                Step::Stray(item) => format!("stray {}", item.work),
                Step::Batch(items) => {
                    let all: Vec<_> = items.iter().map(|item| item.work.to_string()).collect();
                    format!("batch {}", all.join(" "))
                }
            })
            .collect()
    }

    #[test]
    fn what_waits_goes_together_up_to_the_limits_and_barriers_alone() {
        use Kind::{Barrier as B, Control as C, Share as S, Single as O};
        for (kinds, visible, expected) in [
            (vec![S], 1, vec!["batch 1"]),
            (vec![S, S, S], 2, vec!["batch 1 2"]),
            (vec![S, S, S, S, S], 5, vec!["batch 1 2 3", "batch 4 5"]),
            (vec![C, C, S], 2, vec!["advance 2"]),
            (vec![C, S, C], 3, vec!["batch 1 2 3"]),
            (vec![S, B, S, S], 4, vec!["batch 1", "barrier 2", "batch 3 4"]),
            (vec![O, O, S], 3, vec!["batch 1", "batch 2", "batch 3"]),
            (vec![S, S], 0, vec![]),
        ] {
            assert_eq!(steps(scheduler(3, 1_000, &kinds), visible), expected, "{kinds:?}");
        }
        assert_eq!(steps(scheduler(9, 20, &[S; 3]), 3), ["batch 1 2", "batch 3"]);
        // Larger than a whole batch: still goes, alone.
        assert_eq!(steps(scheduler(9, 5, &[S; 2]), 2), ["batch 1", "batch 2"]);
    }

    #[test]
    fn a_transaction_in_pieces_ends_or_is_rolled_back() {
        use Kind::{Barrier as B, Control as C, LastPiece as L, Share as S, Start as N};
        const F: Kind = Kind::Piece { begins: true };
        const P: Kind = Kind::Piece { begins: false };
        for (kinds, expected) in [
            (vec![S, F, P, L, S], vec!["batch 1", "piece 2", "piece 3", "last 4", "batch 5"]),
            // What only moves the watermark waits for the end of what is open.
            (vec![F, C, P, C, L], vec!["piece 1", "piece 3", "last 5"]),
            (vec![F, P, F, L], vec!["piece 1", "piece 2", "abandon", "piece 3", "last 4"]),
            (vec![F, C, N, C], vec!["piece 1", "abandon", "advance 4"]),
            (vec![F, B, S], vec!["piece 1", "abandon", "barrier 2", "batch 3"]),
            (vec![F, S], vec!["piece 1", "abandon", "batch 2"]),
            (vec![F, L], vec!["piece 1", "last 2"]),
            (vec![F, S, L], vec!["piece 1", "abandon", "batch 2", "stray 3"]),
            (vec![P], vec!["stray 1"]),
        ] {
            let visible = kinds.len() as u64;
            assert_eq!(steps(scheduler(9, 1_000, &kinds), visible), expected, "{kinds:?}");
        }
    }

    #[test]
    fn batches_grow_while_they_are_short_and_full_and_shrink_when_they_are_long() {
        let limits = Limits { items: 1_000, bytes: 1 << 20, time: TIME };
        let millis = Duration::from_millis;
        for (before, items, took, after) in [
            (200, 200, millis(10), 400),
            (800, 800, millis(10), 1_000),
            // Not full: it was all there was.
            (200, 3, millis(1), 200),
            (200, 200, millis(70), 200),
            (200, 200, millis(101), 100),
            (200, 20, millis(101), 100),
            (1, 1, millis(500), 1),
            (3, 2, millis(500), 1),
        ] {
            let mut pace = Pace { limits, items: before };
            pace.took(items, took);
            assert_eq!(pace.items, after, "{items} of {before} in {took:?}");
        }
    }

    #[test]
    #[should_panic(expected = "I12")]
    fn a_gap_is_never_applied() {
        let mut scheduler = scheduler(9, 9, &[Kind::Share]);
        scheduler.push(item(3, Kind::Share, 1));
    }

    fn kinds() -> impl Strategy<Value = Vec<(Kind, usize)>> {
        let kind = prop_oneof![
            1 => Just(Kind::Control),
            6 => Just(Kind::Share),
            1 => Just(Kind::Single),
            1 => Just(Kind::Barrier),
        ];
        prop::collection::vec((kind, 0_usize..50), 0..60)
    }

    proptest! {
        #[test]
        fn every_item_goes_once_in_order_and_never_past_visible(
            kinds in kinds(),
            limits in (1_usize..6, 1_usize..120),
            rises in prop::collection::vec((0_u64..70, 0_u64..200), 1..12),
        ) {
            let mut scheduler = Scheduler::new(Limits { items: limits.0, bytes: limits.1, time: TIME });
            for (index, (kind, bytes)) in kinds.iter().enumerate() {
                scheduler.push(item(index as u64 + 1, *kind, *bytes));
            }
            let (mut done, mut visible) = (0, 0);
            for (rise, millis) in rises {
                visible = visible.max(rise);
                while let Some(step) = scheduler.next(Lsn::new(visible)) {
                    match step {
                        Step::Advance(mark) => {
                            for lsn in done + 1..=mark.lsn.get() {
                                prop_assert_eq!(kinds[lsn as usize - 1].0, Kind::Control);
                            }
                            done = mark.lsn.get();
                        }
                        Step::Piece(_) | Step::LastPiece(_) | Step::Abandon | Step::Stray(_) => {
                            prop_assert!(false, "there are none");
                        }
                        Step::Barrier(item) => {
                            prop_assert_eq!((item.kind, item.work), (Kind::Barrier, done + 1));
                            done += 1;
                        }
                        Step::Batch(items) => {
                            let bytes: usize = items.iter().map(|item| item.bytes).sum();
                            prop_assert!(items.len() == 1 || items.len() <= limits.0);
                            prop_assert!(items.len() == 1 || bytes <= limits.1);
                            scheduler.took(items.len(), Duration::from_millis(millis));
                            for item in &items {
                                prop_assert_ne!(item.kind, Kind::Barrier);
                                prop_assert!(item.kind != Kind::Single || items.len() == 1);
                                prop_assert_eq!(item.work, done + 1);
                                done += 1;
                            }
                        }
                    }
                    prop_assert!(done <= visible);
                }
                prop_assert_eq!(done, visible.min(kinds.len() as u64));
            }
        }
    }
}
