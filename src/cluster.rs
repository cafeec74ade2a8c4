//! Who is in the cluster, and under which rule: plain data that every part shares.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wal::{Epoch, Incarnation};

/// Name of a member, from its configuration: `s1`, `witness-1`. 1 to 63 of `[A-Za-z0-9_.-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct MemberName(String);

impl MemberName {
    /// Checks length and letters.
    ///
    /// # Errors
    /// [`BadName`] names the text.
    pub fn new(text: impl Into<String>) -> Result<MemberName, BadName> {
        let text = text.into();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if text.is_empty() || text.len() > 63 || !text.bytes().all(legal) {
            return Err(BadName(text));
        }
        Ok(MemberName(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MemberName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<MemberName, D::Error> {
        MemberName::new(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// A text that cannot name a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no member name: 1 to 63 letters, digits, '_', '.' or '-'")]
pub struct BadName(String);

/// A member as it counts (I16): its name, and the life of the log folder that was counted in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Voter {
    /// Name from the configuration.
    pub member: MemberName,
    /// The log folder that counts. Another incarnation under the same name counts for nothing.
    pub incarnation: Incarnation,
}

/// One granting of an epoch. Random; two grants of one epoch number are two different shippers (I5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GrantId(pub u64);

/// Who ships: the epoch and the grant under which it was given. What a promise is made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shipper {
    /// The reign.
    pub epoch: Epoch,
    /// Its granting.
    pub grant: GrantId,
}

/// What makes a record committed, and what makes a fence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `k` members have flushed. A fence is n - k + 1 promises.
    Any {
        /// Members that must have flushed; `tolerate` + 1.
        k: usize,
    },
}

/// A rule over a set of voters, numbered by the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QuorumConfig {
    /// Grows by one with every change of rule or voters.
    pub generation: u64,
    /// The rule.
    pub rule: Rule,
    /// Who counts, each once.
    pub voters: Vec<Voter>,
}

/// When the master's COMMIT is released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AckWhen {
    /// The record is committed.
    #[default]
    Flushed,
    /// Committed, and as many members as the rule asks for have applied it. The source counts as one
    /// once the record is committed; witnesses never count.
    Applied,
}

/// Where a member listens, as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAddress {
    /// Name.
    pub member: MemberName,
    /// `host:port` of its member port.
    pub listen: String,
    /// `false` for a witness.
    pub has_server: bool,
}

/// A granted reign: all that a shipper needs, so that no commit waits for the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who ships.
    pub shipper: Shipper,
    /// Commit needs every one of these: one, or old and new during a joint change (I6).
    pub commit: Vec<QuorumConfig>,
    /// The fence must satisfy every one of these: all granted since the last complete epoch (I6).
    pub fence: Vec<QuorumConfig>,
    /// Where the voters listen.
    pub members: Vec<MemberAddress>,
    /// What releases COMMIT.
    pub ack: AckWhen,
    /// For each voter that ever reported: a point that was committed and matched when it reported it.
    /// A log that does not reach it was shortened and does not count (I16).
    pub reached: Vec<(Voter, wal::LogPoint)>,
}

/// A version of the log's format (`wal/FORMAT.md`). One is in force in the cluster: no shipper writes
/// what only a later one has, so that members of neighbouring builds understand each other.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct LogFormat(u16);

impl LogFormat {
    /// What every build reads, and what is meant where nothing is said.
    pub const FIRST: LogFormat = LogFormat(*wal::FORMATS.start());
    /// The newest that this build reads and writes.
    pub const CURRENT: LogFormat = LogFormat(*wal::FORMATS.end());
    /// The first with frames compressed by Zstandard.
    pub const ZSTD: LogFormat = LogFormat(2);

    /// Its number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for LogFormat {
    fn default() -> LogFormat {
        LogFormat::FIRST
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The formats that a build reads: all from the oldest to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFormats {
    /// The first.
    pub oldest: LogFormat,
    /// The last.
    pub newest: LogFormat,
}

impl LogFormats {
    /// Of this build.
    pub const OURS: LogFormats =
        LogFormats { oldest: LogFormat::FIRST, newest: LogFormat::CURRENT };

    /// Whether that one is among them.
    pub fn read(self, format: LogFormat) -> bool {
        (self.oldest..=self.newest).contains(&format)
    }
}

/// Builds from before formats were told read the first one only.
impl Default for LogFormats {
    fn default() -> LogFormats {
        LogFormats { oldest: LogFormat::FIRST, newest: LogFormat::FIRST }
    }
}

/// What a supervisor does about an error; it looks at nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Passing: try the same again, after a pause.
    Retry,
    /// The connection is of no more use: make a new one, after a pause.
    Reconnect,
    /// A newer reign has been promised: this shipper is over.
    Fenced,
    /// Going on would risk data, or cannot work until a person acts: stop and say why.
    Fatal,
}

impl From<wal::ErrorClass> for ErrorClass {
    fn from(class: wal::ErrorClass) -> ErrorClass {
        match class {
            wal::ErrorClass::Retry => ErrorClass::Retry,
            wal::ErrorClass::Reconnect => ErrorClass::Reconnect,
            wal::ErrorClass::Fatal => ErrorClass::Fatal,
        }
    }
}

/// An error and its causes in one line, a cause that only repeats what was said left out.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
