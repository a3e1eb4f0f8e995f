//! The `kafka` crate as a client, for brokers that pandad's own does not serve and for
//! offsets in ZooKeeper.

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
