//! pandad's own Kafka client: synchronous, with a time limit for each call. The only module that
//! opens a connection to a broker.

pub mod address;
pub mod brokers;
pub mod connection;
pub mod coordinator;
pub mod dialer;
pub mod group_offsets;
pub mod named_brokers;
#[cfg(test)]
pub(in crate::kafka) mod tests;
mod transport;
pub mod versions_seen;
