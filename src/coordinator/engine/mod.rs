//! Who may ship, and under which rules: event in, commands out.
//!
//! No clock, no I/O, no randomness: cluster and grant ids come in with the events. A [`Command::Save`]
//! stands before every answer that rests on it; the runtime carries the commands out in order and
//! stops at the first that fails, so that nothing is ever told that is not durable.
//! Invariants: I6 (the fence list), I16 (which log counts), and: epochs and the log's format only grow.

mod change;
mod finalize;
mod grant;
mod register;
mod state;
mod view;

use std::collections::BTreeMap;

use wal::{ClusterId, Epoch, Incarnation, LogPoint, Lsn};

use crate::cluster::{GrantId, MemberName, Shipper, Voter};
use crate::explain::Coded;
use crate::report::{Registration, Reply, View};

pub use finalize::Finalizing;
pub use state::{Granted, Member, Settings, State};

/// Whom an answer goes to; numbered by the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker(pub u64);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An agent says who it is.
    Registers {
        /// Who asks.
        asker: Asker,
        /// What it says.
        registration: Registration,
    },
    /// A shipper asks for an epoch.
    AsksGrant {
        /// Who asks.
        asker: Asker,
        /// The member whose agent it is.
        member: MemberName,
        /// Its log.
        incarnation: Incarnation,
        /// Fresh and random, for this grant if it is given.
        fresh: GrantId,
    },
    /// A shipper's EpochStart is committed under all of its rules.
    EpochComplete {
        /// Who asks.
        asker: Asker,
        /// Which.
        shipper: Shipper,
        /// The EpochStart record.
        lsn: Lsn,
    },
    /// A Membership record is committed under the old rule and the new.
    ConfigCommitted {
        /// Who asks.
        asker: Asker,
        /// Who committed it.
        shipper: Shipper,
        /// The new configuration's.
        generation: u64,
    },
    /// The operator wants a member's new log to count.
    AsksReplace {
        /// Who asks.
        asker: Asker,
        /// Which member.
        member: MemberName,
    },
    /// The operator wants the newest format of the log in force.
    AsksFinalize {
        /// Who asks.
        asker: Asker,
    },
    /// How far logs have come: committed and matched there (I16).
    Reached(Vec<(Voter, LogPoint)>),
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make this durable before going on.
    Save(Box<State>),
    /// Answer an agent.
    Answer(Asker, Reply),
    /// Answer the operator.
    Replacing(Asker, Replacing),
    /// Answer the operator.
    Finalizing(Asker, Finalizing),
    /// Everybody gets the new view.
    Publish,
}

/// What became of a wish to replace a member's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacing {
    /// The joint change to this generation is under way.
    Started {
        /// The new configuration's.
        generation: u64,
    },
    /// The log that the agent has is the one that counts.
    Counts {
        /// Of the configuration in force.
        generation: u64,
    },
    /// There is no such member.
    Unknown,
    /// Not now, and why.
    Refused(Coded),
}

/// The engine: what is durable, and what the agents said since this process started.
#[derive(Debug)]
pub struct Engine {
    state: State,
    registered: BTreeMap<MemberName, Registration>,
    differences: Vec<String>,
    ahead: Option<Epoch>,
}

impl Engine {
    /// Takes up the stored state, or makes a new cluster under the id `fresh`. What the settings say
    /// about addresses holds at once; everything else stays as stored and is named as a difference.
    pub fn start(
        stored: Option<State>,
        settings: &Settings,
        fresh: ClusterId,
    ) -> (Engine, Vec<Command>) {
        let mut commands = Vec::new();
        let known = stored.is_some();
        let mut state = stored.unwrap_or_else(|| State::new(settings, fresh));
        let mut moved = false;
        for member in &mut state.members {
            let named = settings.members.iter().find(|named| named.name == member.name);
            if let Some(named) = named.filter(|named| named.listen != member.listen) {
                member.listen.clone_from(&named.listen);
                moved = true;
            }
        }
        if !known || moved {
            commands.push(Command::Save(Box::new(state.clone())));
        }
        let differences = state.differences(settings);
        (Engine { state, registered: BTreeMap::new(), differences, ahead: None }, commands)
    }

    /// Takes one event in.
    pub fn handle(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Registers { asker, registration } => self.register(asker, registration),
            Event::AsksGrant { asker, member, incarnation, fresh } => {
                self.grant(asker, Voter { member, incarnation }, fresh)
            }
            Event::EpochComplete { asker, shipper, lsn: _ } => self.epoch_complete(asker, shipper),
            Event::ConfigCommitted { asker, shipper, generation } => {
                self.config_committed(asker, shipper, generation)
            }
            Event::AsksReplace { asker, member } => self.replace(asker, &member),
            Event::AsksFinalize { asker } => self.finalize(asker),
            Event::Reached(points) => self.reached(points),
        }
    }

    /// What is durable once the commands so far are carried out.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What each agent said when it last registered with this process.
    pub fn registered(&self) -> &BTreeMap<MemberName, Registration> {
        &self.registered
    }

    /// How the configuration file differs from the cluster.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// A promise or log of an epoch that this store never granted: the store is an older copy.
    pub fn ahead(&self) -> Option<Epoch> {
        self.ahead
    }

    /// The cluster for the agents.
    pub fn view(&self, revision: u64) -> View {
        view::view(&self.state, &self.registered, revision)
    }

    fn save(&self) -> Command {
        Command::Save(Box::new(self.state.clone()))
    }
}

fn refused(asker: Asker, Coded { code, text }: Coded) -> Vec<Command> {
    vec![Command::Answer(asker, Reply::Refused { code, reason: text })]
}

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
