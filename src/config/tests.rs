use std::path::Path;
use std::time::Duration;

use super::*;
use crate::cluster::AckWhen;

const FILE: &str = "/etc/plimsoll/p.toml";
const CLUSTER: &str =
    "[cluster]\nname = \"orders\"\nsecret_env = \"SECRET\"\n[http]\ntoken_env = \"TOKEN\"\n";
const AGENT: &str = r#"
[agent]
name = "s1"
data_dir = "s1"
listen = "127.0.0.1:7001"
http = "127.0.0.1:7002"
coordinators = ["127.0.0.1:7100"]
timestamps = ["127.0.0.1:7200"]
"#;
const SERVER: &str = "[agent.server]\npassword_env = \"PASSWORD\"\n";
const COORDINATOR: &str = r#"
[coordinator]
data_dir = "c"
listen = "127.0.0.1:7100"
http = "127.0.0.1:7101"
source = "s1"
tolerate = 1
members = [
  { name = "s1", listen = "127.0.0.1:7001" },
  { name = "w1", listen = "127.0.0.1:7021", witness = true },
]
"#;
const TIMESTAMP: &str = "[timestamp]\nid = 7\ndata_dir = \"t\"\nlisten = \"127.0.0.1:7200\"\n";

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(text, Path::new(FILE), &|name| match name {
        "SECRET" => Some("0123456789abcdef".to_owned()),
        "TOKEN" => Some("a-token-of-the-tests".to_owned()),
        "TWO" => Some("fedcba9876543210\n0123456789abcdef\r\n0123456789abcdef".to_owned()),
        "BLANK" => Some("0123456789abcdef\n\n0123456789abcdef".to_owned()),
        "MANY" => Some("0123456789abcdef\n".repeat(3) + "0123456789abcdef"),
        "SPACE" => Some("0123456789 abcdef".to_owned()),
        "PASSWORD" => Some("hunter2".to_owned()),
        "SHORT" => Some("hunter2".to_owned()),
        _ => None,
    })
}

fn whole() -> String {
    [CLUSTER, AGENT, SERVER, COORDINATOR, TIMESTAMP].concat()
}

#[test]
fn the_whole_file_fills_every_role_and_default() {
    let config = parse(&whole()).unwrap();
    let agent = config.agent.as_ref().unwrap();
    assert_eq!(agent.log_dir(), Path::new("/etc/plimsoll/s1/log"));
    assert_eq!(agent.segment_bytes, 64 << 20);
    assert_eq!(agent.recompress_after, Some(Duration::from_secs(3600)));
    let server = agent.server.as_ref().unwrap();
    assert_eq!((server.connection.host.as_str(), server.connection.port), ("127.0.0.1", 3306));
    assert_eq!(server.connection.password.reveal(), "hunter2");
    assert_eq!((&server.start, server.max_transaction_bytes), (&StartAt::Current, 256 << 20));
    assert!(server.server_id >= 1 << 31);
    let coordinator = config.coordinator.as_ref().unwrap();
    assert_eq!((coordinator.tolerate, coordinator.ack), (1, AckWhen::Flushed));
    assert_eq!(config.timestamp.as_ref().unwrap().id, 7);
    assert!(!format!("{config:?}").contains("hunter2"), "a secret shows in Debug");
}

#[test]
fn compressing_again_is_after_some_time_or_never() {
    let with = |text: &str| whole().replace("[agent.server]", &format!("{text}\n[agent.server]"));
    for (text, after) in [("2m", Some(Duration::from_secs(120))), ("off", None)] {
        let config = parse(&with(&format!("recompress_after = {text:?}"))).unwrap();
        assert_eq!(config.agent.unwrap().recompress_after, after);
    }
    let error = parse(&with("recompress_after = \"never\"")).unwrap_err().to_string();
    assert!(error.contains("never") && error.contains("500ms"), "{error}");
}

#[test]
fn an_open_port_is_on_loopback_and_said_so() {
    let open = whole().replace("token_env = \"TOKEN\"", "open = true");
    assert_eq!(parse(&open).unwrap().http, Some(HttpAccess::default()));
    for far in ["10.0.0.1:7002", "0.0.0.0:7002", "s1.example:7002", "[::]:7002"] {
        let error = parse(&open.replace("127.0.0.1:7002", far)).unwrap_err().to_string();
        assert!(error.contains("agent.http: ") && error.contains("loopback"), "{error}");
    }
    for near in ["localhost:7002", "[::1]:7002", "127.1.2.3:7002"] {
        assert!(parse(&open.replace("127.0.0.1:7002", near)).is_ok(), "{near}");
    }
    let error = parse(&open.replace("127.0.0.1:7101", "10.0.0.1:7101")).unwrap_err().to_string();
    assert!(error.contains("coordinator.http: "), "{error}");
    let timestamp = [CLUSTER, TIMESTAMP].concat().replace("[http]\ntoken_env = \"TOKEN\"\n", "");
    assert!(parse(&timestamp).is_ok(), "a timestamp server has no HTTP");
}

#[test]
fn a_secret_and_its_successor_stand_on_a_line_each() {
    let config = parse(&whole().replace("\"SECRET\"", "\"TWO\"")).unwrap();
    let secrets = config.cluster.secrets;
    let texts: Vec<&str> = secrets.iter().map(Secret::reveal).collect();
    assert_eq!(texts, ["fedcba9876543210", "0123456789abcdef", "0123456789abcdef"]);
}

#[test]
fn the_example_is_good() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "0123456789abcdef\n").unwrap();
    std::fs::write(folder.path().join("password"), "p\n").unwrap();
    std::fs::write(folder.path().join("http-token"), "0123456789abcdef\n").unwrap();
    let file = folder.path().join("plimsoll.toml");
    std::fs::write(&file, EXAMPLE).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.agent.unwrap().server.unwrap().connection.password.reveal(), "p");
    assert!(config.coordinator.is_some() && config.timestamp.is_some());
}

/// The example's commented-out keys are keys too.
#[test]
fn the_example_names_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let mut tables: Vec<_> = schema["$defs"].as_object().unwrap().values().collect();
    tables.push(&schema);
    for table in tables {
        for key in table["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            let named = [format!("{key} = "), format!("[{key}]"), format!(".{key}]")];
            assert!(named.iter().any(|text| EXAMPLE.contains(text)), "{key} is not in the example");
        }
    }
}

#[test]
fn the_schema_on_disk_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/config.schema.json");
    let stored = std::fs::read_to_string(path).unwrap();
    assert!(stored == schema(), "run: plimsoll config schema > schemas/config.schema.json");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_no_value() {
    let text = [CLUSTER, AGENT, "[agent.server]\npassword = \"hunter2\"\n"].concat();
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.contains("p.toml:15: ") && error.contains("password"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

/// Each line: a text of the whole file, what it is replaced by, the key and a word of the error.
#[test]
fn what_cannot_be_is_refused_with_key_and_way_out() {
    #[rustfmt::skip]
    let cases = [
        ("\"SECRET\"", "\"BLANK\"", "cluster.secret_env", "at least 16"),
        ("\"SECRET\"", "\"MANY\"", "cluster.secret_env", "4 lines"),
        ("\"TOKEN\"", "\"SHORT\"", "http.token_env", "at least 16"),
        ("\"TOKEN\"", "\"SPACE\"", "http.token_env", "without spaces"),
        ("[http]\ntoken_env = \"TOKEN\"\n", "", "http", "no credential"),
        ("token_env = \"TOKEN\"", "", "http", "no credential"),
        ("token_env = \"TOKEN\"", "tls = { cert = \"c\", key = \"k\" }", "http", "no credential"),
        ("token_env = \"TOKEN\"", "token_env = \"TOKEN\"\nopen = true", "http.open", "remove"),
        ("name = \"orders\"", "name = \"or ders\"", "cluster.name", "letters"),
        ("\"SECRET\"", "\"SHORT\"", "cluster.secret_env", "at least 16"),
        ("\"SECRET\"", "\"NONE\"", "cluster.secret_env", "NONE"),
        ("secret_env = \"SECRET\"", "secret_file = \"/nowhere/s\"", "cluster.secret_file", "/nowhere/s"),
        ("secret_env = \"SECRET\"", "", "cluster.secret_file", "exactly one"),
        ("password_env = \"PASSWORD\"", "", "agent.server.password_file", "exactly one"),
        ("listen = \"127.0.0.1:7001\"\nhttp", "listen = \"7001\"\nhttp", "agent.listen", "host:port"),
        ("http = \"127.0.0.1:7002\"", "http = \"127.0.0.1:7001\"", "agent.http", "agent.listen"),
        ("http = \"127.0.0.1:7101\"", "http = \"127.0.0.1:7002\"", "coordinator.http", "agent.http"),
        ("coordinators = [\"127.0.0.1:7100\"]", "coordinators = []", "agent.coordinators", "empty"),
        ("timestamps = [\"127.0.0.1:7200\"]", "timestamps = []", "agent.timestamps", "empty"),
        ("timestamps = [\"127.0.0.1:7200\"]", "timestamps = [\"a:1\", \"b:1\"]", "agent.timestamps", "odd"),
        ("timestamps = [\"127.0.0.1:7200\"]", "segment = \"1KiB\"\ntimestamps = [\"a:1\"]", "agent.segment", "64KiB"),
        ("timestamps = [\"127.0.0.1:7200\"]", "keep_age = \"1ms\"\ntimestamps = [\"a:1\"]", "agent.keep_age", "1s"),
        ("timestamps = [\"127.0.0.1:7200\"]", "keep_free = \"1KiB\"\ntimestamps = [\"a:1\"]", "agent.keep_free", "64KiB"),
        ("[agent.server]", "[agent.server]\nport = 0", "agent.server.port", "1"),
        ("[agent.server]", "[agent.server]\nfallback_port = 3306", "agent.server.fallback_port", "own port"),
        ("[agent.server]", "[agent.server]\nstart = \"now\"", "agent.server.start", "current"),
        ("[agent.server]", "[agent.server]\nserver_id = 0", "agent.server.server_id", "between"),
        ("[agent.server]", "[agent.server]\ntls = \"verify-ca\"", "agent.server.tls_ca", "verify-ca"),
        ("[agent.server]", "[agent.server]\ntls_ca = \"x\"", "agent.server.tls_ca", "verify-full"),
        ("[agent.server]", "[agent.server]\nheartbeat = \"1ms\"", "agent.server.heartbeat", "100ms"),
        ("source = \"s1\"", "source = \"s9\"", "coordinator.source", "members"),
        ("source = \"s1\"", "source = \"w1\"", "coordinator.source", "witness"),
        ("tolerate = 1", "tolerate = 2", "coordinator.tolerate", "needs 3 members"),
        ("tolerate = 1", "ack = \"applied\"", "coordinator.ack", "2 members with a server"),
        ("name = \"w1\"", "name = \"s1\"", "coordinator.members", "twice"),
        ("127.0.0.1:7021", "127.0.0.1:7001", "coordinator.members", "\"s1\""),
        ("name = \"s1\"\ndata", "name = \"w1\"\ndata", "agent.name", "witness"),
        ("name = \"s1\"\ndata", "name = \"s7\"\ndata", "agent.name", "members"),
    ];
    for (from, to, key, word) in cases {
        let text = whole().replacen(from, to, 1);
        assert_ne!(text, whole(), "{from} is not in the file");
        let error = parse(&text).expect_err(key).to_string();
        assert!(error.starts_with(&format!("{FILE}: {key}: ")), "{to}: {error}");
        assert!(error.contains(word), "{to}: {error}");
    }
}

#[test]
fn a_role_without_its_table_says_so() {
    let config = parse(&[CLUSTER, TIMESTAMP].concat()).unwrap();
    let error = config.clone().into_agent().unwrap_err().to_string();
    assert!(error.contains("[agent]"), "{error}");
    assert_eq!(config.into_timestamp().unwrap().id, 7);
}

#[test]
fn a_witness_needs_neither_server_nor_timestamps() {
    let text = [CLUSTER, &AGENT.replace("timestamps = [\"127.0.0.1:7200\"]", "")].concat();
    let agent = parse(&text).unwrap().into_agent().unwrap();
    assert!(agent.server.is_none() && agent.timestamps.is_empty());
}

#[test]
fn the_readme_shows_the_example() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).collect();
    let shown = blocks.first().and_then(|block| block.split("```").next());
    assert_eq!(shown, Some(EXAMPLE), "copy the output of `plimsoll config example`");
    assert_eq!(blocks.len(), 1);
}
