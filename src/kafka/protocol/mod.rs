//! Kafka's wire protocol: bytes become values, and values become bytes. No socket, no clock.
//!
//! Each length from outside is compared with the bytes that are left before anything is allocated.
//! Only non-flexible versions of the requests (KIP-482) are written here; every broker from 0.9 to
//! 4.1 accepts one of them.

pub mod error_code;
pub mod frame;
pub mod messages;
pub mod records;
pub mod refusal;
pub mod versions;
pub mod wire;
