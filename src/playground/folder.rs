//! The playground's folder: ours alone, locked while we run, gone at the end.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Shows that a folder is a playground's. Locked by the one that runs in it.
const MARK: &str = "playground.lock";

/// A folder that is removed when this is dropped, unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Open folder, by which the control socket is reached however long the path is.
    handle: File,
    _lock: File,
    keep: bool,
}

impl Folder {
    /// Makes or takes over `wanted`; without it, a new folder for temporary files.
    ///
    /// # Errors
    /// It holds something that is not the remains of a playground, or one runs in it.
    pub fn prepare(wanted: Option<&Path>, keep: bool) -> Result<Folder> {
        let path = match wanted {
            Some(dir) => std::path::absolute(dir).context("--dir")?,
            None => {
                let number: u32 = rand::random();
                std::env::temp_dir().join(format!("plimsoll-playground-{number:08x}"))
            }
        };
        let shown = path.display().to_string();
        fs::create_dir_all(&path).with_context(|| format!("make {shown}"))?;
        let mark = path.join(MARK);
        if !mark.exists() && fs::read_dir(&path)?.next().is_some() {
            bail!("{shown} already holds something; give --dir a new or an empty folder");
        }
        let lock = File::options().create(true).truncate(false).write(true).open(&mark);
        let lock = lock.with_context(|| format!("open {}", mark.display()))?;
        if lock.try_lock().is_err() {
            bail!("a playground already runs in {shown}; end it, or give another --dir");
        }
        // What is left of one that was killed.
        for entry in fs::read_dir(&path)? {
            let entry = entry?.path();
            if entry != mark {
                remove(&entry).with_context(|| format!("remove {}", entry.display()))?;
            }
        }
        let handle = File::open(&path).with_context(|| format!("open {shown}"))?;
        Ok(Folder { path, handle, _lock: lock, keep })
    }

    /// Absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A short name for `name` in this folder, good within this process: Unix sockets allow 107 bytes.
    pub fn short(&self, name: &str) -> PathBuf {
        short(&self.handle, name)
    }
}

/// `name` in the open folder `handle`, by a path of bounded length.
pub fn short(handle: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", handle.as_raw_fd()))
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            println!("left behind: {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("plimsoll: cannot remove {}: {error}", self.path.display());
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_or_remains_are_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("play");
        let folder = Folder::prepare(Some(&path), false).expect("made");
        assert!(Folder::prepare(Some(&path), false).is_err(), "one runs in it");
        fs::write(path.join("s1"), "x").expect("written");
        drop(folder);
        assert!(!path.exists());

        fs::create_dir_all(path.join("s1/data")).expect("made");
        assert!(Folder::prepare(Some(&path), false).is_err(), "somebody else's");
        fs::write(path.join(MARK), "").expect("written");
        let folder = Folder::prepare(Some(&path), false).expect("remains are taken over");
        assert!(!path.join("s1").exists());
        drop(folder);
    }
}
