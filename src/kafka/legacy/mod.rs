//! The `kafka` crate as a client, for brokers that pandad's own does not serve and for
//! offsets in ZooKeeper.

mod client;
pub(super) mod fetcher;
mod partition_turn;
mod read;
mod reader;
mod reply;
mod second_look;
pub(super) mod zookeeper_offsets;
