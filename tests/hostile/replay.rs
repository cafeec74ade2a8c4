//! Every committed input of the fuzz targets, through the targets' own functions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use plimsoll::fuzzing::TARGETS;

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)
}

/// What lies in a folder; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("can be listed").path()).collect();
    paths.sort();
    paths
}

fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    entries(&fuzz(folder)).into_iter().filter_map(stem).collect()
}

#[test]
fn what_was_found_stays_mended() {
    for (name, target) in TARGETS {
        for folder in ["corpus", "regressions"] {
            let inputs = entries(&fuzz(folder).join(name));
            println!("{name}: {} in {folder}", inputs.len());
            for path in inputs {
                let bytes = std::fs::read(&path).expect("can be read");
                // The name of the input that fails is the last one shown.
                println!("{}", path.display());
                target(&bytes);
            }
        }
    }
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("targets"), targets);
    assert_eq!(names("corpus"), targets);
    assert!(names("regressions").is_subset(&targets));
    let manifest = std::fs::read_to_string(fuzz("Cargo.toml")).expect("can be read");
    for name in targets {
        assert!(!entries(&fuzz("corpus").join(&name)).is_empty(), "{name} has no seed");
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}: Cargo.toml");
    }
}
