//! The table, its pages, and the source that speaks of both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::codes::{NAMES, PAGES, RANGES};
use super::*;

const SECTIONS: [&str; 4] = ["Cause", "Risk", "Way out", "Log lines"];

fn folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The page's sections in order, each with its text.
fn sections(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("\n## ").skip(1);
    parts.map(|part| part.split_once('\n').unwrap_or((part, ""))).collect()
}

/// The messages that a page lists: `` - `applying stopped` ``.
fn listed(page: &str) -> BTreeSet<&str> {
    let lines = sections(page).into_iter().find(|(name, _)| *name == "Log lines");
    let lines = lines.map_or("", |(_, text)| text).lines();
    lines.filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`')).collect()
}

#[test]
fn every_code_is_unique_and_its_page_is_whole() {
    assert!(PAGES.is_sorted_by(|(one, _), (next, _)| one < next), "ascending, none twice");
    for (code, page) in PAGES {
        assert!(page.starts_with(&format!("# {code}: ")), "{code}: the heading");
        assert!(!code.title().is_empty() && !code.title().ends_with('.'), "{code}: the title");
        let sections = sections(page);
        let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, SECTIONS, "{code}: the sections");
        for (name, text) in &sections[..3] {
            assert!(text.trim().len() > 20, "{code}: {name} says nothing");
        }
        let below = sections[3].1.lines().filter(|line| !line.is_empty());
        assert_eq!(below.count(), listed(page).len(), "{code}: a log line is - `MESSAGE`");
        assert!(page.ends_with('\n') && !page.ends_with("\n\n"), "{code}: how it ends");
        let within = RANGES.iter().any(|(hundred, _)| *hundred == code.hundred());
        assert!(within, "{code}: no range is for it");
    }
}

#[test]
fn every_page_has_a_code() {
    let files = fs::read_dir(folder("src/explain/pages")).unwrap();
    let found: BTreeSet<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let known: BTreeSet<String> = PAGES.iter().map(|(code, _)| format!("{code}.md")).collect();
    assert_eq!(found, known);
}

#[test]
fn a_code_is_read_as_people_write_it() {
    for text in ["PLM201", "plm201", "201", " Plm201 "] {
        assert_eq!(text.parse(), Ok(Code::SERVER_UNREACHABLE), "{text}");
    }
    for text in ["", "PLM", "PLM2", "PLM2011", "PLM-01", "ABC201", "äöü"] {
        assert_eq!(text.parse::<Code>(), Err(BadCode::Form(text.to_owned())), "{text}");
    }
    let unknown = "PLM299".parse::<Code>().unwrap_err().to_string();
    assert!(unknown.contains("PLM299") && unknown.contains("PLM201 to PLM2"), "{unknown}");
    let far = "PLM999".parse::<Code>().unwrap_err().to_string();
    assert!(far.contains("PLM901"), "{far}");
}

#[test]
fn a_code_of_a_newer_build_passes_through() {
    let text = r#"{"code":"PLM999","text":"from later"}"#;
    let coded: Coded = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&coded).unwrap(), text);
    assert_eq!((coded.code.page(), coded.code.title()), (None, ""));
    assert!(serde_json::from_str::<Code>(r#""later""#).is_err());
}

#[test]
fn the_list_has_every_code() {
    let list = list();
    for (code, _) in PAGES {
        assert!(list.contains(&format!("  {code}  {}\n", code.title())), "{code}");
    }
}

/// A `warn!` or `error!` of the source.
#[derive(Debug)]
struct LogLine {
    place: String,
    /// The expression of its code, as written.
    code: Option<String>,
    message: Option<String>,
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

fn log_lines() -> Vec<LogLine> {
    let mut files = Vec::new();
    sources(&folder("src"), &mut files);
    sources(&folder("wal/src"), &mut files);
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("explain/tests.rs")) {
        let text = fs::read_to_string(file).unwrap();
        found.extend(log_lines_of(&text).into_iter().map(|mut line| {
            line.place = format!("{}:{}", file.display(), line.place);
            line
        }));
    }
    found
}

fn log_lines_of(text: &str) -> Vec<LogLine> {
    let mut found = Vec::new();
    for name in ["warn!", "error!"] {
        for (at, _) in text.match_indices(name) {
            let word = text[..at].chars().next_back();
            let called = text[at + name.len()..].starts_with(['(', '{', '[']);
            if called && !word.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                let inside = inside(&text[at + name.len()..]);
                let place = text[..at].matches('\n').count() + 1;
                found.push(line(place.to_string(), inside));
            }
        }
    }
    found
}

/// The arguments of a macro call, up to its closing bracket.
fn inside(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '{' | '[' if !quoted => depth += 1,
            ')' | '}' | ']' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[1..at];
        }
    }
    panic!("a macro call without an end: {text:.80}")
}

/// Fields, then the constant message as the last argument.
fn line(place: String, inside: &str) -> LogLine {
    let text = inside.trim().trim_end_matches(',');
    let message = text.strip_suffix('"').and_then(|text| text.rsplit_once('"'));
    let first = text.split_once(',').map_or(text, |(first, _)| first).trim();
    let code = first.strip_prefix("code = %").or_else(|| first.strip_prefix("%code").map(|_| ""));
    LogLine {
        place,
        code: code.map(str::to_owned),
        message: message.map(|(_, message)| message.to_owned()),
    }
}

#[test]
fn the_scan_reads_log_lines_as_they_are_written() {
    let text = r#"
        tracing::warn!(code = %Code::FENCED, why = f("a)", 1), "one");
        error!(%code, "two");
        warn!(
            error, "three",
        );
        my_error!("no log line"); // warn! of nothing
    "#;
    let found = log_lines_of(text);
    let told: Vec<_> =
        found.iter().map(|line| (line.code.as_deref(), line.message.as_deref())).collect();
    let expected =
        [(Some("Code::FENCED"), Some("one")), (None, Some("three")), (Some(""), Some("two"))];
    assert_eq!(told, expected);
    assert_eq!(found[0].place, "2");
}

/// A line of one fixed code is listed on that code's page; one that carries an error's own code on at
/// least one of theirs. And what a page lists is said somewhere.
#[test]
fn every_warn_or_error_line_has_a_code_whose_page_lists_it() {
    let names: BTreeMap<&str, Code> = NAMES.iter().copied().collect();
    let mut unsaid: BTreeMap<&str, BTreeSet<Code>> = BTreeMap::new();
    for (code, page) in PAGES {
        for message in listed(page) {
            unsaid.entry(message).or_default().insert(*code);
        }
    }
    let pages = unsaid.clone();
    let mut wrong = Vec::new();
    for LogLine { place, code, message } in log_lines() {
        let (Some(code), Some(message)) = (code, message) else {
            wrong.push(format!("{place}: first `code = %...`, last a constant message"));
            continue;
        };
        let listed_by = pages.get(message.as_str());
        match code.strip_prefix("Code::") {
            Some(name) => match names.get(name) {
                Some(code) if listed_by.is_some_and(|pages| pages.contains(code)) => {}
                Some(code) => wrong.push(format!("{place}: {message:?} is not on the page {code}")),
                None => wrong.push(format!("{place}: no code is called {name}")),
            },
            None if listed_by.is_none() => {
                wrong.push(format!("{place}: {message:?} is on no page"));
            }
            None => {}
        }
        unsaid.remove(message.as_str());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unsaid.is_empty(), "listed, but said nowhere: {unsaid:?}");
}

/// A code that nothing gives is a page that nobody is ever sent to.
#[test]
fn every_code_is_used() {
    let mut files = Vec::new();
    sources(&folder("src"), &mut files);
    let apart = |file: &PathBuf| !file.ends_with("explain/tests.rs");
    let text: String =
        files.iter().filter(|file| apart(file)).map(|f| fs::read_to_string(f).unwrap()).collect();
    let used = |name: &str| {
        let name = format!("Code::{name}");
        let ends = |at: usize| {
            !text[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        };
        text.match_indices(&name).any(|(at, _)| ends(at))
    };
    let unused: Vec<_> = NAMES.iter().filter(|(name, _)| !used(name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
