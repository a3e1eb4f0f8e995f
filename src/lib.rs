//! pandad: Kafka records into a log file exactly once, expired Redis keys onto a
//! work list, work items into deleted hash fields.
//!
//! The modules in reading order; ARCHITECTURE.md is the map.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests stand in for servers and for a failing machine")
)]

pub mod backoff;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod error;
pub mod expiry;
pub mod host;
pub mod jobs;
pub mod kafka;
pub mod logfile;
pub mod pattern;
pub mod pipeline;
pub mod queue;
pub mod record;
pub mod recycle;
pub mod redis;
pub mod report;
pub mod shutdown;
pub mod threads;
