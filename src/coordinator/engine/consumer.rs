//! Named consumers of the change feed: whose place is kept.
//!
//! It is kept here and not by an agent: any member can then serve a consumer, whoever died, and what
//! the log must keep is one value for all. An acknowledgement is one write of the store; who reads
//! fast acknowledges many transactions with one token.

use wal::Lsn;

use super::{Asker, Command, Engine, refused};
use crate::cluster::ConsumerName;
use crate::explain::{Code, Coded};
use crate::report::{Consumer, ConsumerAsk, Reply};

/// Each is in every view (256 KiB at most) and may hold the log back: more are a mistake.
const CONSUMERS_MAX: usize = 100;

impl Engine {
    pub(super) fn consumer(&mut self, asker: Asker, ask: ConsumerAsk, now: i64) -> Vec<Command> {
        let (name, changed) = match ask {
            ConsumerAsk::List => {
                let all = self.state.consumers.clone();
                return vec![Command::Answer(asker, Reply::Consumers(all))];
            }
            ConsumerAsk::Find { name } => (name, false),
            ConsumerAsk::Open { name, behind } => match self.open(&name, behind, now) {
                Ok(changed) => (name, changed),
                Err(why) => return refused(asker, why),
            },
            ConsumerAsk::Acknowledge { name, lsn, token } => {
                let Some(known) = self.known(&name) else {
                    let text = format!("there is no consumer {name}; open its feed first");
                    return refused(asker, Coded::new(Code::CONSUMER, text));
                };
                let forward = known.acknowledged < Some(lsn);
                if forward {
                    (known.acknowledged, known.token, known.since) = (Some(lsn), Some(token), now);
                }
                (name, forward)
            }
            ConsumerAsk::Remove { name } => {
                let before = self.state.consumers.len();
                self.state.consumers.retain(|known| known.name != name);
                let changed = self.state.consumers.len() != before;
                (name, changed)
            }
        };
        let found = self.state.consumers.iter().find(|known| known.name == name);
        let answer = Command::Answer(asker, Reply::Consumers(found.cloned().into_iter().collect()));
        match changed {
            true => vec![self.save(), answer, Command::Publish],
            false => vec![answer],
        }
    }

    fn known(&mut self, name: &ConsumerName) -> Option<&mut Consumer> {
        self.state.consumers.iter_mut().find(|known| known.name == *name)
    }

    /// `true` if it was made.
    fn open(&mut self, name: &ConsumerName, behind: Option<Lsn>, now: i64) -> Result<bool, Coded> {
        if self.known(name).is_some() {
            return Ok(false);
        }
        if self.state.consumers.len() >= CONSUMERS_MAX {
            let text = format!(
                "there are {CONSUMERS_MAX} consumers already; remove one that nobody needs \
                 (DELETE /v1/consumers/NAME at any agent)"
            );
            return Err(Coded::new(Code::CONSUMER, text));
        }
        let acknowledged = behind;
        let name = name.clone();
        self.state.consumers.push(Consumer { name, acknowledged, token: None, since: now });
        Ok(true)
    }
}
