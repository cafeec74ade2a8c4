//! What a whole segment may hold: kept for every segment, so that most indexes need not be.

use super::{GtidSource, SegmentIndex, Span, number};
use crate::{BinlogPosition, Gtid};

/// What a segment may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary {
    latest: Option<i64>,
    positions: Positions,
    /// Source, least and greatest number.
    gtids: Vec<(GtidSource, u64, u64)>,
    any_gtid: bool,
}

#[derive(Debug, Clone, Default)]
enum Positions {
    #[default]
    None,
    Any,
    Between(BinlogPosition, BinlogPosition),
}

impl Summary {
    pub fn of(index: &SegmentIndex) -> Summary {
        let mut summary = Summary::default();
        for run in &index.runs {
            summary.latest = summary.latest.max(run.latest);
            summary.reach(index, run.span);
            match &run.gtids {
                None => summary.any_gtid = true,
                Some(intervals) => {
                    for one in intervals {
                        if let Some(source) = index.sources.get(usize::from(one.source)) {
                            summary.name(source, one.low, one.high);
                        }
                    }
                }
            }
        }
        summary
    }

    fn reach(&mut self, index: &SegmentIndex, span: Span) {
        let (low, high) = match span {
            Span::None => return,
            Span::Any => {
                self.positions = Positions::Any;
                return;
            }
            Span::Between(low, high) => (index.position(low), index.position(high)),
        };
        match &mut self.positions {
            Positions::Any => {}
            Positions::None => self.positions = Positions::Between(low, high),
            Positions::Between(least, greatest) => {
                if low < *least {
                    *least = low;
                }
                if high > *greatest {
                    *greatest = high;
                }
            }
        }
    }

    fn name(&mut self, source: &GtidSource, low: u64, high: u64) {
        match self.gtids.iter_mut().find(|(known, ..)| known == source) {
            Some((_, least, greatest)) => {
                *least = low.min(*least);
                *greatest = high.max(*greatest);
            }
            None => self.gtids.push((source.clone(), low, high)),
        }
    }

    /// The latest commit time in it.
    pub fn latest(&self) -> Option<i64> {
        self.latest
    }

    pub fn may_hold_gtid(&self, gtid: &Gtid) -> bool {
        let number = number(gtid);
        let holds = |(source, low, high): &(GtidSource, u64, u64)| {
            (*low..=*high).contains(&number) && source.is_of(gtid)
        };
        self.any_gtid || self.gtids.iter().any(holds)
    }

    pub fn may_hold_position(&self, position: &BinlogPosition) -> bool {
        match &self.positions {
            Positions::None => false,
            Positions::Any => true,
            Positions::Between(low, high) => low <= position && position <= high,
        }
    }
}
