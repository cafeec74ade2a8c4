//! Tests against real servers of both families.

mod appliers;
mod connections;
mod kills;
mod path;
mod playground;
mod refusals;
mod tokens;
mod waits;
