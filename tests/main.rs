//! Integration tests. `servers` starts real servers of both families (`cargo xtask servers` brings
//! them), one cluster at a time; `command_line`, `coverage`, `roles` and `differential` need none.
//!
//! `PLIMSOLL_TEST_FAMILY=mariadb|mysql` restricts the families, `PLIMSOLL_TEST_SEED=N` repeats a run's
//! random choices, `PLIMSOLL_TEST_KEEP=1` leaves the folders of failed clusters behind.

mod support;

mod command_line;
mod coverage;
mod differential;
mod hostile;
mod roles;
mod servers;
