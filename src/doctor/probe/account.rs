//! Our account's privileges, and who else may write under `read_only`.

use super::super::facts::Account;
use crate::server::{Error, Family, Session, quote, quote_name, text};

/// Who we are, and what we may: by ourselves, and through the roles that are active in a session of
/// ours (and theirs). Both families show these with a plain SHOW GRANTS.
pub(super) async fn account(session: &mut Session) -> Result<Account, Error> {
    let current = session.value("SELECT CURRENT_USER()").await?.unwrap_or_default();
    let (user, host) = current.rsplit_once('@').unwrap_or((&current, "%"));
    let mut account = Account { grantee: format!("'{user}'@'{host}'"), ..Account::default() };
    for row in session.rows("SHOW GRANTS").await? {
        add(&mut account, &text(&row, 0));
    }
    Ok(account)
}

/// Adds one line of SHOW GRANTS. [pure]
fn add(account: &mut Account, line: &str) {
    // Roles are granted without ON; what a partial REVOKE takes away is no schema of ours.
    let Some(grant) = line.strip_prefix("GRANT ") else { return };
    let Some((privileges, rest)) = grant.split_once(" ON ") else { return };
    let Some((scope, rest)) = rest.split_once(" TO ") else { return };
    let privileges = privileges.split(',').map(|name| name.trim().to_uppercase());
    match scope.replace(['`', '"'], "").as_str() {
        "*.*" => {
            account.global.extend(privileges);
            account.grant_option |= rest.contains("WITH GRANT OPTION");
        }
        "plimsoll.*" => account.schema.extend(privileges),
        _ => {}
    }
}

/// Accounts whom `read_only` does not stop, besides `own` and the server's own locked ones: by
/// themselves, or through a role that they may take.
pub(super) async fn writers(session: &mut Session, own: &str) -> Result<Vec<String>, Error> {
    let privileges = match session.family() {
        Family::Mysql => "'SUPER', 'CONNECTION_ADMIN'",
        // SUPER has not been enough since 10.11.
        Family::Mariadb => "'READ_ONLY ADMIN'",
    };
    let sql = format!(
        "SELECT DISTINCT GRANTEE FROM information_schema.USER_PRIVILEGES \
         WHERE PRIVILEGE_TYPE IN ({privileges})"
    );
    let rows = session.rows(sql).await?;
    let mut names: Vec<String> = rows.iter().map(|row| text(row, 0)).collect();
    let holders = match session.family() {
        Family::Mysql => mysql_holders(session, &names).await,
        Family::Mariadb => mariadb_holders(session).await,
    };
    match holders.map_err(|error| error.or_privilege("see who has which role", "SELECT")) {
        Ok(holders) => names.extend(holders),
        // Told of among the privileges that are missing.
        Err(Error::Privilege { .. }) => {}
        Err(error) => return Err(error),
    }
    names.retain(|name| name != own && !name.starts_with("'mysql."));
    names.sort();
    names.dedup();
    Ok(names)
}

/// On MySQL a role is an account too, and listed like one: who may take one of `names`, or a role that
/// has it.
async fn mysql_holders(session: &mut Session, names: &[String]) -> Result<Vec<String>, Error> {
    let edges = "SELECT CONCAT(QUOTE(FROM_USER), '@', QUOTE(FROM_HOST)), \
                 CONCAT(QUOTE(TO_USER), '@', QUOTE(TO_HOST)) FROM mysql.role_edges";
    let rows = session.rows(edges).await?;
    let edges: Vec<_> = rows.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    let mut holders: Vec<String> = Vec::new();
    loop {
        let has = |name: &String| names.contains(name) || holders.contains(name);
        let more = edges.iter().find(|(role, holder)| has(role) && !has(holder));
        let Some((_, holder)) = more else { return Ok(holders) };
        holders.push(holder.clone());
    }
}

/// MariaDB shows a role's privileges, with those of its roles, only with SHOW GRANTS.
async fn mariadb_holders(session: &mut Session) -> Result<Vec<String>, Error> {
    let mut holders = Vec::new();
    for role in session.rows("SELECT User FROM mysql.user WHERE is_role = 'Y'").await? {
        let role = text(&role, 0);
        let show = [b"SHOW GRANTS FOR ", &*quote_name(role.as_bytes())].concat();
        let mut may = Account::default();
        for row in session.rows(show).await? {
            add(&mut may, &text(&row, 0));
        }
        if !may.may("READ_ONLY ADMIN") {
            continue;
        }
        let mapped = format!(
            "SELECT CONCAT(QUOTE(m.User), '@', QUOTE(m.Host)) FROM mysql.roles_mapping m \
             WHERE m.Role = {} AND m.Host <> ''",
            quote(&role)
        );
        holders.extend(session.rows(mapped).await?.iter().map(|row| text(row, 0)));
    }
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_as_both_families_show_them() {
        let mut account = Account::default();
        for line in [
            "GRANT `r1` TO `u1`@`%`",
            "GRANT RELOAD ON *.* TO `u1`@`%` IDENTIFIED BY PASSWORD '*B6'",
            "GRANT SELECT, Binlog Admin ON *.* TO `r2` WITH GRANT OPTION",
            "GRANT BINLOG_ADMIN,XA_RECOVER_ADMIN ON *.* TO `u1`@`%`",
            "GRANT TRIGGER ON *.* TO PUBLIC",
            "GRANT INSERT, UPDATE ON `plimsoll`.* TO `r2`",
            "GRANT DELETE ON \"plimsoll\".* TO \"r2\"",
            "GRANT DROP ON `other`.* TO `u1`@`%` WITH GRANT OPTION",
            "GRANT SELECT (`a`), INSERT (`a`) ON `plimsoll`.`t` TO `u1`@`%`",
            "GRANT PROXY ON ``@`` TO `root`@`localhost` WITH GRANT OPTION",
            "REVOKE CREATE ON `mysql`.* FROM `u1`@`%`",
            "SET DEFAULT ROLE `r1` FOR `u1`@`%`",
        ] {
            add(&mut account, line);
        }
        let global =
            ["RELOAD", "SELECT", "BINLOG ADMIN", "BINLOG_ADMIN", "XA_RECOVER_ADMIN", "TRIGGER"];
        assert_eq!(account.global, global);
        assert_eq!(account.schema, ["INSERT", "UPDATE", "DELETE"]);
        assert!(account.grant_option && account.may("RELOAD") && !account.may("SUPER"));
        let mut all = Account::default();
        add(&mut all, "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`");
        assert!(all.may("SUPER") && !all.grant_option);
    }
}
