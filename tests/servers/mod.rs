//! Tests against real servers of both families.

mod adopt;
mod appliers;
mod connections;
mod hostile;
mod kill_loop;
mod kills;
mod path;
mod playground;
mod refusals;
mod replica_binlog;
mod resume;
mod tail;
mod tokens;
mod waits;
