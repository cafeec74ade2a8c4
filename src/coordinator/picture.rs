//! What status, routing and metrics are made from: the engine's side of things, at one moment.

use std::collections::BTreeMap;

use wal::Epoch;

use super::engine::{Engine, State};
use crate::cluster::MemberName;
use crate::report::{Registration, View};

/// A copy, published after every change; readers never hold up the engine.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The durable state.
    pub state: State,
    /// What each agent said when it last registered.
    pub registered: BTreeMap<MemberName, Registration>,
    /// How the configuration file differs.
    pub differences: Vec<String>,
    /// An epoch that the store should know and does not.
    pub ahead: Option<Epoch>,
    /// The view that agents have.
    pub view: View,
}

impl Picture {
    /// The engine as it is now.
    pub fn of(engine: &Engine, revision: u64) -> Picture {
        Picture {
            state: engine.state().clone(),
            registered: engine.registered().clone(),
            differences: engine.differences().to_vec(),
            ahead: engine.ahead(),
            view: engine.view(revision),
        }
    }
}
