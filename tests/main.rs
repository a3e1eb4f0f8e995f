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

mod canary;
mod clients;
mod command_line;
mod coordinator;
mod damage;
mod dead_list;
mod delivers;
mod disk_faults;
mod expired;
mod failing_disk;
mod full_disk;
mod group_chaos;
mod group_check;
mod group_clusters;
mod group_members;
mod groups;
mod isolation;
mod kill9;
mod leaders;
mod made_anew;
mod matrix;
mod missed;
mod network;
mod on_time;
mod one_server_down;
mod original_format;
mod outages;
mod own_commits;
mod queue;
mod queue_came_back;
mod queue_failover;
mod queue_kill9;
mod queue_refusals;
mod queue_stalled;
mod redis_outages;
mod redis_servers;
mod resets;
mod resume;
mod rotation;
mod static_binary;
mod stops;
mod support;
