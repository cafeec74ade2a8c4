//! The file as it is written: keys, their kinds and defaults. Nothing here is checked beyond that.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{DurationText, OrOff, SizeText};
use crate::cluster::{AckWhen, MemberName};

/// JSON schema of the file, pretty-printed: what `plimsoll config schema` prints.
pub fn schema() -> String {
    let schema = schemars::schema_for!(RawConfig);
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text + "\n"
}

/// Configuration of Plimsoll: one file, a table per role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "plimsoll")]
pub(super) struct RawConfig {
    pub cluster: RawCluster,
    /// Who may use the HTTP ports of agent and coordinator. Both need it.
    pub http: Option<RawHttp>,
    /// For `plimsoll agent`.
    pub agent: Option<RawAgent>,
    /// For `plimsoll coordinator`.
    pub coordinator: Option<RawCoordinator>,
    /// For `plimsoll timestamp`.
    pub timestamp: Option<RawTimestamp>,
}

/// What every process of a cluster agrees on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCluster {
    /// Name of the cluster: 1 to 63 letters, digits, '_', '.' or '-'.
    pub name: String,
    /// File with the shared secret, at least 16 bytes. This or `secret_env`. While it is being
    /// changed, a line for each: the first is used, all are accepted.
    pub secret_file: Option<PathBuf>,
    /// Environment variable with the shared secret. This or `secret_file`.
    pub secret_env: Option<String>,
    /// Mutual TLS between the processes of the cluster. Default: none.
    pub tls: Option<RawTls>,
}

/// PEM files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    /// Authority that signed every process's certificate.
    pub ca: PathBuf,
    /// This process's certificate chain, good for server and client authentication.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What a request must show: a token, a client's certificate, or both where both are set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    /// File with the bearer token, at least 16 printable characters. This or `token_env`. While it is
    /// being changed, a line for each: the first is used, all are accepted.
    pub token_file: Option<PathBuf>,
    /// Environment variable with the token. This or `token_file`.
    pub token_env: Option<String>,
    /// HTTPS, with `client_ca` mutual TLS. Default: none, plain HTTP.
    pub tls: Option<RawHttpTls>,
    /// No credential at all: only on loopback addresses, only on a machine of one's own. Default:
    /// false.
    #[serde(default)]
    pub open: bool,
}

/// PEM files of HTTPS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttpTls {
    /// This process's certificate chain; clients compare its names with the address they ask.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authority of the clients' certificates: whoever has none of it is refused. Default: none is
    /// asked for.
    pub client_ca: Option<PathBuf>,
    /// Authority of the servers' certificates, for the verbs. Default: `client_ca`.
    pub ca: Option<PathBuf>,
}

/// A member: holds a copy of the log. Beside a server it is source or replica, else a witness.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAgent {
    /// Name of the member, as in `coordinator.members`.
    pub name: MemberName,
    /// Folder of its state; the log lies in `log` under it.
    pub data_dir: PathBuf,
    /// `host:port` for the other members.
    pub listen: String,
    /// `host:port` of its HTTP API.
    pub http: String,
    /// `host:port` of each coordinator.
    pub coordinators: Vec<String>,
    /// `host:port` of each timestamp server, an odd number. A witness needs none.
    #[serde(default)]
    pub timestamps: Vec<String>,
    /// Size at which a segment of the log ends. Default: "64MiB".
    #[serde(default = "segment")]
    pub segment: SizeText,
    /// Age from which a sealed segment of the log is compressed again, smaller, in the background;
    /// "off": never. Default: "1h".
    #[serde(default = "recompress_after")]
    pub recompress_after: OrOff<DurationText>,
    /// Segments that were sealed longer ago go, unless somebody needs them. Default: none go by age.
    pub keep_age: Option<DurationText>,
    /// While the log is larger, its oldest segments go, unless somebody needs them. Default: none go
    /// by size.
    pub keep_bytes: Option<SizeText>,
    /// What stays free on the log's disk: when less is left, segments go early, and at last also
    /// those that a consumer or a lagging member needs. Default: nobody is given up.
    pub keep_free: Option<SizeText>,
    /// The server beside it. Absent: a witness.
    pub server: Option<RawServer>,
}

/// The MySQL or MariaDB server beside the agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    /// Name or address. Default: "127.0.0.1".
    #[serde(default = "host")]
    pub host: String,
    /// TCP port. Default: 3306.
    #[serde(default = "port")]
    pub port: u16,
    /// MySQL's admin_port or MariaDB's extra_port, for when COMMITs that wait use up every
    /// connection. Default: none.
    pub fallback_port: Option<u16>,
    /// Account. Default: "plimsoll".
    #[serde(default = "user")]
    pub user: String,
    /// File with its password. This or `password_env`.
    pub password_file: Option<PathBuf>,
    /// Environment variable with its password. This or `password_file`.
    pub password_env: Option<String>,
    /// How far the server's certificate is checked. Default: "disabled".
    #[serde(default)]
    pub tls: RawTlsMode,
    /// PEM file of the authority for `verify-ca` and `verify-full`.
    pub tls_ca: Option<PathBuf>,
    /// The `server_id` the agent shows as a replica; unique among all that read the source's
    /// binlog. Default: made from the names of cluster and member.
    pub server_id: Option<u32>,
    /// As a replica: write applied transactions to the server's own binlog too, GTIDs kept.
    /// Default: false, which is faster.
    #[serde(default)]
    pub replica_binlog: bool,
    /// Where the very first start of a cluster begins in the source's binlog: "current",
    /// "earliest", "FILE:POS" or a GTID set. Later starts go on from the log. Default: "current".
    #[serde(default = "start")]
    pub start: String,
    /// Silence of the source after which it sends a heartbeat. Default: "1s".
    #[serde(default = "heartbeat")]
    pub heartbeat: DurationText,
    /// Largest event, and largest transaction of those that are held in memory as a whole (DDL, XA,
    /// and what the server itself compressed as a whole); others go on in pieces. A larger one stops
    /// the stream. Default: "256MiB".
    #[serde(default = "max_transaction")]
    pub max_transaction: SizeText,
}

/// Transport security towards the server.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawTlsMode {
    /// Plain TCP.
    #[default]
    Disabled,
    /// The chain must hold.
    VerifyCa,
    /// The chain must hold and name the host.
    VerifyFull,
}

/// Epochs, membership, the quorum rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCoordinator {
    /// Folder of its store.
    pub data_dir: PathBuf,
    /// `host:port` for the agents.
    pub listen: String,
    /// `host:port` of its HTTP API.
    pub http: String,
    /// The member whose server takes writes.
    pub source: MemberName,
    /// How many members may be lost without losing an acknowledged commit: a COMMIT returns when
    /// `tolerate` + 1 members have flushed it. Default: 1.
    #[serde(default = "tolerate")]
    pub tolerate: usize,
    /// What releases COMMIT: "flushed", or "applied" as well. Default: "flushed".
    #[serde(default)]
    pub ack: AckWhen,
    /// All members, witnesses too.
    pub members: Vec<RawMember>,
}

/// A member as the coordinator knows it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMember {
    /// Its `agent.name`.
    pub name: MemberName,
    /// `host:port` at which the other members reach it.
    pub listen: String,
    /// Has no server. Default: false.
    #[serde(default)]
    pub witness: bool,
}

/// A timestamp server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimestamp {
    /// Its number, in every timestamp it issues; different for each server of the cluster.
    pub id: u8,
    /// Folder of its state. Losing it means a new id: never start another one empty under this id.
    pub data_dir: PathBuf,
    /// `host:port` for the agents.
    pub listen: String,
}

fn segment() -> SizeText {
    SizeText(64 << 20)
}

fn recompress_after() -> OrOff<DurationText> {
    OrOff(Some(DurationText(Duration::from_secs(3600))))
}

fn host() -> String {
    "127.0.0.1".to_owned()
}

fn port() -> u16 {
    3306
}

fn user() -> String {
    "plimsoll".to_owned()
}

fn start() -> String {
    "current".to_owned()
}

fn heartbeat() -> DurationText {
    DurationText(std::time::Duration::from_secs(1))
}

fn max_transaction() -> SizeText {
    SizeText(256 << 20)
}

fn tolerate() -> usize {
    1
}
