//! Which of the two families a server is of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A server's family: two protocols' worth of differences. Versions inside a family are never
/// compared; a feature is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// MySQL and what calls itself compatible with it (Percona Server).
    Mysql,
    /// MariaDB.
    Mariadb,
}

impl Family {
    /// From `@@version` and `@@version_comment`. MariaDB writes its name into both; a server may be
    /// told to lie in the first (`--version`), so the second is looked at too.
    pub fn detect(version: &str, comment: &str) -> Family {
        let says = |text: &str| text.to_ascii_lowercase().contains("mariadb");
        if says(version) || says(comment) { Family::Mariadb } else { Family::Mysql }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Mysql => "MySQL",
            Family::Mariadb => "MariaDB",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_by_their_own_words() {
        for (version, comment, family) in [
            ("10.11.19-MariaDB-0+deb12u1-log", "Debian 12", Family::Mariadb),
            ("8.0.30", "MariaDB Server", Family::Mariadb),
            ("9.7.4", "(Debian)", Family::Mysql),
            ("26.1.0", "MySQL Community Server - GPL", Family::Mysql),
            ("8.4.6-6", "Percona Server (GPL), Release 6", Family::Mysql),
        ] {
            assert_eq!(Family::detect(version, comment), family, "{version} {comment}");
        }
    }
}
