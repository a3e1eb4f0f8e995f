//! pandad copies Kafka records to a log file exactly once, puts expired Redis keys on a work
//! list, and turns work items into deleted hash fields.
//!
//! Begin with `daemon` and `jobs`. ARCHITECTURE.md says what each module is for.

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
pub mod http;
pub mod jobs;
pub mod kafka;
pub mod line_template;
pub mod log_names;
pub mod logfile;
pub mod logging;
pub mod moment;
pub mod net;
pub mod path_template;
pub mod pattern;
pub mod pipeline;
pub mod plural;
pub mod queue;
pub mod record;
pub mod recycle;
pub mod redis;
pub mod report;
pub mod resolver;
pub mod shutdown;
pub mod status;
#[cfg(test)]
mod test_log;
pub mod threads;
pub mod time_limit;
pub mod time_zone;
pub mod tls;
pub mod verify;
