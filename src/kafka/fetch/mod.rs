//! Reads partitions with pandad's own client.

mod broker_reader;
pub(super) mod config;
mod cursor;
pub(super) mod divergence;
pub(super) mod fetcher;
mod leader_queries;
mod messages;
mod router;
#[cfg(test)]
mod sim;
