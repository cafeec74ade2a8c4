//! The command line without any server: exit codes, and that a mistake is told in one clear line.

use std::process::{Command, Output};

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
    for (arguments, word) in [
        (&["agent", "--config", nowhere][..], "absent.toml"),
        (&["coordinator", "--config", nowhere], "absent.toml"),
        (&["timestamp", "--config", nowhere], "absent.toml"),
        (&["playground", "restart", "--dir", folder, "s1"], "no playground runs"),
    ] {
        let output = plimsoll(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
    }
}
