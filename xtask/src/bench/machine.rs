//! What the figures were measured on.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::Serialize;

use super::statistics::Series;
use crate::cluster;

/// Enough for a median that stays the same.
const FLUSHES: usize = 400;
/// About a frame of our log, or a group in a binlog.
const FLUSH_BYTES: usize = 4096;

/// A machine, and how busy it was before the bench began.
#[derive(Debug, Serialize)]
pub struct Machine {
    cores: usize,
    processor: String,
    memory_gib: f64,
    kernel: String,
    /// Processes that wanted to run, on average over the minute before.
    load_before: String,
    /// Median of writing 4 KiB into an allocated file and flushing it, in the folder for temporary
    /// files, where everything is measured.
    fdatasync_us_p50: f64,
    /// Seconds since 1970.
    at: u64,
}

impl Machine {
    /// Asks the kernel, and measures a flush.
    pub fn describe() -> Result<Machine> {
        let read = |file: &str| std::fs::read_to_string(file).with_context(|| file.to_owned());
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split(':').nth(1)).unwrap_or_default().trim().to_owned()
        };
        let memory = field(&read("/proc/meminfo")?, "MemTotal");
        let kib: f64 = memory.trim_end_matches(" kB").parse().context("MemTotal")?;
        let load = read("/proc/loadavg")?;
        Ok(Machine {
            cores: std::thread::available_parallelism().context("count the cores")?.get(),
            processor: field(&read("/proc/cpuinfo")?, "model name"),
            memory_gib: kib / 1024.0 / 1024.0,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_before: load.split_whitespace().next().unwrap_or_default().to_owned(),
            fdatasync_us_p50: flush_time().context("measure a flush")?,
            at: SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs(),
        })
    }
}

impl Display for Machine {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} cores ({}), {:.0} GiB, Linux {}, fdatasync p50 {:.0} us, load before {}",
            self.cores,
            self.processor,
            self.memory_gib,
            self.kernel,
            self.fdatasync_us_p50,
            self.load_before
        )
    }
}

fn flush_time() -> Result<f64> {
    let folder = cluster::new_folder()?;
    let measured = flush_time_in(&folder.join("flush"));
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn flush_time_in(path: &std::path::Path) -> Result<f64> {
    let mut file = File::create(path)?;
    let block = [7; FLUSH_BYTES];
    // Written once before, so that no flush has to allocate.
    for _ in 0..FLUSHES {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut times = Series::default();
    for _ in 0..FLUSHES {
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times.median())
}
