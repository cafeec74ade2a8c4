//! What a DDL statement's text says, as far as we must know it. Pure.

use std::collections::BTreeSet;

/// A piece of a statement's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A bare word: keyword, name or number.
    Word(&'a [u8]),
    /// Between backquotes, or double quotes (a name under ANSI_QUOTES, else a text).
    Quoted(&'a [u8]),
}

/// More names than any statement's objects need; the body of a procedure may have many words.
const NAMES_MAX: usize = 300;
/// The longest identifier of either family, in bytes of utf8.
const NAME_LEN_MAX: usize = 256;

/// Words and quoted names in order. Texts and plain comments are left out; the code in versioned
/// comments (`/*!…*/`) is not.
fn tokens(sql: &[u8]) -> Vec<(usize, Token<'_>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = sql.get(at) {
        let rest = &sql[at..];
        match byte {
            b'\'' => at += skip_quoted(rest, b'\''),
            b'`' | b'"' => {
                let len = skip_quoted(rest, byte);
                let inner = rest.get(1..len.saturating_sub(1)).unwrap_or_default();
                found.push((at, Token::Quoted(inner)));
                at += len;
            }
            b'#' => at += line(rest),
            b'-' if rest.starts_with(b"-- ") => at += line(rest),
            b'/' if rest.starts_with(b"/*!") || rest.starts_with(b"/*M!") => at += 3,
            b'/' if rest.starts_with(b"/*") => {
                at += find(rest, b"*/").map_or(rest.len(), |end| end + 2);
            }
            _ if is_word(byte) => {
                let len = rest.iter().take_while(|&&byte| is_word(byte)).count();
                found.push((at, Token::Word(&rest[..len])));
                at += len;
            }
            _ => at += 1,
        }
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn skip_quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte == b'\\' && quote != b'`' {
            at += 1;
        } else if byte == quote {
            if text.get(at) != Some(&quote) {
                return at;
            }
            at += 1;
        }
    }
    text.len()
}

fn line(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The first bare words, upper-case; digits of versioned comments left out.
fn words(sql: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    tokens(sql).into_iter().filter_map(|(at, token)| match token {
        Token::Word(word) if !word.iter().all(u8::is_ascii_digit) => {
            Some((at, word.to_ascii_uppercase()))
        }
        _ => None,
    })
}

/// Every name that the statement may mean: its words and quoted names. More than it means is
/// harmless, less is not.
pub fn names(sql: &[u8]) -> BTreeSet<String> {
    tokens(sql)
        .into_iter()
        .filter_map(|(_, token)| match token {
            Token::Word(name) => std::str::from_utf8(name).ok().map(str::to_owned),
            Token::Quoted(name) => {
                std::str::from_utf8(name).ok().map(|name| name.replace("``", "`"))
            }
        })
        .filter(|name| !name.is_empty() && name.len() <= NAME_LEN_MAX)
        .take(NAMES_MAX)
        .collect()
}

/// Whether the statement changes rows, which only row events may do (I9): DML by its first word, or
/// CREATE TABLE … SELECT in statement format.
pub fn changes_rows(sql: &[u8]) -> bool {
    const DML: [&[u8]; 10] = [
        b"INSERT", b"UPDATE", b"DELETE", b"REPLACE", b"LOAD", b"CALL", b"DO", b"SELECT", b"WITH",
        b"EXECUTE",
    ];
    let mut words = words(sql).map(|(_, word)| word);
    let Some(first) = words.next() else { return false };
    if DML.contains(&first.as_slice()) {
        return true;
    }
    let rest: Vec<Vec<u8>> = words.collect();
    let table = rest.iter().take(4).any(|word| word == b"TABLE");
    let other = rest.iter().take(5).any(|word| {
        [&b"VIEW"[..], b"PROCEDURE", b"FUNCTION", b"TRIGGER", b"EVENT", b"PACKAGE"]
            .contains(&word.as_slice())
    });
    first == b"CREATE" && table && !other && rest.iter().any(|word| word == b"SELECT")
}

/// Whether it may make or change a scheduled event.
pub fn touches_events(sql: &[u8]) -> bool {
    let head: Vec<Vec<u8>> = words(sql).map(|(_, word)| word).take(12).collect();
    let verb = head.first().is_some_and(|word| word == b"CREATE" || word == b"ALTER");
    verb && head.iter().any(|word| word == b"EVENT")
}

/// `DROP … IF EXISTS`, for a DROP of several objects that a crash may have cut half way (MariaDB
/// drops them one by one). `None` if it is no such statement.
pub fn repeatable_drop(sql: &[u8]) -> Option<Vec<u8>> {
    const OBJECTS: [&[u8]; 10] = [
        b"TABLE",
        b"TABLES",
        b"VIEW",
        b"DATABASE",
        b"SCHEMA",
        b"USER",
        b"ROLE",
        b"PROCEDURE",
        b"FUNCTION",
        b"SEQUENCE",
    ];
    let head: Vec<(usize, Vec<u8>)> = words(sql).take(5).collect();
    if head.first()?.1 != b"DROP" {
        return None;
    }
    let object = head.iter().position(|(_, word)| OBJECTS.contains(&word.as_slice()))?;
    if head.get(object + 1).is_some_and(|(_, word)| word == b"IF") {
        return Some(sql.to_vec());
    }
    let (at, word) = &head[object];
    let split = at + word.len();
    Some([&sql[..split], b" IF EXISTS", &sql[split..]].concat())
}

/// The statement with its definer said, where the servers do not log it: ALTER EVENT makes whoever
/// runs it the definer; MariaDB's CREATE ROLE makes him the role's administrator.
pub fn with_invoker(sql: &[u8], invoker: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let Some((user, host)) = invoker else { return sql.to_vec() };
    let account = [crate::server::quote_name(user), crate::server::quote_name(host)].join(&b'@');
    let all: Vec<(usize, Vec<u8>)> = words(sql).collect();
    let word = |index: usize| all.get(index).map_or(&b""[..], |(_, word)| word);
    if word(0) == b"ALTER" && word(1) == b"EVENT" {
        let at = all[1].0;
        return [&sql[..at], b"DEFINER=", &account, b" ", &sql[at..]].concat();
    }
    let role = (0..4).any(|index| word(index) == b"ROLE") && word(0) == b"CREATE";
    if role && !all.iter().any(|(_, word)| word == b"ADMIN") {
        return [sql, b" WITH ADMIN ", &account].concat();
    }
    sql.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_and_quoted_names_but_no_texts() {
        let found = names(b"CREATE TABLE `d``1`.t2 (a INT COMMENT 'x y' /* z */) -- w\n");
        for name in ["d`1", "t2", "a", "CREATE"] {
            assert!(found.contains(name), "{name} in {found:?}");
        }
        for name in ["x", "z", "w"] {
            assert!(!found.contains(name), "{name} in {found:?}");
        }
    }

    #[test]
    fn statements_that_change_rows_are_known() {
        for (sql, changes) in [
            ("insert into t values (1)", true),
            ("/* hint */ UPDATE t SET a=1", true),
            ("create table t as select * from u", true),
            ("create table if not exists t (select 1)", true),
            ("create table t (a int default 1 comment 'select')", false),
            ("create table `select` (a int)", false),
            ("create view v as select * from t", false),
            (
                "CREATE ALGORITHM=UNDEFINED DEFINER=`r`@`h` SQL SECURITY DEFINER VIEW v AS SELECT 1",
                false,
            ),
            ("CREATE DEFINER=`r`@`h` TRIGGER t BEFORE INSERT ON t FOR EACH ROW SELECT 1", false),
            (
                "CREATE DEFINER=`r`@`h` PROCEDURE p() BEGIN CREATE TEMPORARY TABLE x SELECT 1; END",
                false,
            ),
            ("alter table t add b int", false),
            ("TRUNCATE TABLE t", false),
            ("grant select on *.* to u", false),
            ("", false),
        ] {
            assert_eq!(changes_rows(sql.as_bytes()), changes, "{sql}");
        }
    }

    #[test]
    fn a_drop_can_be_said_again() {
        for (sql, again) in [
            (
                "DROP TABLE `a`,`b` /* generated by server */",
                Some("DROP TABLE IF EXISTS `a`,`b` /* generated by server */"),
            ),
            ("drop database d", Some("drop database IF EXISTS d")),
            ("DROP TABLE IF EXISTS a", Some("DROP TABLE IF EXISTS a")),
            (
                "DROP /*!40005 TEMPORARY */ TABLE a",
                Some("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS a"),
            ),
            ("alter table a drop table", None),
            ("RENAME TABLE a TO b", None),
        ] {
            let found = repeatable_drop(sql.as_bytes()).map(|sql| String::from_utf8(sql).unwrap());
            assert_eq!(found.as_deref(), again, "{sql}");
        }
    }

    #[test]
    fn the_definer_is_who_it_was() {
        let invoker = Some((&b"root"[..], &b"localhost"[..]));
        let said = |sql: &str| String::from_utf8(with_invoker(sql.as_bytes(), invoker)).unwrap();
        assert_eq!(
            said("alter event e disable"),
            "alter DEFINER=`root`@`localhost` event e disable"
        );
        assert_eq!(said("create role r"), "create role r WITH ADMIN `root`@`localhost`");
        assert_eq!(said("create view v as select 1"), "create view v as select 1");
    }

    #[test]
    fn events_are_noticed() {
        assert!(touches_events(
            b"CREATE DEFINER=`r`@`h` event ev1 on schedule every 1 day do select 1"
        ));
        assert!(touches_events(b"alter event e enable"));
        assert!(!touches_events(b"drop event e"));
        assert!(!touches_events(b"create table event_log (a int)"));
    }

    #[test]
    fn broken_texts_do_not_panic() {
        for sql in [&b"'"[..], b"`", b"/*", b"\"\\", b"--", b"DROP", b"ALTER EVENT", b"\xff\xfe"] {
            let _ = (names(sql), changes_rows(sql), repeatable_drop(sql), touches_events(sql));
            let _ = with_invoker(sql, Some((b"u", b"h")));
        }
    }
}
