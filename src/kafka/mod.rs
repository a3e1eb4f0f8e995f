//! Kafka, behind two seams: [`Fetcher`] brings records of wanted partitions, [`GroupClient`]
//! knows which partitions are ours and what the group has committed.
//!
//! The floors, each of which knows only those before it: `protocol`, `client`, `seam`,
//! then `fetch` and `group`, then `legacy`; who chooses stands on top.

mod auto;
pub mod client;
mod cluster;
mod fetch;
pub mod group;
mod lease;
mod legacy;
pub mod protocol;
mod seam;

pub use auto::{AutoFetcher, FetcherKind};
pub use cluster::Cluster;
pub use group::offset_store::{ClaimNamer, OffsetStorage};
pub use group::standalone::Standalone;
pub use lease::Lease;
pub use protocol::records::{DecodeError, Decoded, Scratch};
pub use seam::{
    Assigned, DecodedRecords, Event, Fetched, Fetcher, GroupClient, GroupEvent, Payload, RecordSet,
    StartOffset, records,
};

use crate::error::Fault;
use group::kafka_offsets::KafkaOffsets;
use group::offset_store::OffsetStore;
use group::standalone_thread::StandaloneIntervals;
use legacy::zookeeper_offsets::ZookeeperOffsets;

/// A client of this group that is no member of it: begins to look for the topics'
/// partitions.
///
/// # Errors
/// `Retry`: no thread can be had.
pub fn standalone(
    cluster: Cluster,
    group: &str,
    topics: &[String],
    storage: OffsetStorage,
    names: ClaimNamer,
) -> Result<Standalone, Fault> {
    let store: Box<dyn OffsetStore> = match storage {
        OffsetStorage::Kafka => Box::new(KafkaOffsets::new(&cluster, group)),
        OffsetStorage::ZooKeeper => Box::new(ZookeeperOffsets::new(cluster, group)),
    };
    Standalone::new(store, topics, names, StandaloneIntervals::default())
}
