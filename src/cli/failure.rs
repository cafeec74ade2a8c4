//! How a verb or role ended, as one text with its code.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use tokio::task::JoinError;

use crate::cluster::{BadName, causes};
use crate::coordinator::store;
use crate::explain::{Code, Coded, of_log};
use crate::{
    agent, apply, changes, config, doctor, http, log, report, server, ship, stamp, tail, timestamp,
    token, wire,
};

/// The failure with the code of the first of its causes that has one, or `otherwise`.
pub(super) fn coded(error: &anyhow::Error, otherwise: Code) -> Coded {
    // A context's type is found by asking the whole, never along the chain.
    let said = error.downcast_ref::<Coded>().map(|coded| coded.code);
    let code = said.or_else(|| error.chain().find_map(code)).unwrap_or(otherwise);
    Coded { code, text: causes(error.as_ref()) }
}

fn code(error: &(dyn Error + 'static)) -> Option<Code> {
    macro_rules! first_of {
        ($($kind:ty => $code:expr),* $(,)?) => {
            None$(.or_else(|| error.downcast_ref::<$kind>().map($code)))*
        };
    }
    first_of![
        Coded => |error| error.code,
        agent::Error => agent::Error::code,
        apply::Error => apply::Error::code,
        changes::Error => changes::Error::code,
        config::Error => config::Error::code,
        doctor::Error => doctor::Error::code,
        http::Error => http::Error::code,
        log::Error => log::Error::code,
        report::Error => report::Error::code,
        server::Error => server::Error::code,
        ship::Error => ship::Error::code,
        stamp::Error => stamp::Error::code,
        store::Error => store::Error::code,
        tail::Error => tail::Error::code,
        timestamp::Error => timestamp::Error::code,
        token::Error => token::Error::code,
        wire::Error => wire::Error::code,
        wal::Error => of_log,
        BadName => |_| Code::WRONG_MEMBER,
        JoinError => |_| Code::DEFECT,
    ]
}

/// A verb that only prints: whoever reads may have seen enough (`| head`).
pub(super) fn printed(done: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match done {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done,
    }
}

/// Only where the write to standard output itself failed: with context, it is something else's pipe.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_code_is_that_of_the_cause_that_has_one() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let cause = wal::Error::Full { path: "log".into(), source: full };
        let error: anyhow::Result<()> = Err(log::Error::Log(cause)).context("the log has stopped");
        let found = coded(&error.unwrap_err(), Code::SYSTEM);
        assert_eq!(found.code, Code::DISK_FULL);
        assert!(found.text.starts_with("the log has stopped: the log cannot go on"), "{found}");
        let unknown = anyhow::anyhow!("no thread").context("start the runtime");
        assert_eq!(coded(&unknown, Code::SYSTEM).code, Code::SYSTEM);
    }

    #[test]
    fn only_a_closed_standard_output_is_silent() {
        let pipe = || anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(printed(Err(pipe())).is_ok());
        let other = anyhow::Error::new(io::Error::other("disk"));
        assert!(printed(Err(other)).is_err());
    }
}
