//! From a path to validated options.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::Problem;
use super::raw::{RawCluster, RawConfig};
use super::{
    AgentConfig, ClusterConfig, Config, CoordinatorConfig, Error, Secret, TimestampConfig,
    TlsFiles, agent, coordinator, http, timestamp,
};

/// A key and what is wrong with it; the file is added where it is known.
pub(super) type Fault = (&'static str, Problem);

/// Names the key of a problem.
pub(super) fn at<T>(key: &'static str, result: Result<T, Problem>) -> Result<T, Fault> {
    result.map_err(|problem| (key, problem))
}

/// Guessing 16 random bytes is out of reach; an attacker who sees a handshake can guess off-line.
const SECRET_BYTES_MIN: usize = 16;
/// No password or secret is longer; a longer file is a wrong one.
const SECRET_BYTES_MAX: usize = 4096;
/// The old and the new one; a third if the next change comes before the last is over everywhere.
const SECRETS_MAX: usize = 3;

/// Where relative paths start, and where secrets come from.
pub(super) struct Files<'a> {
    folder: PathBuf,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Files<'_> {
    /// `path`, relative to the folder of the configuration file.
    pub fn path(&self, path: PathBuf) -> PathBuf {
        self.folder.join(path)
    }

    /// The secret in `file` or in the variable `env`; exactly one of them. `keys` are their names.
    pub fn secret(
        &self,
        file: Option<PathBuf>,
        env: Option<String>,
        keys: (&'static str, &'static str),
    ) -> Result<Secret, Problem> {
        let text = match (file, env) {
            (Some(path), None) => read_secret(self.path(path))?,
            (None, Some(name)) => (self.env)(&name).ok_or(Problem::SecretEnv(name))?,
            _ => {
                return Err(Problem::SecretChoice { file: keys.0, env: keys.1 });
            }
        };
        if text.len() > SECRET_BYTES_MAX {
            return Err(Problem::SecretLong(SECRET_BYTES_MAX));
        }
        Ok(Secret::new(text))
    }

    /// As [`Files::secret`], a line each: what is shared between processes cannot be changed
    /// everywhere at once. At least one; each of at least [`SECRET_BYTES_MIN`] bytes.
    pub fn secrets(
        &self,
        file: Option<PathBuf>,
        env: Option<String>,
        keys: (&'static str, &'static str),
    ) -> Result<Vec<Secret>, Problem> {
        let text = self.secret(file, env, keys)?;
        let lines = text.reveal().split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let secrets: Vec<Secret> = lines.map(Secret::new).collect();
        for bytes in secrets.iter().map(|secret| secret.reveal().len()) {
            if bytes < SECRET_BYTES_MIN {
                return Err(Problem::SecretShort { bytes, least: SECRET_BYTES_MIN });
            }
        }
        if secrets.len() > SECRETS_MAX {
            return Err(Problem::SecretCount { lines: secrets.len(), most: SECRETS_MAX });
        }
        Ok(secrets)
    }
}

/// Without the line end that editors and `echo` add; other white space may be part of it.
fn read_secret(path: PathBuf) -> Result<String, Problem> {
    let mut text = String::new();
    let limit = SECRET_BYTES_MAX as u64 + 3;
    let read = File::open(&path).and_then(|file| file.take(limit).read_to_string(&mut text));
    read.map_err(|error| Problem::SecretFile { path, error })?;
    let line_end = text.strip_suffix("\r\n").or(text.strip_suffix('\n'));
    Ok(line_end.unwrap_or(&text).to_owned())
}

impl Config {
    /// Reads and checks the file and the secrets it names.
    ///
    /// # Errors
    /// [`Error`] says file, key, what is wrong and the way out.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { file: path.to_owned(), source })?;
        Config::parse(&text, path, &|name| std::env::var(name).ok())
    }

    /// [`Config::load`] with the text and the environment given.
    pub(crate) fn parse(
        text: &str,
        path: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Error> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.bytes().take(start).filter(|&byte| byte == b'\n').count();
            let message = error.message().to_owned();
            Error::Syntax { file: path.to_owned(), line: before + 1, message }
        })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let files = Files { folder, env };
        validate(raw, path, &files).map_err(|(key, problem)| Error::Key {
            file: path.to_owned(),
            key,
            problem,
        })
    }

    /// The agent's table.
    ///
    /// # Errors
    /// The file has none.
    pub fn into_agent(self) -> Result<AgentConfig, Error> {
        self.agent.ok_or(Error::NoTable { file: self.path, table: "agent" })
    }

    /// The coordinator's table.
    ///
    /// # Errors
    /// The file has none.
    pub fn into_coordinator(self) -> Result<CoordinatorConfig, Error> {
        self.coordinator.ok_or(Error::NoTable { file: self.path, table: "coordinator" })
    }

    /// The timestamp server's table.
    ///
    /// # Errors
    /// The file has none.
    pub fn into_timestamp(self) -> Result<TimestampConfig, Error> {
        self.timestamp.ok_or(Error::NoTable { file: self.path, table: "timestamp" })
    }
}

fn validate(raw: RawConfig, path: &Path, files: &Files) -> Result<Config, Fault> {
    let cluster = validate_cluster(raw.cluster, files)?;
    let http = raw.http.map(|raw| http::validate(raw, files)).transpose()?;
    let agent = raw
        .agent
        .map(|raw| agent::validate(raw, cluster.clone(), http.clone(), files))
        .transpose()?;
    let coordinator = raw
        .coordinator
        .map(|raw| coordinator::validate(raw, cluster.clone(), http.clone(), files))
        .transpose()?;
    let timestamp =
        raw.timestamp.map(|raw| timestamp::validate(raw, cluster.clone(), files)).transpose()?;
    let config = Config { path: path.to_owned(), cluster, http, agent, coordinator, timestamp };
    check_ports(&config)?;
    at("agent.name", check_membership(&config))?;
    Ok(config)
}

fn validate_cluster(raw: RawCluster, files: &Files) -> Result<ClusterConfig, Fault> {
    let legal = crate::cluster::MemberName::new(raw.name.as_str()).is_ok();
    if !legal {
        return at("cluster.name", Err(Problem::ClusterName(raw.name)));
    }
    let keys = ("secret_file", "secret_env");
    let key = if raw.secret_env.is_some() { "cluster.secret_env" } else { "cluster.secret_file" };
    let secrets = at(key, files.secrets(raw.secret_file, raw.secret_env, keys))?;
    let tls = raw.tls.map(|tls| TlsFiles {
        ca: files.path(tls.ca),
        cert: files.path(tls.cert),
        key: files.path(tls.key),
    });
    Ok(ClusterConfig { name: raw.name, secrets, tls })
}

/// Roles of one file run on one machine: no two may listen on one address.
fn check_ports(config: &Config) -> Result<(), Fault> {
    let mut listeners: Vec<(&'static str, &str)> = Vec::new();
    if let Some(agent) = &config.agent {
        listeners.extend([("agent.listen", &*agent.listen), ("agent.http", &*agent.http)]);
    }
    if let Some(coordinator) = &config.coordinator {
        listeners.push(("coordinator.listen", &coordinator.listen));
        listeners.push(("coordinator.http", &coordinator.http));
    }
    if let Some(timestamp) = &config.timestamp {
        listeners.push(("timestamp.listen", &timestamp.listen));
    }
    for (index, (key, address)) in listeners.iter().enumerate() {
        if let Some((other, _)) = listeners[..index].iter().find(|(_, earlier)| earlier == address)
        {
            let (address, other) = ((*address).to_owned(), (*other).to_owned());
            return at(key, Err(Problem::SameAddress { address, other }));
        }
    }
    Ok(())
}

/// Where one file has both tables, they speak of the same cluster.
fn check_membership(config: &Config) -> Result<(), Problem> {
    let (Some(agent), Some(coordinator)) = (&config.agent, &config.coordinator) else {
        return Ok(());
    };
    let disagree = |what| Err(Problem::Disagree { name: agent.name.to_string(), what });
    match coordinator.members.iter().find(|member| member.name == agent.name) {
        None => disagree("is not in coordinator.members"),
        Some(member) if member.witness && agent.server.is_some() => {
            disagree("has an [agent.server] but is listed as a witness")
        }
        Some(member) if !member.witness && agent.server.is_none() => {
            disagree("has no [agent.server] but is not listed as a witness")
        }
        Some(_) => Ok(()),
    }
}
