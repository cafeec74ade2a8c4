//! The log as its callers see it, on a real file system.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod crash;
mod cut;
mod damage;
mod find;
mod golden;
mod hostile;
mod model;
mod recompress;
mod refuse;
mod remove;
mod repair;
mod round_trip;
mod torn;
