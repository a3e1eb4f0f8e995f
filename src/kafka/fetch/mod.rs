//! Reads partitions with pandad's own client. One thread, the router, knows the leaders; for each
//! leader another thread reads all its partitions.

mod broker_reader;
pub(super) mod config;
mod cursor;
pub(super) mod divergence;
pub(super) mod fetcher;
pub(super) mod leader_queries;
mod leaders;
mod messages;
mod reply_pace;
mod router;
mod session;
#[cfg(test)]
mod sim;
mod start_time;
mod turns;
