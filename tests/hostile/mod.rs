//! Hostile bytes: the fuzzer's corpora and findings on a stable toolchain, and a second reader of the
//! log's format beside ours.

mod reader;
mod replay;
