//! Everything that children find when they start: data folders, options, configurations, secrets.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::installation::Installation;
use super::layout::Layout;
use super::{roles, settings, template};

/// Statements of a server's first start, in the folder of configurations.
pub const ACCOUNTS: &str = "accounts.sql";

/// Writes all of it.
///
/// # Errors
/// A file cannot be written, or a data folder not be made.
pub fn write(layout: &Layout, installation: &Installation) -> Result<()> {
    for dir in [layout.conf(), layout.dir.join("output")] {
        std::fs::create_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
    }
    let write_in_conf = |name: &str, text: &str| -> Result<()> {
        let path = layout.conf().join(name);
        let mut file = private_file(&path)?;
        file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
    };
    write_in_conf(roles::SECRET_FILE, &layout.secret)?;
    write_in_conf(roles::PASSWORD_FILE, &layout.agent_password)?;
    write_in_conf(ACCOUNTS, &settings::accounts(layout))?;
    for server in &layout.servers {
        template::copy_to(installation, &layout.home(&server.name))?;
        let temporary = layout.temporary(server);
        std::fs::create_dir(&temporary).with_context(|| format!("make {}", temporary.display()))?;
        let options = settings::options(layout, server, installation);
        write_in_conf(&format!("{}.cnf", server.name), &options)?;
    }
    for (agent, server) in layout.agents() {
        write_in_conf(&format!("{}.toml", agent.process), &roles::agent(layout, agent, server))?;
    }
    for (index, timestamp) in layout.timestamps.iter().enumerate() {
        write_in_conf(&format!("{}.toml", timestamp.process), &roles::timestamp(layout, index))?;
    }
    write_in_conf(&format!("{}.toml", layout.coordinator.process), &roles::coordinator(layout))
}

/// A file that only we may read: it holds a password.
///
/// # Errors
/// It cannot be made.
pub fn private_file(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).with_context(|| format!("write {}", path.display()))
}
