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
