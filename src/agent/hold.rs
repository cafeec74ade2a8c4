//! Holds a replica's applier at a record, while a verification opens its snapshots.

use std::time::Duration;

use tokio::sync::watch;
use wal::Lsn;

/// How soon the feed answers, where an applier is fed at all.
const SOON: Duration = Duration::from_secs(2);

/// How far an applier may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cap {
    /// No further than what it has been told already.
    Here,
    /// To this record, unless it has been told more already.
    At(Lsn),
}

/// The cap in force, and what the applier has been told under it.
type Fed = Option<(Cap, Option<Lsn>)>;

/// Hold and feed of one member.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    cap: watch::Sender<Option<Cap>>,
    fed: watch::Sender<Fed>,
}

impl Default for Hold {
    fn default() -> Hold {
        Hold { cap: watch::Sender::new(None), fed: watch::Sender::new(None) }
    }
}

impl Hold {
    /// Stops the applier at what it has been told. Like [`Hold::up_to`] and [`Hold::release`], to be
    /// called by whoever has the lease, under its lock: what is set behind a lease's end would stay.
    pub fn here(&self) {
        // What an earlier feed said under a cap of its own is no answer.
        self.fed.send_replace(None);
        self.cap.send_replace(Some(Cap::Here));
    }

    /// What it has been told, once it stands there. `None` if no applier is fed here.
    pub async fn held_at(&self) -> Option<Option<Lsn>> {
        let mut fed = self.fed.subscribe();
        let told = fed.wait_for(|fed| matches!(fed, Some((Cap::Here, _))));
        let told = tokio::time::timeout(SOON, told).await.ok()?.ok()?;
        told.map(|(_, at)| at)
    }

    /// Lets it go on up to `lsn`.
    pub fn up_to(&self, lsn: Lsn) {
        self.cap.send_replace(Some(Cap::At(lsn)));
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.cap.send_replace(None);
    }

    /// For the feed: woken when the cap changes.
    pub fn changes(&self) -> HoldChanges {
        HoldChanges(self.cap.subscribe())
    }

    /// For the feed: what the applier may be told now that `visible` may be applied (I4), having been
    /// told `told`.
    pub fn allow(&self, told: Option<Lsn>, visible: Option<Lsn>) -> Option<Lsn> {
        let cap = *self.cap.borrow();
        let allowed = allowed(cap, told, visible);
        self.fed.send_replace(cap.map(|cap| (cap, allowed)));
        allowed
    }
}

/// Wakes the feed.
pub(super) struct HoldChanges(watch::Receiver<Option<Cap>>);

impl HoldChanges {
    /// Returns when the cap has changed.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// What was told is not taken back: the applier may have it already. [pure]
fn allowed(cap: Option<Cap>, told: Option<Lsn>, visible: Option<Lsn>) -> Option<Lsn> {
    match cap {
        None => visible,
        Some(Cap::Here) => told,
        Some(Cap::At(lsn)) => visible.min(Some(lsn)).max(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(number: u64) -> Option<Lsn> {
        Lsn::new(number)
    }

    #[test]
    fn a_held_applier_is_told_no_more_and_never_less() {
        let at = |number| lsn(number).map(Cap::At);
        let table = [
            (None, lsn(5), lsn(9), lsn(9)),
            (Some(Cap::Here), lsn(5), lsn(9), lsn(5)),
            (Some(Cap::Here), None, lsn(9), None),
            (at(7), lsn(5), lsn(9), lsn(7)),
            (at(7), lsn(5), lsn(6), lsn(6)),
            (at(4), lsn(5), lsn(9), lsn(5)),
            (at(7), None, None, None),
        ];
        for (cap, told, visible, expected) in table {
            assert_eq!(allowed(cap, told, visible), expected, "{cap:?} {told:?} {visible:?}");
        }
    }

    #[tokio::test]
    async fn a_hold_is_confirmed_by_the_feed_and_by_no_former_one() {
        let hold = Hold::default();
        let mut changes = hold.changes();
        let holding = tokio::spawn({
            let hold = hold.clone();
            async move {
                hold.here();
                hold.held_at().await
            }
        });
        changes.changed().await;
        assert_eq!(hold.allow(lsn(5), lsn(9)), lsn(5));
        assert_eq!(holding.await.unwrap(), Some(lsn(5)));
        hold.release();
        hold.here();
        let alone = tokio::time::timeout(Duration::from_millis(20), hold.held_at()).await;
        assert!(alone.is_err(), "nobody feeds an applier now: {alone:?}");
    }
}
