//! How far a walk over a log is: a bar on a terminal. On standard error.

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::cli::verify::progress::bar;

/// Bytes done of bytes expected.
pub(super) struct Bar {
    terminal: bool,
    expected: u64,
    done: Mutex<u64>,
}

impl Bar {
    /// For a walk over the whole folder.
    pub fn of(dir: &Path) -> Bar {
        let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let segments = files.filter(|file| file.path().extension().is_some_and(|end| end == "seg"));
        let expected =
            segments.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
        Bar { terminal: stderr().is_terminal(), expected, done: Mutex::new(0) }
    }

    /// So many more bytes are done. Once a segment: often enough, and seldom enough to draw each time.
    pub fn passed(&self, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += bytes;
        if self.terminal {
            eprint!("\r\x1b[K{} {} MiB", bar(*done, self.expected), *done >> 20);
            // A terminal that is gone is no reason to stop.
            let _ = stderr().flush();
        }
    }

    /// Wipes it.
    pub fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
