//! The command line without any server: exit codes, and that a mistake is told in one clear line.

use std::process::{Command, Output, Stdio};

use crate::support::playground::PLIMSOLL;

fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(PLIMSOLL).args(arguments).output().expect("starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn usage_ends_with_2_and_says_what_is_wrong() {
    for (arguments, word) in [
        (&["nonsense"][..], "nonsense"),
        (&["playground"], "--server"),
        (&["playground", "--server", "oracle"], "oracle"),
        (&["playground", "--server", "mysql", "--routers", "1"], "router"),
        (&["playground", "--server", "mysql", "--timestamps", "2"], "odd"),
        (&["agent"], "--config"),
    ] {
        let output = plimsoll(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn failure_ends_with_1_and_says_where() {
    let dir = tempfile::tempdir().expect("a folder");
    let nowhere = dir.path().join("absent.toml");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let folder = dir.path().to_str().expect("UTF-8");
    let absent = ["status", "--coordinator", "127.0.0.1:1"];
    for (arguments, word, code) in [
        (&["agent", "--config", nowhere][..], "absent.toml", "PLM101"),
        (&["coordinator", "--config", nowhere], "absent.toml", "PLM101"),
        (&["timestamp", "--config", nowhere], "absent.toml", "PLM101"),
        (&["playground", "restart", "--dir", folder, "s1"], "no playground runs", "PLM130"),
        (&absent, "127.0.0.1:1", "PLM120"),
        (&["log", "stat", folder], "not a log folder", "PLM407"),
    ] {
        let output = plimsoll(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
        let (first, last) = (format!("plimsoll: {code}: "), format!("`plimsoll explain {code}`"));
        assert!(said(&output).starts_with(&first), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(&last), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn a_code_is_explained() {
    let page = plimsoll(&["explain", "plm401"]);
    let page = String::from_utf8(page.stdout).expect("UTF-8");
    assert!(page.starts_with("# PLM401: "), "{page}");
    for section in ["Cause", "Risk", "Way out", "Log lines"] {
        assert!(page.contains(&format!("\n## {section}\n")), "{section}: {page}");
    }
    let list = plimsoll(&["explain"]);
    let list = String::from_utf8(list.stdout).expect("UTF-8");
    assert!(list.contains("  PLM101  ") && list.contains("  PLM901  "), "{list}");
    let unknown = plimsoll(&["explain", "PLM499"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).contains("PLM401 to PLM4"), "{}", said(&unknown));
}

/// As `plimsoll explain | head -1` sees it: whoever reads has seen enough.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(PLIMSOLL)
        .args(["config", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(said(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

/// 0: there, and sound; 1: not; 2: no question. As scripts rely on it.
#[test]
fn the_log_verbs_end_with_0_1_or_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("wal/tests/golden/v2");
    for file in std::fs::read_dir(golden).expect("golden files") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("a copy");
    }
    let dir = folder.path().to_str().expect("UTF-8");
    let json = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let output = plimsoll(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        let lines = String::from_utf8(output.stdout).expect("UTF-8");
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let listed = json(&["log", "ls", dir, "--json"]);
    let segments = std::fs::read_dir(folder.path()).expect("the folder").filter(|file| {
        file.as_ref().expect("an entry").path().extension().is_some_and(|end| end == "seg")
    });
    assert_eq!(listed.len(), segments.count());
    assert_eq!((&listed[0]["base_lsn"], &listed[0]["sealed"]), (&1.into(), &true.into()));
    assert!(listed[0]["codecs"]["lz4"].as_u64() > Some(0), "{}", listed[0]);
    let stat = &json(&["log", "stat", dir, "--json"])[0];
    let sum = |of: &str| listed.iter().filter_map(|one| one[of].as_u64()).sum::<u64>();
    assert_eq!(stat["total"]["raw_bytes"], sum("raw_bytes"), "{stat}");
    let kinds = stat["total"]["kinds"].as_object().expect("kinds");
    let records: u64 = kinds.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(stat["last"]["lsn"], records);
    assert!(stat["total"]["largest"][0]["lsn"].is_u64(), "{stat}");
    let verified = &json(&["log", "verify", dir, "--json"])[0];
    assert_eq!((&verified["sound"], &verified["records"]), (&true.into(), &records.into()));
    assert_eq!(json(&["log", "find", dir, "--lsn", "2", "--json"])[0]["lsn"], 2);

    let missing = plimsoll(&["log", "find", dir, "--lsn", "999"]);
    assert_eq!(missing.status.code(), Some(1), "{}", said(&missing));
    for question in [&["--lsn", "0"][..], &["--gtid", "x"], &["--time", "noon"], &[]] {
        let wrong = plimsoll(&[&["log", "find", dir], question].concat());
        assert_eq!(wrong.status.code(), Some(2), "{question:?}: {}", said(&wrong));
    }
    let path = listed[1]["path"].as_str().expect("a path");
    let mut bytes = std::fs::read(path).expect("a segment");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(path, bytes).expect("a damaged segment");
    for verb in ["verify", "stat", "ls"] {
        let damaged = plimsoll(&["log", verb, dir]);
        assert_eq!(damaged.status.code(), Some(1), "{verb}");
        let words = said(&damaged);
        let name = path.rsplit('/').next().expect("a name");
        assert!(words.contains(name) && words.contains("at offset"), "{verb}: {words}");
    }
}
