//! The cluster as agents see it.

use std::collections::BTreeMap;

use super::State;
use crate::cluster::{MemberName, Voter};
use crate::explain::Code;
use crate::report::{MemberView, Registration, Standing, View};

pub(super) fn view(
    state: &State,
    registered: &BTreeMap<MemberName, Registration>,
    revision: u64,
) -> View {
    let members = state.members.iter().map(|member| {
        let known = registered.get(&member.name);
        MemberView {
            member: member.name.clone(),
            incarnation: known.and_then(|known| known.log).map(|log| log.incarnation),
            listen: member.listen.clone(),
            http: known.map(|known| known.http.clone()),
            has_server: member.has_server,
            standing: standing(state, registered, &member.name),
            // Reports are not the engine's: filled in when it is sent.
            reached: None,
        }
    });
    View {
        cluster: state.cluster,
        revision,
        source: state.source.clone(),
        epoch: state.epoch(),
        shipper: state.granted.as_ref().map(|granted| granted.shipper),
        complete: state.granted.as_ref().is_some_and(|granted| granted.complete),
        members: members.collect(),
        config: state.commit(),
        ack: state.ack,
        consumers: state.consumers.clone(),
        log_format: state.log_format,
    }
}

/// Whether the log that a member's agent has now counts (I16).
pub(super) fn standing(
    state: &State,
    registered: &BTreeMap<MemberName, Registration>,
    name: &MemberName,
) -> Standing {
    let log = registered.get(name).and_then(|known| known.log);
    let voter = log.map(|log| Voter { member: name.clone(), incarnation: log.incarnation });
    let Some(config) = &state.config else {
        let seen = state.seen.iter().any(|known| known.member == *name);
        return if seen { Standing::Counts } else { Standing::Unknown };
    };
    let Some(voter) = voter else {
        return Standing::Counts;
    };
    if state.shortened.contains(&voter) {
        let reason = format!(
            "its log ends before a record that it once reported as committed; stop its agent, remove \
             its log folder, start it, and run `plimsoll member replace {name}`"
        );
        return Standing::Excluded { code: Code::LOG_SHORTENED, reason };
    }
    let joining = state.incoming.as_ref().is_some_and(|incoming| incoming.voters.contains(&voter));
    if config.voters.contains(&voter) {
        Standing::Counts
    } else if joining {
        Standing::Joining
    } else {
        let reason = format!("its log folder is new; run `plimsoll member replace {name}`");
        Standing::Excluded { code: Code::LOG_NEW, reason }
    }
}
