//! Options of `plimsoll timestamp`.

use std::path::PathBuf;

use super::load::{Fault, Files, at};
use super::raw::RawTimestamp;
use super::{ClusterConfig, address};

/// A timestamp server.
#[derive(Debug, Clone)]
pub struct TimestampConfig {
    /// Shared by all processes of the cluster.
    pub cluster: ClusterConfig,
    /// Low byte of every timestamp it issues; different for each server of the cluster.
    pub id: u8,
    /// Folder of its state.
    pub data_dir: PathBuf,
    /// `host:port` for the agents.
    pub listen: String,
}

pub(super) fn validate(
    raw: RawTimestamp,
    cluster: ClusterConfig,
    files: &Files,
) -> Result<TimestampConfig, Fault> {
    at("timestamp.listen", address::check(&raw.listen))?;
    let data_dir = files.path(raw.data_dir);
    Ok(TimestampConfig { cluster, id: raw.id, data_dir, listen: raw.listen })
}
