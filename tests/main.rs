//! pandad from outside: the real binary against real brokers, with real
//! producers. scripts/test brings up what these tests stand on; without it they
//! fail and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test that is how a fault is shown"
)]

mod clients;
mod command_line;
mod coordinator;
mod damage;
mod dead_list;
mod delivers;
mod disk_faults;
mod expired;
mod full_disk;
mod isolation;
mod kill9;
mod leaders;
mod made_anew;
mod matrix;
mod network;
mod original_format;
mod outages;
mod own_commits;
mod queue;
mod queue_kill9;
mod queue_refusals;
mod redis_outages;
mod redis_servers;
mod resets;
mod resume;
mod rotation;
mod static_binary;
mod stops;
mod support;
