//! The agent's side of `plimsoll verify`: a lease, and what is held under it.
//!
//! One verification at a time. Whatever is held for it (an applier, a session with its snapshot) goes
//! with the lease, which each request renews: a verb that was killed leaves nothing behind.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wal::Lsn;

use super::Parts;
use super::hold::Hold;
use super::state::Topic;
use crate::config::{AgentServer, ServerConfig};
use crate::explain::Code;
use crate::report::MemberRole;
use crate::server::{Family, Session};
use crate::verify::{Error, Place, Reading, UpTo, place, settle, snapshot};

/// Nobody asks for so long: everything is given back.
const LEASE: Duration = Duration::from_secs(15);

/// One statement: a digest of a large table without a key.
const STATEMENT_MAX: Duration = Duration::from_secs(3600);

/// How often a snapshot is tried at the source, and the pause between: under load MySQL rests at
/// some ACKs only, and a replica may be told of a commit before its source shows it.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// A server that does not answer holds no COMMIT longer than this.
const NO_ACKS_MAX: Duration = Duration::from_secs(1);

/// The verification that is under way here, if one is.
#[derive(Clone, Default)]
pub(super) struct Verifications(Arc<Mutex<Option<Active>>>);

struct Active {
    id: String,
    until: Instant,
    reading: Slot,
}

/// The open snapshot; taken out while it is read, so that a request that broke off leaves none.
type Slot = Arc<tokio::sync::Mutex<Option<Reading>>>;

impl Verifications {
    /// Begins, or goes on with, the verification `id`; its lease runs from now.
    fn begin(&self, id: &str, member: &str, hold: &Hold) -> Result<Slot, Error> {
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match active.as_mut().filter(|active| active.until > now) {
            Some(found) if found.id == id => {
                found.until = now + LEASE;
                return Ok(found.reading.clone());
            }
            Some(_) => {
                let (member, seconds) = (member.to_owned(), LEASE.as_secs());
                return Err(Error::Busy { member, seconds });
            }
            None => {}
        }
        hold.release();
        let reading = Slot::default();
        *active = Some(Active { id: id.to_owned(), until: now + LEASE, reading: reading.clone() });
        tokio::spawn(watch(self.clone(), id.to_owned(), hold.clone()));
        Ok(reading)
    }

    /// Renews the lease.
    pub fn renew(&self, id: &str, member: &str) -> Result<Slot, Error> {
        self.renew_and(id, member, || {})
    }

    /// Renews the lease and changes what is held under it: never behind its end, which takes the same
    /// lock.
    fn renew_and(&self, id: &str, member: &str, change: impl FnOnce()) -> Result<Slot, Error> {
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match active.as_mut().filter(|active| active.id == id && active.until > now) {
            Some(found) => {
                found.until = now + LEASE;
                change();
                Ok(found.reading.clone())
            }
            None => Err(Error::LeaseOver { member: member.to_owned() }),
        }
    }

    /// Gives everything back.
    pub fn end(&self, id: &str, hold: &Hold) {
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if active.take_if(|active| active.id == id).is_some() {
            hold.release();
        }
    }

    /// Ends whatever is under way: what is held belongs to a role that is over.
    pub fn end_all(&self, hold: &Hold) {
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *active = None;
        hold.release();
    }

    /// When the lease of `id` ends; `None` once it is gone.
    fn until(&self, id: &str) -> Option<Instant> {
        let active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        active.as_ref().filter(|active| active.id == id).map(|active| active.until)
    }
}

/// Ends the verification when its lease does.
async fn watch(verifications: Verifications, id: String, hold: Hold) {
    while let Some(until) = verifications.until(&id) {
        if until <= Instant::now() {
            tracing::warn!(code = %Code::VERIFY_LEASE_OVER, id, "a verification's lease has run out; everything is given back");
            verifications.end(&id, &hold);
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

/// Stops the applier where it is.
pub(super) async fn hold(parts: &Parts, id: &str) -> Result<Option<Lsn>, Error> {
    let member = parts.config.name.as_str();
    role(parts, MemberRole::Replica, "only a replica's applier can be held")?;
    parts.verifications.begin(id, member, &parts.hold)?;
    parts.verifications.renew_and(id, member, || parts.hold.here())?;
    let held = parts.hold.held_at().await;
    held.ok_or_else(|| not_in_order(parts, "its applier must be running"))
}

/// Opens the source's snapshot at a record at or behind `behind`.
pub(super) async fn source_snapshot(
    parts: &Parts,
    id: &str,
    behind: Option<Lsn>,
) -> Result<Lsn, Error> {
    let server = role(parts, MemberRole::Source, "it must be the source")?;
    if let Some(alarm) = parts.shared.now().alarms.get(&Topic::Protection) {
        let wanted = "a snapshot's place is known only while commits wait for the quorum alone";
        let (member, found) = (parts.config.name.to_string(), alarm.text.clone());
        return Err(Error::Role { member, found, wanted });
    }
    let slot = parts.verifications.begin(id, parts.config.name.as_str(), &parts.hold)?;
    let mut session = reading_session(&server.connection).await?;
    snapshot::check_mysql(&mut session).await?;
    let mut why = "the log had no record of it";
    for _ in 0..TRIES {
        let found = match session.family() {
            Family::Mariadb => mariadb(parts, &mut session).await?,
            Family::Mysql => mysql(parts, &mut session).await?,
        };
        match found {
            None => why = "the server did not come to rest",
            Some(found) => {
                // No transaction lies between the two: the data is the same at both.
                let at = Some(found.lsn).max(behind).unwrap_or(found.lsn);
                if found.next.is_none_or(|next| at < next) {
                    *slot.lock().await = Some(Reading::begin(session).await?);
                    return Ok(at);
                }
                why = "a replica was ahead of it";
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::NoMoment { why })
}

async fn mariadb(parts: &Parts, session: &mut Session) -> Result<Option<Place>, Error> {
    let position = snapshot::open_mariadb(session).await?;
    let Some(found) = find(parts, UpTo::Position(position.clone()), None).await? else {
        return Ok(None);
    };
    let proved = snapshot::nothing_between(session, &found, &position).await?;
    Ok(Some(found).filter(|_| proved))
}

async fn mysql(parts: &Parts, session: &mut Session) -> Result<Option<Place>, Error> {
    // A commit needs no flush here: this log may be behind what its quorum has released.
    let released = || {
        let (released, written) = (parts.shared.let_go().released?, parts.log.reader().written()?);
        let here = written.epoch == released.epoch && written.lsn >= released.lsn;
        here.then_some(released.lsn)
    };
    // The long search first: what is searched while COMMITs are held up is short then.
    let Some(before) = released() else { return Ok(None) };
    let Some(near) = find(parts, UpTo::Lsn(before), None).await? else { return Ok(None) };
    let resting = async {
        let _no_acks = parts.acks.lock().await;
        let Some(last) = released() else { return Ok(None) };
        let found = find(parts, UpTo::Lsn(last), Some(near.lsn)).await?;
        let Some(found) = found else { return Ok(None) };
        let rests = snapshot::open_mysql(session, found.gtid.as_ref()).await?;
        Ok(Some(found).filter(|_| rests))
    };
    let late = Error::NoMoment { why: "the server did not answer while ACKs were held back" };
    tokio::time::timeout(NO_ACKS_MAX, resting).await.unwrap_or(Err(late))
}

async fn find(parts: &Parts, up_to: UpTo, hint: Option<Lsn>) -> Result<Option<Place>, Error> {
    let reader = parts.log.reader().clone();
    let found = tokio::task::spawn_blocking(move || place(&reader, &up_to, hint)).await;
    found.map_err(|_| Error::Answer("reading the log"))?
}

/// Opens a replica's snapshot at exactly `at`, and lets its applier go on.
pub(super) async fn replica_snapshot(
    parts: &Parts,
    id: &str,
    at: Lsn,
    wait: Duration,
) -> Result<Lsn, Error> {
    let member = parts.config.name.as_str();
    let server = role(parts, MemberRole::Replica, "it must be a replica")?;
    let slot = parts.verifications.renew_and(id, member, || parts.hold.up_to(at))?;
    let mut applied = parts.applied.watch();
    let reached = applied.wait_for(|applied| applied.is_some_and(|(lsn, _)| lsn >= at));
    let in_time = tokio::time::timeout(wait, reached).await.is_ok();
    let stands = || parts.applied.now().map(|(lsn, _)| lsn);
    if !in_time {
        if !parts.shared.now().serving {
            return Err(not_in_order(parts, "its applier must be running"));
        }
        let applied = stands().map_or(0, Lsn::get);
        let seconds = wait.as_secs();
        return Err(Error::Late { member: member.to_owned(), applied, wanted: at, seconds });
    }
    let mut session = reading_session(&server.connection).await?;
    snapshot::open(&mut session).await?;
    // Held until here: what is applied now is what the snapshot shows, if the hold still stands.
    parts.verifications.renew(id, member)?;
    if let Some(applied) = stands().filter(|applied| *applied != at) {
        return Err(Error::Passed { member: member.to_owned(), applied, wanted: at });
    }
    *slot.lock().await = Some(Reading::begin(session).await?);
    parts.verifications.renew_and(id, member, || parts.hold.release())?;
    Ok(at)
}

async fn reading_session(server: &ServerConfig) -> Result<Session, Error> {
    let mut session = Session::connect(server, STATEMENT_MAX).await?;
    settle(&mut session).await?;
    Ok(session)
}

fn role(parts: &Parts, role: MemberRole, wanted: &'static str) -> Result<AgentServer, Error> {
    let state = parts.shared.now();
    match &parts.config.server {
        Some(server) if state.role == role && state.serving => Ok(server.clone()),
        _ => Err(not_in_order(parts, wanted)),
    }
}

fn not_in_order(parts: &Parts, wanted: &'static str) -> Error {
    let state = parts.shared.now();
    let role = match state.role {
        MemberRole::Source => "the source",
        MemberRole::Replica => "a replica",
        MemberRole::Witness => "a witness",
    };
    let alarms: Vec<&str> = state.alarms.values().map(|alarm| alarm.text.as_str()).collect();
    let alarms =
        if alarms.is_empty() { String::new() } else { format!(" ({})", alarms.join("; ")) };
    let found = format!("{role}, {}{alarms}", state.phase);
    Error::Role { member: parts.config.name.to_string(), found, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lease_that_is_not_renewed_gives_everything_back() {
        let (verifications, hold) = (Verifications::default(), Hold::default());
        let slot = verifications.begin("a", "s2", &hold).unwrap();
        hold.up_to(Lsn::FIRST);
        assert!(matches!(verifications.begin("b", "s2", &hold), Err(Error::Busy { .. })));
        let first = verifications.until("a").unwrap();
        verifications.renew("a", "s2").unwrap();
        assert!(verifications.until("a").unwrap() > first);
        verifications.begin("a", "s2", &hold).unwrap();
        assert_eq!(hold.allow(None, Lsn::new(9)), Some(Lsn::FIRST), "still held");
        verifications.0.lock().unwrap().as_mut().unwrap().until = Instant::now();
        assert!(matches!(verifications.renew("a", "s2"), Err(Error::LeaseOver { .. })));
        watch(verifications.clone(), "a".to_owned(), hold.clone()).await;
        assert_eq!(hold.allow(None, Lsn::new(9)), Lsn::new(9), "let go");
        assert_eq!(Arc::strong_count(&slot), 1, "the snapshot is dropped");
        verifications.begin("b", "s2", &hold).unwrap();
        verifications.end("a", &hold);
        verifications.renew("b", "s2").unwrap();
    }

    #[tokio::test]
    async fn nothing_is_held_behind_the_end() {
        let (verifications, hold) = (Verifications::default(), Hold::default());
        verifications.begin("a", "s2", &hold).unwrap();
        // The verb gives up while its request is carried out.
        verifications.end("a", &hold);
        let late = verifications.renew_and("a", "s2", || hold.here());
        assert!(matches!(late, Err(Error::LeaseOver { .. })));
        assert_eq!(hold.allow(None, Lsn::new(9)), Lsn::new(9), "not held");
        verifications.begin("b", "s2", &hold).unwrap();
        verifications.renew_and("b", "s2", || hold.here()).unwrap();
        assert!(verifications.renew_and("a", "s2", || hold.release()).is_err());
        assert_eq!(hold.allow(None, Lsn::new(9)), None, "held for the other");
        verifications.end_all(&hold);
        assert_eq!(hold.allow(None, Lsn::new(9)), Lsn::new(9));
    }
}
