//! What a QUERY event does to the transaction that it stands in, told from its text.

/// The part a statement plays. The servers write these texts themselves, in one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryRole {
    /// `BEGIN`
    Begin,
    /// `COMMIT`: end of a transaction in engines without transactions.
    Commit,
    /// `ROLLBACK`: end of a transaction that is logged but undone.
    Rollback,
    /// `SAVEPOINT …`
    Savepoint,
    /// `ROLLBACK TO …`
    RollbackTo,
    /// `XA START …`
    XaStart,
    /// `XA END …`
    XaEnd,
    /// `XA PREPARE …`
    XaPrepare,
    /// `XA COMMIT …`
    XaCommit,
    /// `XA ROLLBACK …`
    XaRollback,
    /// `CREATE TABLE … START TRANSACTION`: MySQL's CREATE … SELECT; rows and an XID follow.
    CreateTableStart,
    /// `CREATE [OR REPLACE] TABLE …`
    CreateTable,
    /// Anything else: DDL, account management, or DML in statement format.
    Other,
}

impl QueryRole {
    /// From the statement's text.
    pub fn of(text: &[u8]) -> QueryRole {
        let text = text.trim_ascii();
        let mut words = text
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .map(|word| word.strip_suffix(b";").unwrap_or(word));
        let first = words.next().unwrap_or_default();
        let mut second = words.next();
        let is = |word: Option<&[u8]>, name: &str| {
            word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        if is(Some(first), "XA") {
            return Self::of_xa(second.unwrap_or_default());
        }
        let alone = second.is_none();
        if is(Some(first), "BEGIN") && alone {
            return QueryRole::Begin;
        }
        if is(Some(first), "COMMIT") && alone {
            return QueryRole::Commit;
        }
        if is(Some(first), "ROLLBACK") {
            return match second {
                None => QueryRole::Rollback,
                Some(_) if is(second, "TO") => QueryRole::RollbackTo,
                Some(_) => QueryRole::Other,
            };
        }
        if is(Some(first), "SAVEPOINT") {
            return QueryRole::Savepoint;
        }
        if !is(Some(first), "CREATE") {
            return QueryRole::Other;
        }
        if is(second, "OR") {
            second = words.nth(1);
        }
        match second {
            Some(_) if !is(second, "TABLE") => QueryRole::Other,
            None => QueryRole::Other,
            Some(_) if ends_with_start_transaction(text) => QueryRole::CreateTableStart,
            Some(_) => QueryRole::CreateTable,
        }
    }

    fn of_xa(verb: &[u8]) -> QueryRole {
        match verb.to_ascii_uppercase().as_slice() {
            b"START" | b"BEGIN" => QueryRole::XaStart,
            b"END" => QueryRole::XaEnd,
            b"PREPARE" => QueryRole::XaPrepare,
            b"COMMIT" => QueryRole::XaCommit,
            b"ROLLBACK" => QueryRole::XaRollback,
            _ => QueryRole::Other,
        }
    }
}

fn ends_with_start_transaction(text: &[u8]) -> bool {
    const END: &[u8] = b" START TRANSACTION";
    let tail = text.len().checked_sub(END.len()).and_then(|at| text.get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(END))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_both_servers() {
        let table = [
            ("BEGIN", QueryRole::Begin),
            ("COMMIT", QueryRole::Commit),
            ("ROLLBACK", QueryRole::Rollback),
            ("ROLLBACK TO `a`", QueryRole::RollbackTo),
            ("SAVEPOINT `a`", QueryRole::Savepoint),
            ("XA START X'31',X'',1", QueryRole::XaStart),
            ("XA END X'31',X'',1", QueryRole::XaEnd),
            ("XA COMMIT X'31',X'',1", QueryRole::XaCommit),
            ("XA ROLLBACK X'31',X'',1", QueryRole::XaRollback),
            ("CREATE TABLE `t` (\n  `a` int\n) START TRANSACTION", QueryRole::CreateTableStart),
            ("create table t (a int)", QueryRole::CreateTable),
            ("CREATE OR REPLACE TABLE `t` (a int)", QueryRole::CreateTable),
            ("CREATE TABLESPACE x", QueryRole::Other),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", QueryRole::Other),
            ("begin not atomic select 1; end", QueryRole::Other),
            ("", QueryRole::Other),
        ];
        for (text, role) in table {
            assert_eq!(QueryRole::of(text.as_bytes()), role, "{text}");
        }
    }
}
