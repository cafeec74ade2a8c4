//! The `plimsoll` schema on a server: `schemas/checkpoint.sql`, as it is.

use super::{Error, Session};

/// The documented statements themselves, so that page and server cannot differ.
const SCHEMA: &str = include_str!("../../schemas/checkpoint.sql");

/// Creates the `plimsoll` schema and its tables where they do not exist yet, with the session's
/// binlog off: it belongs to this server alone, and must not wait for an ACK.
///
/// # Errors
/// [`Error::Privilege`]; as [`Session::execute`].
pub async fn create_schema(session: &mut Session) -> Result<(), Error> {
    session.without_binlog().await?;
    for statement in statements(SCHEMA) {
        let done = session.execute(&statement).await;
        done.map_err(|error| {
            error.or_privilege(
                "create its schema plimsoll",
                "CREATE, SELECT, INSERT, UPDATE, DELETE",
            )
        })?;
    }
    Ok(())
}

/// The statements of a script: comment lines dropped, split at `;`.
fn statements(script: &str) -> Vec<String> {
    let code: Vec<&str> =
        script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let code = code.join("\n");
    code.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_can_be_run_again() {
        let all = statements(SCHEMA);
        assert!(all.len() >= 5, "{all:?}");
        for statement in all {
            assert!(statement.starts_with("CREATE "), "{statement}");
            assert!(statement.contains("IF NOT EXISTS"), "{statement}");
        }
    }
}
