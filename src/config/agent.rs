//! Options of `plimsoll agent`.

use std::path::PathBuf;
use std::time::Duration;

use super::error::Problem;
use super::load::{Fault, Files, at};
use super::raw::{RawAgent, RawServer, RawTlsMode};
use super::units::{DurationText, SizeText};
use super::{ClusterConfig, HttpAccess, ServerConfig, StartAt, TlsMode, address, http};
use crate::cluster::MemberName;

/// A member of the log.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Shared by all processes of the cluster.
    pub cluster: ClusterConfig,
    /// Who it is.
    pub name: MemberName,
    /// Folder of its state; the log lies in `log` under it.
    pub data_dir: PathBuf,
    /// `host:port` for the other members.
    pub listen: String,
    /// `host:port` of its HTTP API.
    pub http: String,
    /// Who may use that.
    pub access: HttpAccess,
    /// `host:port` of each coordinator, at least one.
    pub coordinators: Vec<String>,
    /// `host:port` of each timestamp server: an odd number, or none for a witness.
    pub timestamps: Vec<String>,
    /// Bytes at which a segment ends. Default: 64 MiB.
    pub segment_bytes: u64,
    /// Age from which a sealed segment is compressed again; `None`: never. Default: 1 h.
    pub recompress_after: Option<Duration>,
    /// What of the log may go. Default: nothing.
    pub keep: Keep,
    /// The server beside it; `None` for a witness.
    pub server: Option<AgentServer>,
}

impl AgentConfig {
    /// Folder of its log.
    pub fn log_dir(&self) -> PathBuf {
        self.data_dir.join("log")
    }
}

/// What of a log may go; all `None`: nothing ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Segments that were sealed longer ago than this go.
    pub age: Option<Duration>,
    /// While the log is larger than so many bytes, its oldest segment goes.
    pub bytes: Option<u64>,
    /// So many bytes of the disk stay free, whoever needs the log.
    pub free: Option<u64>,
}

/// The server beside an agent.
#[derive(Debug, Clone)]
pub struct AgentServer {
    /// How to reach it.
    pub connection: ServerConfig,
    /// The `server_id` shown as a replica. Default: made from the names of cluster and member.
    pub server_id: u32,
    /// As a replica: write the server's own binlog too. Default: false.
    pub replica_binlog: bool,
    /// First start of the cluster only. Default: `Current`.
    pub start: StartAt,
    /// Silence after which the source sends a heartbeat. Default: 1 s.
    pub heartbeat: Duration,
    /// Largest event, and largest transaction of those that do not go on in pieces. Default: 256 MiB.
    pub max_transaction_bytes: u64,
}

const SEGMENT: (SizeText, SizeText) = (SizeText(64 << 10), SizeText(1 << 30));
const KEEP_AGE: (DurationText, DurationText) =
    (DurationText(Duration::from_secs(1)), DurationText(Duration::from_secs(10 * 365 * 86_400)));
const KEEP_SIZE: (SizeText, SizeText) = (SizeText(64 << 10), SizeText(1 << 50));
const MAX_TRANSACTION: (SizeText, SizeText) = (SizeText(1 << 20), SizeText(1 << 30));
const HEARTBEAT: (DurationText, DurationText) =
    (DurationText(Duration::from_millis(100)), DurationText(Duration::from_secs(60)));
/// Clients tell servers apart by one byte; 9 is the largest number that TaaS was measured with.
const TIMESTAMPS_MAX: usize = 9;

pub(super) fn validate(
    raw: RawAgent,
    cluster: ClusterConfig,
    access: Option<HttpAccess>,
    files: &Files,
) -> Result<AgentConfig, Fault> {
    at("agent.listen", address::check(&raw.listen))?;
    at("agent.http", address::check(&raw.http))?;
    if raw.listen == raw.http {
        let other = "agent.listen".to_owned();
        return at("agent.http", Err(Problem::SameAddress { address: raw.http, other }));
    }
    let access = http::required(access, "agent.http", &raw.http)?;
    if raw.coordinators.is_empty() {
        let problem = Problem::Empty("list the host:port of the coordinator");
        return at("agent.coordinators", Err(problem));
    }
    at("agent.coordinators", address::check_list(&raw.coordinators))?;
    at("agent.timestamps", check_timestamps(&raw.timestamps, raw.server.is_some()))?;
    at("agent.segment", in_range(raw.segment, SEGMENT))?;
    let keep = keep(&raw)?;
    let server_id = default_server_id(&cluster.name, &raw.name);
    let server = raw.server.map(|server| validate_server(server, server_id, files)).transpose()?;
    Ok(AgentConfig {
        cluster,
        name: raw.name,
        data_dir: files.path(raw.data_dir),
        listen: raw.listen,
        http: raw.http,
        access,
        coordinators: raw.coordinators,
        timestamps: raw.timestamps,
        segment_bytes: raw.segment.0,
        recompress_after: raw.recompress_after.0.map(|after| after.0),
        keep,
        server,
    })
}

/// A log that is kept for less than some seconds could go before a member has come back.
fn keep(raw: &RawAgent) -> Result<Keep, Fault> {
    if let Some(age) = raw.keep_age {
        at("agent.keep_age", in_range(age, KEEP_AGE))?;
    }
    for (key, size) in [("agent.keep_bytes", raw.keep_bytes), ("agent.keep_free", raw.keep_free)] {
        if let Some(size) = size {
            at(key, in_range(size, KEEP_SIZE))?;
        }
    }
    Ok(Keep {
        age: raw.keep_age.map(|age| age.0),
        bytes: raw.keep_bytes.map(|size| size.0),
        free: raw.keep_free.map(|size| size.0),
    })
}

fn check_timestamps(timestamps: &[String], has_server: bool) -> Result<(), Problem> {
    if timestamps.is_empty() {
        let way_out = "a member with a server may become source; list the timestamp servers";
        return if has_server { Err(Problem::Empty(way_out)) } else { Ok(()) };
    }
    if timestamps.len().is_multiple_of(2) || timestamps.len() > TIMESTAMPS_MAX {
        return Err(Problem::TimestampCount(timestamps.len()));
    }
    address::check_list(timestamps)
}

fn validate_server(raw: RawServer, default_id: u32, files: &Files) -> Result<AgentServer, Fault> {
    let host = at("agent.server.host", non_empty(raw.host, "write the server's name or address"))?;
    let user = at("agent.server.user", non_empty(raw.user, "write the agent's account"))?;
    at("agent.server.port", port(raw.port))?;
    at("agent.server.fallback_port", raw.fallback_port.map_or(Ok(()), port))?;
    if raw.fallback_port == Some(raw.port) {
        let address = format!("{host}:{}", raw.port);
        let other = "agent.server.port".to_owned();
        return at("agent.server.fallback_port", Err(Problem::SameAddress { address, other }));
    }
    let password = at(
        "agent.server.password_file",
        files.secret(raw.password_file, raw.password_env, ("password_file", "password_env")),
    )?;
    let tls = at("agent.server.tls_ca", tls_mode(raw.tls, raw.tls_ca, files))?;
    let start = at("agent.server.start", StartAt::parse(&raw.start))?;
    at("agent.server.heartbeat", in_range(raw.heartbeat, HEARTBEAT))?;
    at("agent.server.max_transaction", in_range(raw.max_transaction, MAX_TRANSACTION))?;
    let server_id = raw.server_id.unwrap_or(default_id);
    if server_id == 0 {
        let (least, most) = ("1".to_owned(), u32::MAX.to_string());
        let value = "0".to_owned();
        return at("agent.server.server_id", Err(Problem::Range { value, least, most }));
    }
    let fallback_port = raw.fallback_port;
    Ok(AgentServer {
        connection: ServerConfig { host, port: raw.port, fallback_port, user, password, tls },
        server_id,
        replica_binlog: raw.replica_binlog,
        start,
        heartbeat: raw.heartbeat.0,
        max_transaction_bytes: raw.max_transaction.0,
    })
}

fn tls_mode(mode: RawTlsMode, ca: Option<PathBuf>, files: &Files) -> Result<TlsMode, Problem> {
    match (mode, ca.map(|ca| files.path(ca))) {
        (RawTlsMode::Disabled, None) => Ok(TlsMode::Disabled),
        (RawTlsMode::Disabled, Some(_)) => Err(Problem::UnusedCa),
        (RawTlsMode::VerifyCa, Some(ca)) => Ok(TlsMode::VerifyCa { ca }),
        (RawTlsMode::VerifyFull, Some(ca)) => Ok(TlsMode::VerifyFull { ca }),
        (RawTlsMode::VerifyCa, None) => Err(Problem::MissingCa("verify-ca")),
        (RawTlsMode::VerifyFull, None) => Err(Problem::MissingCa("verify-full")),
    }
}

fn port(port: u16) -> Result<(), Problem> {
    let (least, most) = ("1".to_owned(), u16::MAX.to_string());
    if port == 0 { Err(Problem::Range { value: port.to_string(), least, most }) } else { Ok(()) }
}

fn non_empty(text: String, way_out: &'static str) -> Result<String, Problem> {
    if text.is_empty() { Err(Problem::Empty(way_out)) } else { Ok(text) }
}

fn in_range<T: PartialOrd + std::fmt::Display>(
    value: T,
    (least, most): (T, T),
) -> Result<(), Problem> {
    if value >= least && value <= most {
        return Ok(());
    }
    let (least, most) = (least.to_string(), most.to_string());
    Err(Problem::Range { value: value.to_string(), least, most })
}

/// The upper half of the range, where hand-numbered servers are not.
fn default_server_id(cluster: &str, member: &MemberName) -> u32 {
    crc32fast::hash(format!("{cluster}/{member}").as_bytes()) | 1 << 31
}
