//! A client's decisions [pure]: which timestamp is safe to return, and when.

use wal::Timestamp;

use super::RunOfTimestamps;

/// One life of a server's state: its id and the random instance that was made with the state.
pub(super) type Life = (u8, [u8; 16]);

/// What is known of the N = 2M - 1 servers, across sessions. Losing it costs second rounds only.
#[derive(Debug)]
pub(super) struct ClientCore {
    servers: Vec<Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    life: Option<Life>,
    /// It has answered a request in this life: what is known of it depends on that.
    heard: bool,
    /// The server stands at or above this: the greatest value ever seen from it.
    reached: Option<Timestamp>,
}

/// Why a server that answers does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// Counting it twice would let one server certify for two.
    #[error("is timestamp server {0}, which another address in the list is too")]
    SameServer(u8),
    /// Its word of before does not bind the new one.
    #[error("was another timestamp server before, or lost its state")]
    Changed,
}

/// One acquisition of a run.
#[derive(Debug)]
pub(super) struct Session {
    count: u32,
    /// Each server's first answer in this session: the last value of the run it gave us.
    answers: Vec<Option<Timestamp>>,
    contact: Vec<Contact>,
    /// No use in waiting longer for servers that have not answered.
    impatient: bool,
}

/// How a session stands with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contact {
    /// Cannot be asked.
    Away,
    /// Can be asked.
    Idle,
    /// Is being asked.
    Waiting,
}

/// What to ask a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    /// Index in the list.
    pub server: usize,
    /// It shall stand above this.
    pub above: Option<Timestamp>,
    /// Length of the run.
    pub count: u32,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for an answer, or for a server to come within reach.
    Wait,
    /// Ask these: a first round, or a second one that raises them.
    Ask(Vec<Ask>),
    /// Return this.
    Done(RunOfTimestamps),
}

impl ClientCore {
    /// For `servers` of them: an odd number.
    pub fn new(servers: usize) -> ClientCore {
        assert!(!servers.is_multiple_of(2), "N = 2M - 1 timestamp servers (I10)");
        ClientCore { servers: vec![Known::default(); servers] }
    }

    /// M: so many must answer.
    pub fn needed(&self) -> usize {
        self.servers.len().div_ceil(2)
    }

    /// A server says who it is. Must be asked before its answers are. One that has answered nothing yet
    /// may still be another: as for a client that has just begun.
    pub fn meet(&mut self, server: usize, life: Life) -> Result<(), NotCounted> {
        let others = self.servers.iter().enumerate().filter(|(index, _)| *index != server);
        let mut ids = others.filter_map(|(_, known)| known.life).map(|(id, _)| id);
        if ids.any(|id| id == life.0) {
            return Err(NotCounted::SameServer(life.0));
        }
        match self.servers[server].life {
            Some(before) if before != life && self.servers[server].heard => {
                Err(NotCounted::Changed)
            }
            _ => {
                self.servers[server].life = Some(life);
                Ok(())
            }
        }
    }

    /// An answer of the server has arrived, and will be told to its session.
    pub fn heard(&mut self, server: usize) {
        self.servers[server].heard = true;
    }

    /// Begins a session; no server is within reach until [`ClientCore::reachable`] says so.
    pub fn begin(&self, count: u32) -> Session {
        let servers = self.servers.len();
        let (answers, contact) = (vec![None; servers], vec![Contact::Away; servers]);
        Session { count, answers, contact, impatient: false }
    }

    /// `server` can be asked, for the first time or again. May be said any number of times.
    pub fn reachable(&self, session: &mut Session, server: usize) -> Step {
        match (session.contact[server], session.answers[server]) {
            (Contact::Waiting, _) => Step::Wait,
            (_, None) => {
                session.contact[server] = Contact::Waiting;
                Step::Ask(vec![Ask { server, above: None, count: session.count }])
            }
            (_, Some(_)) => {
                session.contact[server] = Contact::Idle;
                self.decide(session)
            }
        }
    }

    /// `server` answered a request of this session with a run that ends at `last`.
    pub fn answered(&mut self, session: &mut Session, server: usize, last: Timestamp) -> Step {
        let reached = &mut self.servers[server].reached;
        *reached = (*reached).max(Some(last));
        session.contact[server] = Contact::Idle;
        session.answers[server].get_or_insert(last);
        self.decide(session)
    }

    /// `server` will not answer what it was asked, and cannot be asked before it is reachable again.
    pub fn failed(&self, session: &mut Session, server: usize) -> Step {
        session.contact[server] = Contact::Away;
        self.decide(session)
    }

    /// Those that have not answered by now are not worth waiting for.
    pub fn impatient(&self, session: &mut Session) -> Step {
        session.impatient = true;
        self.decide(session)
    }

    fn decide(&self, session: &mut Session) -> Step {
        let Some(chosen) = self.candidate(session) else {
            return Step::Wait;
        };
        if self.is_certified(chosen) {
            let run = RunOfTimestamps::ending_at(chosen, session.count);
            return run.map_or(Step::Wait, Step::Done);
        }
        if session.contact.contains(&Contact::Waiting) && !session.impatient {
            return Step::Wait;
        }
        let raised = self.raise(session, chosen);
        if raised.is_empty() { Step::Wait } else { Step::Ask(raised) }
    }

    /// The M-th smallest first answer; `None` while fewer have answered.
    ///
    /// All runs of a session are equally long, so the order of their last values is that of their
    /// first ones: the first of the chosen run is above the M-th smallest state at the session's
    /// start, hence above all that was returned before.
    fn candidate(&self, session: &Session) -> Option<Timestamp> {
        let mut answers: Vec<Timestamp> = session.answers.iter().flatten().copied().collect();
        answers.sort_unstable();
        answers.get(self.needed() - 1).copied()
    }

    /// N - M + 1 servers stand at or above it, so every later M-th smallest is greater (I10).
    fn is_certified(&self, chosen: Timestamp) -> bool {
        let above = self.servers.iter().filter(|known| known.reached >= Some(chosen)).count();
        above > self.servers.len() - self.needed()
    }

    /// Those that answered, stand below `chosen`, and are not being asked already.
    fn raise(&self, session: &mut Session, chosen: Timestamp) -> Vec<Ask> {
        let mut asks = Vec::new();
        for (server, known) in self.servers.iter().enumerate() {
            let answered = session.answers[server].is_some();
            let idle = session.contact[server] == Contact::Idle;
            if answered && idle && known.reached < Some(chosen) {
                session.contact[server] = Contact::Waiting;
                asks.push(Ask { server, above: Some(chosen), count: 1 });
            }
        }
        asks
    }
}

#[cfg(test)]
impl Session {
    /// The planted bug of the simulation: the M-th smallest, returned without certifying.
    pub fn uncertified(&self, core: &ClientCore) -> Option<RunOfTimestamps> {
        core.candidate(self).and_then(|last| RunOfTimestamps::ending_at(last, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(counter: u64, server: u8) -> Timestamp {
        Timestamp::new(counter, server).unwrap()
    }

    fn done(counter: u64, server: u8, count: u32) -> Step {
        Step::Done(RunOfTimestamps::ending_at(at(counter, server), count).unwrap())
    }

    fn started(servers: usize, count: u32) -> (ClientCore, Session) {
        let core = ClientCore::new(servers);
        let mut session = core.begin(count);
        for server in 0..servers {
            let ask = Step::Ask(vec![Ask { server, above: None, count }]);
            assert_eq!(core.reachable(&mut session, server), ask);
            assert_eq!(core.reachable(&mut session, server), Step::Wait);
        }
        (core, session)
    }

    #[test]
    fn one_server_is_done_at_its_answer() {
        let (mut core, mut session) = started(1, 4);
        assert_eq!(core.answered(&mut session, 0, at(9, 0)), done(9, 0, 4));
    }

    #[test]
    fn three_that_all_answer_need_one_round() {
        let (mut core, mut session) = started(3, 1);
        assert_eq!(core.answered(&mut session, 0, at(5, 0)), Step::Wait);
        assert_eq!(core.answered(&mut session, 1, at(9, 1)), Step::Wait);
        // The middle one; two stand at or above it.
        assert_eq!(core.answered(&mut session, 2, at(7, 2)), done(7, 2, 1));
    }

    fn raise(server: usize, above: Timestamp) -> Step {
        Step::Ask(vec![Ask { server, above: Some(above), count: 1 }])
    }

    #[test]
    fn one_down_needs_a_second_round_that_raises_the_low_one() {
        let (mut core, mut session) = started(3, 2);
        assert_eq!(core.failed(&mut session, 2), Step::Wait);
        assert_eq!(core.answered(&mut session, 0, at(5, 0)), Step::Wait);
        assert_eq!(core.answered(&mut session, 1, at(9, 1)), raise(0, at(9, 1)));
        assert_eq!(core.answered(&mut session, 0, at(10, 0)), done(9, 1, 2));
    }

    #[test]
    fn a_silent_one_is_waited_for_only_so_long() {
        let (mut core, mut session) = started(3, 1);
        core.answered(&mut session, 0, at(5, 0));
        assert_eq!(core.answered(&mut session, 1, at(9, 1)), Step::Wait);
        assert_eq!(core.impatient(&mut session), raise(0, at(9, 1)));
        // It answers after all, and a smaller candidate is certified at once.
        assert_eq!(core.answered(&mut session, 2, at(6, 2)), done(6, 2, 1));
    }

    #[test]
    fn a_raise_that_is_lost_is_asked_again_when_the_server_is_back() {
        let (mut core, mut session) = started(3, 1);
        core.failed(&mut session, 2);
        core.answered(&mut session, 0, at(5, 0));
        assert_eq!(core.answered(&mut session, 1, at(9, 1)), raise(0, at(9, 1)));
        assert_eq!(core.failed(&mut session, 0), Step::Wait);
        assert_eq!(core.reachable(&mut session, 0), raise(0, at(9, 1)));
        assert_eq!(core.reachable(&mut session, 0), Step::Wait);
    }

    #[test]
    fn what_earlier_sessions_saw_saves_the_second_round() {
        let (mut core, mut session) = started(3, 1);
        core.answered(&mut session, 2, at(50, 2));
        core.answered(&mut session, 1, at(8, 1));
        core.answered(&mut session, 0, at(5, 0));
        let mut session = core.begin(1);
        core.reachable(&mut session, 0);
        core.reachable(&mut session, 1);
        core.answered(&mut session, 0, at(6, 0));
        assert_eq!(core.answered(&mut session, 1, at(9, 1)), done(9, 1, 1));
    }

    #[test]
    fn a_server_counts_once_and_under_one_state_only() {
        let mut core = ClientCore::new(3);
        assert_eq!(core.meet(0, (1, [1; 16])), Ok(()));
        assert_eq!(core.meet(1, (1, [1; 16])), Err(NotCounted::SameServer(1)));
        assert_eq!(core.meet(1, (2, [2; 16])), Ok(()));
        assert_eq!(core.meet(0, (1, [1; 16])), Ok(()));
        // Nothing that it said is known yet: the right state may still come back.
        assert_eq!(core.meet(0, (1, [3; 16])), Ok(()));
        assert_eq!(core.meet(0, (1, [1; 16])), Ok(()));
        core.heard(0);
        assert_eq!(core.meet(0, (1, [9; 16])), Err(NotCounted::Changed));
        assert_eq!(core.meet(0, (7, [1; 16])), Err(NotCounted::Changed));
    }
}
