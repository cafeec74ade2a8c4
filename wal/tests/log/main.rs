//! The log as its callers see it, on a real file system.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod round_trip;
