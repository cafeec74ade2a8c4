//! Options of `plimsoll coordinator`.

use std::path::PathBuf;

use super::error::Problem;
use super::load::{Fault, Files, at};
use super::raw::{RawCoordinator, RawMember};
use super::{ClusterConfig, HttpAccess, address, http};
use crate::cluster::{AckWhen, MemberName, Rule};

/// The coordinator, and the cluster as it is first made.
#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    /// Shared by all processes of the cluster.
    pub cluster: ClusterConfig,
    /// Folder of its store.
    pub data_dir: PathBuf,
    /// `host:port` for the agents.
    pub listen: String,
    /// `host:port` of its HTTP API.
    pub http: String,
    /// Who may use that.
    pub access: HttpAccess,
    /// The member whose server takes writes; one of `members`, not a witness.
    pub source: MemberName,
    /// Members that may be lost; less than the number of members. Default: 1.
    pub tolerate: usize,
    /// What releases COMMIT. Default: `Flushed`.
    pub ack: AckWhen,
    /// All members; names and addresses differ.
    pub members: Vec<MemberConfig>,
}

impl CoordinatorConfig {
    /// `any(tolerate + 1)`: never more than there are members. Its fence is n - tolerate promises.
    pub fn rule(&self) -> Rule {
        Rule::Any { k: self.tolerate + 1 }
    }
}

/// A member as the coordinator's file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberConfig {
    /// Its name.
    pub name: MemberName,
    /// `host:port` at which the other members reach it.
    pub listen: String,
    /// Has no server.
    pub witness: bool,
}

pub(super) fn validate(
    raw: RawCoordinator,
    cluster: ClusterConfig,
    access: Option<HttpAccess>,
    files: &Files,
) -> Result<CoordinatorConfig, Fault> {
    at("coordinator.listen", address::check(&raw.listen))?;
    at("coordinator.http", address::check(&raw.http))?;
    if raw.listen == raw.http {
        let other = "coordinator.listen".to_owned();
        return at("coordinator.http", Err(Problem::SameAddress { address: raw.http, other }));
    }
    let access = http::required(access, "coordinator.http", &raw.http)?;
    at("coordinator.members", check_members(&raw.members))?;
    at("coordinator.source", check_source(&raw.members, &raw.source))?;
    let (tolerate, members) = (raw.tolerate, raw.members.len());
    if tolerate >= members {
        return at("coordinator.tolerate", Err(Problem::TooFewMembers { tolerate, members }));
    }
    let servers = raw.members.iter().filter(|member| !member.witness).count();
    if raw.ack == AckWhen::Applied && tolerate >= servers {
        return at("coordinator.ack", Err(Problem::TooFewAppliers { tolerate, servers }));
    }
    let member = |RawMember { name, listen, witness }| MemberConfig { name, listen, witness };
    Ok(CoordinatorConfig {
        cluster,
        data_dir: files.path(raw.data_dir),
        listen: raw.listen,
        http: raw.http,
        access,
        source: raw.source,
        tolerate,
        ack: raw.ack,
        members: raw.members.into_iter().map(member).collect(),
    })
}

fn check_members(members: &[RawMember]) -> Result<(), Problem> {
    if members.is_empty() {
        return Err(Problem::Empty("list every member, the source too"));
    }
    for (index, member) in members.iter().enumerate() {
        address::check(&member.listen)?;
        for earlier in &members[..index] {
            if earlier.name == member.name {
                return Err(Problem::Twice(member.name.to_string()));
            }
            if earlier.listen == member.listen {
                let other = format!("the address of {:?}", earlier.name.as_str());
                return Err(Problem::SameAddress { address: member.listen.clone(), other });
            }
        }
    }
    Ok(())
}

fn check_source(members: &[RawMember], source: &MemberName) -> Result<(), Problem> {
    match members.iter().find(|member| member.name == *source) {
        None => Err(Problem::UnknownSource(source.to_string())),
        Some(member) if member.witness => Err(Problem::WitnessSource(source.to_string())),
        Some(_) => Ok(()),
    }
}
