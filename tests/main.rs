//! pandad from outside: the real binary against real servers, with real producers.
//! scripts/test brings up the servers that these tests need; without them the tests
//! fail and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "in a test that is how a fault is shown, and how a server is stood in for"
)]

mod all_jobs;
mod cli;
mod expired_to_list;
mod group;
mod kafka_to_file;
mod list_to_hash;
mod support;
mod tls;
