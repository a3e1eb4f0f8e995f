//! Reads partitions with pandad's own client.

mod broker_reader;
mod cursor;
pub(super) mod divergence;
pub(super) mod fetcher;
mod leader_queries;
mod router;
#[cfg(test)]
mod sim;
