//! The log as its callers see it, on a real file system.

mod support;

mod round_trip;
