//! pandad's own Kafka client: synchronous, every call bounded in time, every length
//! from outside held against what is left before anything is allocated.
//!
//! Only non-flexible versions of the requests are written here; brokers from 0.9 to
//! 4.1 all take them.

pub mod brokers;
pub mod code;
pub mod commits;
pub mod connection;
pub mod frame;
pub mod messages;
pub mod records;
#[cfg(test)]
mod tests;
pub mod versions;
pub mod wire;
