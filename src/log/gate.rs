//! Who may write to this member's log, and what of it may be used. [pure]
//!
//! Home of I4 (nothing above what is committed, flushed *and* matched is visible), I5 (promises) and
//! I15 (matching). The service asks here before each write and after each fsync; the answers are
//! carried out by it, in its one thread, so that no report can overtake a promise.

use wal::{LogPoint, Lsn};

use super::history;
use crate::cluster::Shipper;

/// What this member has promised, and how far its log is known to be the shipper's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    promised: Option<Shipper>,
    /// With the promised shipper: everything up to here is in its log too. `None`: nothing is yet.
    matched: Option<LogPoint>,
    /// The promised shipper's commit point, as it last said.
    commit: Option<Lsn>,
    visible: Option<Lsn>,
}

/// What is to be done about an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Write. First make the promise durable if `promise`.
    Write {
        /// The append is a promise of a higher epoch (I5).
        promise: bool,
    },
    /// Refused.
    Refuse(Refusal),
}

/// Why an append or a promise was refused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A newer reign, or another granting of this one, was promised.
    #[error("promised to epoch {} under another grant", .promised.epoch)]
    Fenced {
        /// To whom.
        promised: Shipper,
    },
    /// The record named as the one before is not in this log.
    #[error("this log lacks the record that the append follows")]
    NotMatched,
    /// A frame is damaged, or does not continue this log.
    #[error("a frame is damaged or does not continue this member's log")]
    BadFrame,
    /// The disk is full; the member keeps what it has and goes on when there is room.
    #[error("no room on this member's disk")]
    NoRoom,
}

impl Gate {
    /// The gate of a log that was just opened: the promise as it was stored, nothing matched yet.
    pub fn new(promised: Option<Shipper>) -> Gate {
        Gate { promised, matched: None, commit: None, visible: None }
    }

    /// To whom this member has promised.
    pub fn promised(&self) -> Option<Shipper> {
        self.promised
    }

    /// How far the log is known to equal the promised shipper's.
    pub fn matched(&self) -> Option<LogPoint> {
        self.matched
    }

    /// What may be applied, routed to and handed out (I4). Only grows.
    pub fn visible(&self) -> Option<Lsn> {
        self.visible
    }

    /// Whether a fence of `shipper` may be promised; a repeated request of the same grant may.
    ///
    /// # Errors
    /// [`Refusal::Fenced`] by a promise of the same or a later epoch under another grant.
    pub fn may_promise(&self, shipper: Shipper) -> Result<(), Refusal> {
        match self.promised {
            Some(promised) if promised != shipper && promised.epoch >= shipper.epoch => {
                Err(Refusal::Fenced { promised })
            }
            _ => Ok(()),
        }
    }

    /// The promise is durable: what was matched with the shipper before counts no more.
    pub fn promise(&mut self, shipper: Shipper) {
        if self.promised != Some(shipper) {
            self.promised = Some(shipper);
            self.matched = None;
            self.commit = None;
        }
    }

    /// Whether `shipper` may append behind `before`, in a log with this `history`.
    pub fn admit(&self, shipper: Shipper, before: Option<LogPoint>, log: &[LogPoint]) -> Admission {
        if let Err(refusal) = self.may_promise(shipper) {
            return Admission::Refuse(refusal);
        }
        // Only the shipper's epoch counts against the promise: catch-up carries older frames (I5).
        if before.is_some_and(|before| !history::holds(log, before)) {
            return Admission::Refuse(Refusal::NotMatched);
        }
        Admission::Write { promise: self.promised != Some(shipper) }
    }

    /// The log is the shipper's up to `point` (I15); what it said is committed is `commit`.
    pub fn matched_through(&mut self, point: Option<LogPoint>, commit: Option<Lsn>) {
        self.matched = self.matched.max(point);
        self.commit = self.commit.max(commit);
    }

    /// What may be reported to the promised shipper as flushed: no further than matched (I15).
    pub fn reportable(&self, flushed: Option<LogPoint>) -> Option<LogPoint> {
        // Within a matched log the LSN alone tells the order, and `min` of points is `min` of LSNs.
        flushed.min(self.matched)
    }

    /// Recomputes what is visible (I4). Never falls: a later shipper's commit point may be behind for
    /// a moment, but what was committed stays committed.
    pub fn flushed(&mut self, flushed: Option<LogPoint>) {
        let own = self.reportable(flushed).map(|point| point.lsn);
        self.visible = self.visible.max(own.min(self.commit));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::GrantId;

    fn point(epoch: u32, lsn: u64) -> LogPoint {
        LogPoint { epoch: wal::Epoch::new(epoch).unwrap(), lsn: Lsn::new(lsn).unwrap() }
    }

    fn shipper(epoch: u32, grant: u64) -> Shipper {
        Shipper { epoch: wal::Epoch::new(epoch).unwrap(), grant: GrantId(grant) }
    }

    #[test]
    fn a_promise_refuses_lower_epochs_and_other_grants() {
        let mut gate = Gate::new(None);
        gate.promise(shipper(5, 1));
        assert_eq!(gate.may_promise(shipper(5, 1)), Ok(()));
        assert_eq!(gate.may_promise(shipper(6, 9)), Ok(()));
        for other in [shipper(4, 1), shipper(5, 2)] {
            let refusal = Refusal::Fenced { promised: shipper(5, 1) };
            assert_eq!(gate.may_promise(other), Err(refusal));
            assert_eq!(gate.admit(other, None, &[]), Admission::Refuse(refusal));
        }
    }

    #[test]
    fn an_append_of_a_higher_epoch_is_a_promise() {
        let mut gate = Gate::new(Some(shipper(1, 1)));
        gate.matched_through(Some(point(1, 9)), Some(Lsn::new(9).unwrap()));
        let admission = gate.admit(shipper(2, 2), Some(point(1, 5)), &[point(1, 9)]);
        assert_eq!(admission, Admission::Write { promise: true });
        gate.promise(shipper(2, 2));
        assert_eq!(gate.matched(), None, "what matched with epoch 1 says nothing of epoch 2");
    }

    #[test]
    fn an_append_behind_a_record_that_is_not_here_is_refused() {
        let gate = Gate::new(None);
        let log = [point(1, 5), point(3, 8)];
        for (before, held) in [
            (None, true),
            (Some(point(1, 5)), true),
            (Some(point(3, 8)), true),
            (Some(point(2, 6)), false),
            (Some(point(3, 9)), false),
        ] {
            let refused =
                gate.admit(shipper(4, 1), before, &log) == Admission::Refuse(Refusal::NotMatched);
            assert_eq!(refused, !held, "{before:?}");
        }
    }

    /// protocol-review, 87,703 states: a member with an uncommitted tail 6..9 of epoch 1 must not use
    /// epoch 2's commit point 6 for its own record 6, nor report its 9 to epoch 2.
    #[test]
    fn an_unmatched_tail_is_neither_reported_nor_visible() {
        let mut gate = Gate::new(Some(shipper(2, 2)));
        let flushed = Some(point(1, 9));
        gate.matched_through(Some(point(1, 5)), Lsn::new(6));
        gate.flushed(flushed);
        assert_eq!(gate.reportable(flushed), Some(point(1, 5)));
        assert_eq!(gate.visible(), Lsn::new(5));
    }

    proptest! {
        #[test]
        fn visible_is_within_all_three_and_never_falls(
            steps in proptest::collection::vec((0u64..20, 0u64..20, 0u64..20), 1..40)
        ) {
            let mut gate = Gate::new(Some(shipper(1, 1)));
            let (mut flushed, mut matched, mut commit, mut seen) = (0, 0, 0, None);
            for (f, m, c) in steps {
                flushed = flushed.max(f);
                matched = matched.max(m);
                commit = commit.max(c);
                let at = |lsn| Lsn::new(lsn).map(|lsn| point(1, lsn.get()));
                gate.matched_through(at(matched), Lsn::new(commit));
                gate.flushed(at(flushed));
                prop_assert_eq!(gate.visible(), Lsn::new(flushed.min(matched).min(commit)));
                prop_assert!(gate.visible() >= seen);
                seen = gate.visible();
            }
        }
    }
}
