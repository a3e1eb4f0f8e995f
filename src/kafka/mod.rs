//! Kafka behind two seams: a [`Fetcher`] reads assigned partitions, a [`GroupClient`] says which
//! partitions are assigned and what the group has committed.
//!
//! The submodules stand on floors, and each knows only the floors below it: `protocol`, `client`,
//! `seam`, then `fetch` and `group`, then `legacy`. This file, `auto` and `operator` choose among the
//! clients.

mod auto;
pub mod client;
mod cluster;
mod fetch;
pub mod group;
mod lease;
mod legacy;
mod operator;
pub mod protocol;
mod seam;

pub use auto::{AutoFetcher, FetcherKind};
pub use client::named_brokers::ClusterIdSource;
pub use client::versions_seen::VersionsSeen;
pub use cluster::Cluster;
pub use group::offset_store::{ClaimNamer, OffsetStorage};
pub use group::standalone::Standalone;
pub use lease::Lease;
pub use operator::{FoundOffset, GroupOperator};
pub use protocol::records::{DecodeError, Decoded, Scratch};
pub use seam::{
    Assigned, DecodedRecords, DivergenceCause, Event, ExpectedLog, FailedPartition, FailureKind, Fetched,
    Fetcher, GroupClient, GroupEvent, Payload, RecordSet, ResolvedStart, StartBasis, StartOffset, batch_end,
    records, records_from,
};

use crate::error::Fault;
use group::kafka_offsets::KafkaOffsets;
use group::offset_store::OffsetStore;
use group::standalone_thread::StandaloneIntervals;
use legacy::zookeeper_offsets::ZookeeperOffsets;

/// A group client that is no member of the group. It starts to look for the partitions of the
/// topics.
///
/// # Errors
/// `Retry`: no thread can be started.
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
