//! pandad's own Kafka client: synchronous, every call bounded in time, every length
//! from outside held against what is left before anything is allocated.
//!
//! Only non-flexible versions of the requests are written here; brokers from 0.9 to
//! 4.1 all take them.

mod begin;
pub mod brokers;
pub mod code;
pub mod commits;
pub mod connection;
pub mod coordinator;
pub mod fetch;
pub mod frame;
mod leaders;
pub mod messages;
mod reader;
pub mod records;
mod slot;
#[cfg(test)]
mod tests;
pub mod versions;
pub mod wire;
