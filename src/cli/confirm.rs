//! A question before something that cannot be taken back.

use std::io::{BufRead, Write};

/// Asks on standard error; only `y` or `yes` on standard input is a yes, its end is a no.
pub(super) fn confirmed(question: &str) -> std::io::Result<bool> {
    write!(std::io::stderr(), "{question} [y/N] ")?;
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
