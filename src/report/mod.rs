//! Progress and health of a member -> coordinator; epochs and views -> member.
//!
//! In: reports (newest wins), requests for an epoch, news that one is complete or a change committed.
//! Out: the cluster as the coordinator sees it (a `watch`), grants.
//! Never blocks the data path: a report overwrites the one before, and with the coordinator gone
//! everything but a new epoch goes on. Reconnects for ever, with backoff and jitter, to each
//! coordinator of the list in turn.
//! Does not decide anything: what a report means is the coordinator's, what a view means the agent's.

mod consumer;
mod error;
mod handle;
mod link;
mod message;

pub use consumer::{Consumer, ConsumerAsk};
pub use error::Error;
pub use handle::{Handle, LinkState};
pub use link::CoordinatorLink;
pub use message::{
    ANSWER, Answer, Ask, LogIdentity, MAX_BODY, Mark, MemberRole, MemberView, Protection, REPORT,
    REQUEST, Registration, Reply, Report, Request, ServerAddress, Standing, VIEW, View,
};
