//! The legacy client: the `kafka` crate and what guards it, for brokers that the native client does not
//! support, and for offsets in ZooKeeper.

mod client;
mod error;
mod fetch_sizes;
pub(super) mod fetcher;
mod partition_turn;
mod read;
mod reader;
mod reply;
mod second_look;
mod watchdog;
pub(super) mod zookeeper_offsets;
