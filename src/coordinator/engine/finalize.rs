//! The log's format in force is raised, once every member reads the newer one.

use super::{Asker, Command, Engine};
use crate::cluster::{LogFormat, MemberName};
use crate::explain::{Code, Coded};

/// What became of a wish to raise the log's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finalizing {
    /// It is raised, durably. There is no way back.
    Raised {
        /// In force until now.
        from: LogFormat,
        /// In force from now on.
        to: LogFormat,
    },
    /// The newest that this coordinator knows was in force already.
    InForce(LogFormat),
    /// Not now, and why.
    Refused(Coded),
}

impl Engine {
    /// Raises the format to the newest one of this build. All members are asked, the ones that are away
    /// too: one that came back unable to read the log could not be shipped to, nor promise anything.
    pub(super) fn finalize(&mut self, asker: Asker) -> Vec<Command> {
        let (from, to) = (self.state.log_format, LogFormat::CURRENT);
        let answer = |finalizing| Command::Finalizing(asker, finalizing);
        if from >= to {
            return vec![answer(Finalizing::InForce(from))];
        }
        let members = self.state.members.iter();
        let in_the_way: Vec<String> =
            members.filter_map(|member| self.why_not_format(&member.name, to)).collect();
        if !in_the_way.is_empty() {
            let text = format!(
                "format {to} of the log cannot be written yet: {}. Upgrade and start their agents, \
                 then ask again",
                in_the_way.join("; ")
            );
            return vec![answer(Finalizing::Refused(Coded::new(Code::FINALIZE_REFUSED, text)))];
        }
        self.state.log_format = to;
        vec![self.save(), answer(Finalizing::Raised { from, to }), Command::Publish]
    }

    fn why_not_format(&self, member: &MemberName, format: LogFormat) -> Option<String> {
        match self.registered.get(member) {
            None => Some(format!(
                "{member} has not registered since this coordinator started, so what it reads is not \
                 known"
            )),
            Some(known) if !known.log_formats.read(format) => {
                Some(format!("{member} reads formats up to {}", known.log_formats.newest))
            }
            Some(_) => None,
        }
    }
}
