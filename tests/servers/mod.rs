//! Tests against real servers of both families.

mod adopt;
mod alerts;
mod appliers;
mod connections;
mod coverage;
mod doctor;
mod full;
mod hostile;
mod joined;
mod kill_loop;
mod kills;
mod large;
mod path;
mod playground;
mod refusals;
mod repair;
mod replica_binlog;
mod resume;
mod retention;
mod rotation;
mod tail;
mod throttle;
mod tokens;
mod verify;
mod waits;
