//! Captured binlogs of both families, read, assembled, compared with other readers, and damaged.

mod assembling;
mod corpus;
mod damage;
mod stream;
