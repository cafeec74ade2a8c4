//! Our account's privileges, and who else may write under `read_only`.

use super::super::facts::Account;
use crate::server::{Error, Family, Session, quote, text};

/// Who we are, and what we may. Roles are not followed.
pub(super) async fn account(session: &mut Session) -> Result<Account, Error> {
    let current = session.value("SELECT CURRENT_USER()").await?.unwrap_or_default();
    let (user, host) = current.rsplit_once('@').unwrap_or((&current, "%"));
    let grantee = format!("'{user}'@'{host}'");
    let who = quote(&grantee);
    let global = format!(
        "SELECT PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.USER_PRIVILEGES \
         WHERE GRANTEE = {who}"
    );
    let global = session.rows(global).await?;
    let schema = format!(
        "SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES \
         WHERE GRANTEE = {who} AND TABLE_SCHEMA = 'plimsoll'"
    );
    let schema = session.rows(schema).await?;
    Ok(Account {
        grantee,
        grant_option: global.iter().any(|row| text(row, 1) == "YES"),
        global: global.iter().map(|row| text(row, 0).to_uppercase()).collect(),
        schema: schema.iter().map(|row| text(row, 0).to_uppercase()).collect(),
    })
}

/// Accounts whom `read_only` does not stop, besides `own` and the server's own locked ones.
pub(super) async fn writers(session: &mut Session, own: &str) -> Result<Vec<String>, Error> {
    let privileges = match session.family() {
        Family::Mysql => "'SUPER', 'CONNECTION_ADMIN'",
        // SUPER has not been enough since 10.11.
        Family::Mariadb => "'READ_ONLY ADMIN'",
    };
    let sql = format!(
        "SELECT DISTINCT GRANTEE FROM information_schema.USER_PRIVILEGES \
         WHERE PRIVILEGE_TYPE IN ({privileges}) ORDER BY 1"
    );
    let rows = session.rows(sql).await?;
    let names = rows.iter().map(|row| text(row, 0));
    Ok(names.filter(|name| name != own && !name.starts_with("'mysql.")).collect())
}
