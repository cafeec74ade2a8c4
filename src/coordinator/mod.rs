//! Epochs, membership and the quorum rule, kept durably; the cluster's status for people and routers.

pub mod engine;
pub mod store;
