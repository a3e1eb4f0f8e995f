//! Kafka's wire protocol: bytes become values and values become bytes. No socket, no clock.
//!
//! Every length from outside is held against what is left before anything is allocated.
//! Only non-flexible versions of the requests are written here; brokers from 0.9 to
//! 4.1 all take them.

pub mod error_code;
pub mod frame;
pub mod messages;
pub mod records;
pub mod refusal;
pub mod versions;
pub mod wire;
