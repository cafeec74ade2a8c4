//! What of the log may go. [pure]
//!
//! In: the sealed segments, the limits, who needs what, the room on the disk. Out: from which record on
//! the log is kept, who holds back what the limits would let go, and who is given up.
//!
//! Keep are upper ones: a segment goes when one of them is passed and nobody needs it. The disk's
//! room comes before those who need: when less than `keep_free` is left, first what nobody needs goes
//! early, then consumers are given up, then members and replicas that lag, each only as far as it takes.
//! Never: what is not visible, this server's own applier, a prepared XA transaction, the source's place.

use std::time::Duration;

use serde::Serialize;
use wal::Lsn;

use crate::config::Keep;

/// A sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Its last record.
    pub last: Lsn,
    pub bytes: u64,
    /// Since it was sealed.
    pub age: Duration,
}

/// Why somebody needs records. In the order in which they are given up; from `Visible` on, never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A named consumer has not acknowledged them. Given up first: it can begin anew.
    Consumer,
    /// Another member's log or server lacks them. Given up next: it can be replaced.
    Member,
    /// They are not committed here.
    Visible,
    /// This member's own server lacks them.
    Applier,
    /// An XA transaction of this member's server is prepared in them.
    Prepared,
    /// The source's last transaction: where a new reign goes on.
    Resume,
}

/// Somebody needs the log from a record on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    pub kind: Kind,
    /// The member's or consumer's name.
    pub name: String,
    /// The first record needed; `None`: not known, so all of them.
    pub lsn: Option<Lsn>,
}

/// What there is to decide on.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The log's first record; `None` in an empty log.
    pub first: Option<Lsn>,
    /// Oldest first, without the newest segment of the log.
    pub sealed: Vec<Sealed>,
    /// Of the newest one.
    pub newest_bytes: u64,
    pub limits: Keep,
    pub holders: Vec<Holder>,
    /// Bytes that are free on the log's disk; `None`: not known.
    pub free: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// How many of the sealed segments go, the oldest.
    pub remove: usize,
    /// Who keeps more from going.
    pub held_by: Vec<Holder>,
    /// Bytes that they keep, and since when the oldest of them should have gone at the latest.
    pub held_bytes: u64,
    pub held_age: Duration,
    /// Who needs what goes.
    pub given_up: Vec<Holder>,
    /// The disk is fuller than it should be, and nothing more may go.
    pub too_full: bool,
}

/// How many of the oldest segments nobody in `holders` needs.
fn unneeded<'a>(sealed: &[Sealed], holders: impl Iterator<Item = &'a Holder>) -> usize {
    let first = holders.map(|holder| holder.lsn).min();
    sealed.iter().take_while(|segment| first.is_none_or(|first| Some(segment.last) < first)).count()
}

/// How many of the oldest segments the limits of age and bytes let go.
fn over(facts: &Facts) -> usize {
    let Keep { age, bytes, .. } = facts.limits;
    let mut left = facts.newest_bytes + facts.sealed.iter().map(|one| one.bytes).sum::<u64>();
    let mut count = 0;
    for segment in &facts.sealed {
        let old = age.is_some_and(|age| segment.age > age);
        let large = bytes.is_some_and(|bytes| left > bytes);
        if !old && !large {
            break;
        }
        left -= segment.bytes;
        count += 1;
    }
    count
}

/// How many of the oldest segments make enough room.
fn for_room(facts: &Facts) -> usize {
    let lacking = facts.limits.free.zip(facts.free);
    let lacking = lacking.map_or(0, |(wanted, free)| wanted.saturating_sub(free));
    let mut made = 0;
    let enough = |segment: &&Sealed| {
        let more = made < lacking;
        made += segment.bytes;
        more
    };
    facts.sealed.iter().take_while(enough).count()
}

/// Decides. What goes was needed by nobody, or by those in `given_up`.
pub fn decide(facts: &Facts) -> Decision {
    // What was removed already is not kept by keeping more.
    let lost = |holder: &Holder| holder.lsn.is_some_and(|lsn| Some(lsn) < facts.first);
    let holders: Vec<&Holder> =
        facts.holders.iter().filter(|one| one.kind >= Kind::Visible || !lost(one)).collect();
    let free_of = |least: Kind| {
        unneeded(&facts.sealed, holders.iter().copied().filter(|holder| holder.kind >= least))
    };
    let (over, room) = (over(facts), for_room(facts));
    let free = free_of(Kind::Consumer);
    let mut remove = over.max(room).min(free);
    for least in [Kind::Member, Kind::Visible] {
        if remove < room {
            remove = room.min(free_of(least)).max(remove);
        }
    }
    let needs = |holder: &Holder, last: Lsn| holder.lsn.is_none_or(|lsn| lsn <= last);
    let wished = over.max(room);
    let needing = |count: usize| {
        let last = count.checked_sub(1).and_then(|index| facts.sealed.get(index));
        let Some(last) = last else { return Vec::new() };
        let needing = holders.iter().copied().filter(|holder| needs(holder, last.last));
        needing.cloned().collect()
    };
    let held = facts.sealed.get(remove..wished).unwrap_or_default();
    let given_up: Vec<Holder> = needing(remove);
    let mut held_by = if held.is_empty() { Vec::new() } else { needing(wished) };
    held_by.retain(|holder| !given_up.contains(holder));
    held_by.sort_by_key(|holder| holder.lsn);
    Decision {
        remove,
        held_by,
        held_bytes: held.iter().map(|segment| segment.bytes).sum(),
        held_age: held.first().map_or(Duration::ZERO, |segment| segment.age),
        given_up,
        too_full: facts.limits.free.zip(facts.free).is_some_and(|(wanted, free)| free < wanted)
            && remove < room,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lsn(number: u64) -> Lsn {
        Lsn::new(number).unwrap()
    }

    /// Ten segments of ten records and 100 bytes; the oldest was sealed ten hours ago.
    fn ten() -> Vec<Sealed> {
        let hours = |count: u64| Duration::from_secs(3600 * count);
        let one = |index: u64| Sealed { last: lsn(index * 10), bytes: 100, age: hours(11 - index) };
        (1..=10).map(one).collect()
    }

    fn holder(kind: Kind, first: u64) -> Holder {
        Holder { kind, name: format!("{kind:?}"), lsn: Lsn::new(first) }
    }

    fn facts(limits: Keep, holders: &[(Kind, u64)], free: u64) -> Facts {
        let holders = holders.iter().map(|&(kind, first)| holder(kind, first)).collect();
        let (first, free) = (Some(lsn(1)), Some(free));
        Facts { first, sealed: ten(), newest_bytes: 100, limits, holders, free }
    }

    fn names(holders: &[Holder]) -> Vec<Kind> {
        holders.iter().map(|holder| holder.kind).collect()
    }

    /// Keep, who needs what, free bytes; how many go, who holds, who is given up, too full.
    type Case = (Keep, &'static [(Kind, u64)], u64, usize, &'static [Kind], &'static [Kind], bool);

    #[test]
    fn what_goes_and_who_holds_it() {
        use Kind::{Applier, Consumer, Member, Visible};
        let none = Keep::default();
        let age = Keep { age: Some(Duration::from_secs(3600 * 6)), ..none };
        let bytes = Keep { bytes: Some(500), ..none };
        let both = Keep { age: age.age, bytes: Some(300), ..none };
        let free = Keep { free: Some(1000), ..none };
        let cases: &[Case] = &[
            (none, &[], 0, 0, &[], &[], false),
            (none, &[(Visible, 101)], 0, 0, &[], &[], false),
            (age, &[(Visible, 101)], 0, 4, &[], &[], false),
            (bytes, &[(Visible, 101)], 0, 6, &[], &[], false),
            (both, &[(Visible, 101)], 0, 8, &[], &[], false),
            // A record in the third segment is needed: two go.
            (bytes, &[(Member, 25), (Visible, 101)], 0, 2, &[Member], &[], false),
            (bytes, &[(Member, 21), (Consumer, 25)], 0, 2, &[Member, Consumer], &[], false),
            // The first record of the fourth: three go, all of the third.
            (bytes, &[(Member, 31), (Visible, 101)], 0, 3, &[Member], &[], false),
            // Nothing is known of one: it may need everything.
            (bytes, &[(Member, 0), (Visible, 101)], 0, 0, &[Member], &[], false),
            (bytes, &[(Applier, 11)], 0, 1, &[Applier], &[], false),
            // Enough room; the disk is nearly full, and nobody needs what makes room.
            (free, &[(Member, 91)], 1000, 0, &[], &[], false),
            (free, &[(Member, 91)], 750, 3, &[], &[], false),
            // Consumers first, and members only if that is not enough; as little as possible.
            (free, &[(Consumer, 11), (Member, 91)], 750, 3, &[], &[Consumer], false),
            (free, &[(Consumer, 11), (Member, 21)], 750, 3, &[], &[Consumer, Member], false),
            (free, &[(Consumer, 51), (Member, 21)], 750, 3, &[], &[Member], false),
            // The own applier, and what is not committed, never.
            (free, &[(Applier, 21), (Member, 11)], 750, 2, &[Applier], &[Member], true),
            (free, &[(Visible, 1)], 0, 0, &[Visible], &[], true),
        ];
        for (limits, holders, room, remove, held_by, given_up, too_full) in cases {
            let decision = decide(&facts(*limits, holders, *room));
            let what = format!("{limits:?} {holders:?} {room}");
            assert_eq!(decision.remove, *remove, "{what}");
            assert_eq!(names(&decision.held_by), *held_by, "{what}");
            assert_eq!(names(&decision.given_up), *given_up, "{what}");
            assert_eq!(decision.too_full, *too_full, "{what}");
        }
    }

    #[test]
    fn who_was_given_up_holds_nothing_any_more() {
        let limits = Keep { bytes: Some(500), ..Keep::default() };
        let mut facts = facts(limits, &[(Kind::Member, 1), (Kind::Consumer, 41)], 0);
        facts.sealed.drain(..3);
        facts.first = Some(lsn(31));
        let decision = decide(&facts);
        assert_eq!((decision.remove, names(&decision.held_by)), (1, vec![Kind::Consumer]));
        facts.holders[0].lsn = None;
        assert_eq!(
            decide(&facts).remove,
            0,
            "of whom nothing is known, who may need all that is left"
        );
        facts.holders[0] = holder(Kind::Applier, 1);
        assert_eq!(decide(&facts).remove, 0, "its own applier has a say in every case");
    }

    #[test]
    fn what_is_held_is_counted() {
        let limits = Keep { bytes: Some(500), ..Keep::default() };
        let decision = decide(&facts(limits, &[(Kind::Member, 25)], 0));
        assert_eq!((decision.remove, decision.held_bytes), (2, 400));
        assert_eq!(decision.held_age, Duration::from_secs(3600 * 8));
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop::sample::select(vec![
            Kind::Consumer,
            Kind::Member,
            Kind::Visible,
            Kind::Applier,
            Kind::Prepared,
            Kind::Resume,
        ])
    }

    proptest! {
        /// Nothing goes that somebody needs who is never given up; nobody is given up while there is
        /// room; and whoever loses something is named.
        #[test]
        fn nobody_loses_what_may_not_go(
            age in prop::option::of(0u64..12), bytes in prop::option::of(0u64..1200),
            free in prop::option::of(0u64..1200), room in 0u64..1200,
            holders in prop::collection::vec((kind(), 0u64..120), 0..6),
        ) {
            let age = age.map(|hours| Duration::from_secs(3600 * hours));
            let facts = facts(Keep { age, bytes, free }, &holders, room);
            let decision = decide(&facts);
            let gone = decision.remove.checked_sub(1).map(|index| facts.sealed[index].last);
            for holder in &facts.holders {
                let loses = gone.is_some_and(|gone| holder.lsn.is_none_or(|lsn| lsn <= gone));
                prop_assert_eq!(loses, decision.given_up.contains(holder));
                prop_assert!(!loses || holder.kind < Kind::Visible);
                prop_assert!(!loses || free.is_some_and(|free| room < free));
                // A member goes only where giving up all consumers was not enough.
                let member = loses && holder.kind == Kind::Member;
                let others = facts.holders.iter().filter(|one| one.kind > Kind::Consumer);
                prop_assert!(!member || unneeded(&facts.sealed, others) < decision.remove);
            }
        }
    }
}
